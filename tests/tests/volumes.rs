//! What a pod finds in its volumes, how it changes while the pod runs, and that nothing of it stays.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::kubelet::Flavour;
use tests::namespace::{Namespace, SOON};
use tests::scene::{Scene, Scenes};
use tests::wait;

/// The stock kubelet looks at a running pod's volumes at each of these; ours is told of a change.
static SCENES: Scenes = Scenes::new(|config| config["syncFrequency"] = json!("10s"));

#[test]
fn an_empty_dir_is_shared_by_containers_and_outlives_them() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("empty-dir")?;
        home.run(
            "web",
            r#"
            volumes: [{ name: shared, emptyDir: {} }]
            containers:
            - name: writer
              command: [sh, -c, "echo life >>/out/lives; [ $(wc -l </out/lives) = 2 ] && exec sleep 3600"]
              volumeMounts: [{ name: shared, mountPath: /out }]
            - name: reader
              command: [sleep, "3600"]
              volumeMounts: [{ name: shared, mountPath: /in }]
            "#,
        )?;
        home.wait_for("web", "/status/containerStatuses/1/restartCount", 1)?;
        let lives = home.shell("web", "reader", "cat /in/lives")?;
        ensure!(lives == "life\nlife\n", "{lives:?}");
        let shown = home.shell("web", "reader", "stat -c '%a %u' /in; echo mine >/in/reader")?;
        ensure!(shown == "777 0\n", "the volume's mode and owner are {shown:?}");
        let folder = pod_folder(scene, &home, "web")?.join("volumes/kubernetes.io~empty-dir/shared");
        ensure!(fs::read_to_string(folder.join("reader"))? == "mine\n", "it is not in {}", folder.display());
        Ok(())
    })
}

#[test]
fn an_empty_dir_in_memory_is_a_tmpfs_of_its_size_limit() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("memory")?;
        home.run(
            "web",
            r#"
            volumes:
            - { name: limited, emptyDir: { medium: Memory, sizeLimit: 8Mi } }
            - { name: by-limit, emptyDir: { medium: Memory } }
            containers:
            - name: app
              command: [sleep, "3600"]
              resources: { limits: { memory: 48Mi } }
              volumeMounts: [{ name: limited, mountPath: /limited }, { name: by-limit, mountPath: /by-limit }]
            "#,
        )?;
        home.ready("web")?;
        for (path, kibibytes) in [("/limited", 8 * 1024), ("/by-limit", 48 * 1024)] {
            let shown =
                home.shell("web", "app", &format!("df -kPT {path} | tail -1 | awk '{{ print $2, $3 }}'"))?;
            ensure!(shown == format!("tmpfs {kibibytes}\n"), "{path} is {shown:?}");
            let mode = home.shell("web", "app", &format!("stat -c %a {path}"))?;
            ensure!(mode == "1777\n", "the mode of {path} is {mode:?}");
        }
        Ok(())
    })
}

#[test]
fn a_host_path_is_what_its_type_says() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("host-path")?;
        let host = scene.ground().folder("host-path")?;
        fs::create_dir_all(host.join("directory"))?;
        fs::write(host.join("directory/greeting"), "hello")?;
        fs::write(host.join("file"), "a file")?;
        let _socket = std::os::unix::net::UnixListener::bind(host.join("socket"))?;
        let types = ["Directory", "File", "Socket", "DirectoryOrCreate", "FileOrCreate", ""];
        let places = ["directory", "file", "socket", "new/directory", "new-file", "directory"];
        let each = || types.iter().zip(places).enumerate();
        let volumes: Vec<_> = each()
            .map(|(at, (kind, place))| {
                json!({ "name": format!("v{at}"), "hostPath": { "path": host.join(place), "type": kind } })
            })
            .collect();
        let mounts: Vec<_> = each()
            .map(|(at, _)| json!({ "name": format!("v{at}"), "mountPath": format!("/v{at}") }))
            .collect();
        let app = json!({ "name": "app", "command": ["sleep", "3600"], "volumeMounts": mounts });
        home.run("web", &json!({ "volumes": volumes, "containers": [app] }).to_string())?;
        home.ready("web")?;
        let shown = home.shell("web", "app", "stat -c %F /v0 /v1 /v2 /v3 /v4 /v5; cat /v5/greeting /v1")?;
        let wanted = "directory\nregular file\nsocket\ndirectory\nregular empty file\ndirectory\nhelloa file";
        ensure!(shown == wanted, "the volumes are {shown:?}");
        home.shell("web", "app", "echo back >/v3/answer")?;
        ensure!(fs::read_to_string(host.join("new/directory/answer"))? == "back\n", "the host has no answer");
        Ok(())
    })
}

#[test]
fn a_host_path_of_the_wrong_type_keeps_the_pod_waiting() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("wrong-host-path")?;
        let path = scene.ground().folder("wrong-host-path")?;
        let spec = json!({
            "volumes": [{ "name": "file", "hostPath": { "path": path, "type": "File" } }],
            "containers": [{
                "name": "app", "command": ["sleep", "3600"],
                "volumeMounts": [{ "name": "file", "mountPath": "/file" }],
            }],
        });
        home.run("web", &spec.to_string())?;
        let event = home.event("web", "FailedMount")?;
        let told = event["message"].as_str().unwrap_or_default();
        let wanted = format!(
            "MountVolume.SetUp failed for volume \"file\" : hostPath type check failed: {}",
            path.display()
        );
        ensure!(told == format!("{wanted} is not a file"), "the event says {told:?}");
        let waiting = home.waiting("web", "ContainerCreating")?;
        ensure!(waiting["message"].is_null(), "it waits for {waiting}");
        Ok(())
    })
}

#[test]
fn a_config_map_shows_the_items_and_modes_that_the_pod_asks_for() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("config-map")?;
        home.create(
            r#"{ apiVersion: v1, kind: ConfigMap, metadata: { name: settings },
                 data: { colour: blue, size: "7" }, binaryData: { logo: AAEC } }"#,
        )?;
        home.run(
            "web",
            r#"
            volumes:
            - { name: all, configMap: { name: settings } }
            - name: some
              configMap: { name: settings, defaultMode: 0o440,
                items: [{ key: colour, path: deep/down/hue }, { key: size, path: size, mode: 0o711 }] }
            - { name: none, configMap: { name: absent, optional: true } }
            - { name: no-key, configMap: { name: settings, optional: true, items: [{ key: weight, path: weight }] } }
            containers:
            - name: app
              command: [sleep, "3600"]
              volumeMounts:
              - { name: all, mountPath: /all }
              - { name: some, mountPath: /some, readOnly: true }
              - { name: none, mountPath: /none }
              - { name: no-key, mountPath: /no-key }
            "#,
        )?;
        home.ready("web")?;
        let shown = home.shell("web", "app", "cd /; find -L all some none no-key -name '..*' -prune -o -type f -exec stat -Lc '%n %a' {} +")?;
        let mut lines: Vec<_> = shown.lines().collect();
        lines.sort_unstable();
        let wanted = ["all/colour 644", "all/logo 644", "all/size 644", "some/deep/down/hue 440", "some/size 711"];
        ensure!(lines == wanted, "the files are {lines:?}");
        let bytes = home.shell("web", "app", "cat /all/colour /some/deep/down/hue; od -An -tx1 /all/logo")?;
        ensure!(bytes == "blueblue 00 01 02\n", "they hold {bytes:?}");
        ensure!(home.shell("web", "app", "touch /all/colour").is_err(), "a ConfigMap can be written to");
        Ok(())
    })
}

#[test]
fn a_pod_waits_for_its_config_map_and_starts_when_it_is_there() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("late-config-map")?;
        home.run(
            "web",
            r#"
            volumes: [{ name: late, configMap: { name: late } }]
            containers: [{ name: app, command: [sleep, "3600"], volumeMounts: [{ name: late, mountPath: /late }] }]
            "#,
        )?;
        let event = home.event("web", "FailedMount")?;
        let wanted = "MountVolume.SetUp failed for volume \"late\" : configmap \"late\" not found";
        ensure!(event["message"] == wanted, "the event says {}", event["message"]);
        home.kubectl(&["create", "configmap", "late", "--from-literal=key=value"])?;
        home.ready("web")?;
        ensure!(home.shell("web", "app", "cat /late/key")? == "value", "it is not the value");
        Ok(())
    })
}

#[test]
fn a_secret_is_kept_in_memory_and_shown_as_asked() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("secret")?;
        home.kubectl(&["create", "secret", "generic", "door", "--from-literal=key=s3cret", "--from-literal=other=x"])?;
        home.run(
            "web",
            r#"
            volumes:
            - { name: door, secret: { secretName: door, defaultMode: 0o400, items: [{ key: key, path: a/key }] } }
            - { name: none, secret: { secretName: absent, optional: true } }
            containers:
            - name: app
              command: [sleep, "3600"]
              volumeMounts: [{ name: door, mountPath: /door }, { name: none, mountPath: /none }]
            "#,
        )?;
        home.ready("web")?;
        let shown = home.shell("web", "app", "cat /door/a/key; stat -Lc ' %a' /door/a/key; ls /door /none; stat -fc %T /door")?;
        ensure!(shown == "s3cret 400\n/door:\na\n\n/none:\ntmpfs\n", "it is {shown:?}");
        Ok(())
    })
}

#[test]
fn the_downward_api_shows_the_pod_to_itself() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("downward")?;
        home.run_as(
            json!({ "name": "web", "labels": { "tier": "front" }, "annotations": { "note": "a \"quoted\" line" } }),
            r#"
            volumes:
            - name: about
              downwardAPI:
                items:
                - { path: labels, fieldRef: { fieldPath: metadata.labels } }
                - { path: note, fieldRef: { fieldPath: "metadata.annotations['note']" } }
                - { path: annotations, fieldRef: { fieldPath: metadata.annotations } }
                - { path: uid, mode: 0o400, fieldRef: { fieldPath: metadata.uid } }
                - { path: cpu, resourceFieldRef: { containerName: app, resource: limits.cpu, divisor: 1m } }
                - { path: memory, resourceFieldRef: { containerName: app, resource: requests.memory } }
            containers:
            - name: app
              command: [sleep, "3600"]
              resources: { limits: { cpu: 250m }, requests: { memory: 16Mi } }
              volumeMounts: [{ name: about, mountPath: /about }]
            "#,
        )?;
        let pod = home.ready("web")?;
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
        let items = [
            ("labels", "tier=\"front\""),
            ("annotations", "note=\"a \\\"quoted\\\" line\""), // and more, which are the kubelet's own
            ("note", "a \"quoted\" line"),
            ("uid", uid),
            ("cpu", "250"),
            ("memory", "16777216"),
        ];
        for (item, wanted) in items {
            let shown = home.exec("web", "app", &["cat", &format!("/about/{item}")])?;
            ensure!(shown.lines().any(|line| line == wanted), "{item} is {shown:?}");
        }
        let modes = home.shell("web", "app", "stat -Lc %a /about/uid /about/cpu")?;
        ensure!(modes == "400\n644\n", "the modes are {modes:?}");
        home.kubectl(&["label", "pod", "web", "tier=back", "--overwrite"])?;
        becomes(scene, &home, "cat /about/labels", "tier=\"back\"")
    })
}

#[test]
fn a_changed_config_map_and_secret_are_shown_within_seconds_but_not_through_a_sub_path() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("refresh")?;
        home.kubectl(&["create", "configmap", "settings", "--from-literal=colour=blue"])?;
        home.kubectl(&["create", "secret", "generic", "door", "--from-literal=key=old"])?;
        home.run(
            "web",
            r#"
            volumes:
            - { name: settings, configMap: { name: settings } }
            - { name: door, secret: { secretName: door } }
            containers:
            - name: app
              command: [sleep, "3600"]
              volumeMounts:
              - { name: settings, mountPath: /settings }
              - { name: settings, mountPath: /colour, subPath: colour }
              - { name: door, mountPath: /door }
            "#,
        )?;
        home.ready("web")?;
        home.kubectl(&[
            "patch",
            "configmap",
            "settings",
            "--patch",
            r#"{"data":{"colour":null,"hue":"green"}}"#,
        ])?;
        home.kubectl(&["patch", "secret", "door", "--patch", r#"{"stringData":{"key":"new"}}"#])?;
        becomes(scene, &home, "ls /settings; cat /settings/hue /door/key /colour", "hue\ngreennewblue")
    })
}

#[test]
fn a_projected_volume_joins_sources_and_holds_a_token_that_is_good() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("projected")?;
        home.kubectl(&["create", "configmap", "settings", "--from-literal=colour=blue"])?;
        home.kubectl(&["create", "secret", "generic", "door", "--from-literal=key=s3cret"])?;
        home.run(
            "web",
            r#"
            volumes:
            - name: all
              projected:
                sources:
                - { configMap: { name: settings, items: [{ key: colour, path: from/colour }] } }
                - { secret: { name: door } }
                - { downwardAPI: { items: [{ path: name, fieldRef: { fieldPath: metadata.name } }] } }
                - { serviceAccountToken: { path: token, audience: vault, expirationSeconds: 900 } }
                - { secret: { name: absent, optional: true } }
            containers:
            - { name: app, command: [sleep, "3600"], volumeMounts: [{ name: all, mountPath: /all }] }
            "#,
        )?;
        let pod = home.ready("web")?;
        let shown = home.shell(
            "web",
            "app",
            "cd /all; cat from/colour key name; stat -Lc ' %a' token; ls -A /all | wc -l",
        )?;
        ensure!(shown == "blues3cretweb 644\n6\n", "it is {shown:?}");
        let token = home.exec("web", "app", &["cat", "/all/token"])?;
        let user = review(scene, &token, "vault")?;
        ensure!(user["username"] == "system:serviceaccount:projected:default", "the token is of {user}");
        let bound = &user["extra"]["authentication.kubernetes.io/pod-uid"][0];
        ensure!(*bound == pod["metadata"]["uid"], "the token is bound to {bound}");
        Ok(())
    })
}

#[test]
fn every_pod_has_a_token_for_the_api_server() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("account")?;
        home.run(
            "web",
            r#"{ securityContext: { runAsUser: 1000 }, containers: [{ name: app, command: [sleep, "3600"] }] }"#,
        )?;
        home.ready("web")?;
        let folder = "/var/run/secrets/kubernetes.io/serviceaccount";
        let shown = home.shell("web", "app", &format!("cd {folder}; ls; cat namespace; stat -Lc ' %a %u' token; head -1 ca.crt"))?;
        let wanted = "ca.crt\nnamespace\ntoken\naccount 600 1000\n-----BEGIN CERTIFICATE-----\n";
        ensure!(shown == wanted, "it is {shown:?}");
        let token = home.exec("web", "app", &["cat", &format!("{folder}/token")])?;
        let user = review(scene, &token, "https://kubernetes.default.svc.cluster.local")?;
        ensure!(user["username"] == "system:serviceaccount:account:default", "the token is of {user}");
        Ok(())
    })
}

#[test]
fn volumes_belong_to_the_fs_group() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("fs-group")?;
        home.kubectl(&["create", "secret", "generic", "door", "--from-literal=key=s3cret"])?;
        home.run(
            "web",
            r#"
            securityContext: { runAsUser: 1000, runAsGroup: 3000, fsGroup: 2000 }
            volumes:
            - { name: scratch, emptyDir: {} }
            - { name: door, secret: { secretName: door, defaultMode: 0o400 } }
            containers:
            - name: app
              command: [sleep, "3600"]
              volumeMounts: [{ name: scratch, mountPath: /scratch }, { name: door, mountPath: /door }]
            "#,
        )?;
        home.ready("web")?;
        let shown = home.shell(
            "web",
            "app",
            "id -G; stat -c '%a %g' /scratch; touch /scratch/mine; stat -c '%u %g' /scratch/mine; stat -Lc '%a %g' /door/key",
        )?;
        ensure!(shown == "3000 2000\n2777 2000\n1000 2000\n440 2000\n", "it is {shown:?}");
        Ok(())
    })
}

#[test]
fn a_sub_path_is_a_part_of_a_volume() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("sub-path")?;
        home.kubectl(&["create", "configmap", "settings", "--from-literal=colour=blue"])?;
        home.run(
            "web",
            r#"
            volumes: [{ name: scratch, emptyDir: {} }, { name: settings, configMap: { name: settings } }]
            containers:
            - name: app
              command: [sh, -c, "echo hello >/mine/file; exec sleep 3600"]
              env: [{ name: NAME, valueFrom: { fieldRef: { fieldPath: metadata.name } } }]
              volumeMounts:
              - { name: scratch, mountPath: /all }
              - { name: scratch, mountPath: /mine, subPath: deep/down }
              - { name: scratch, mountPath: /named, subPathExpr: of-$(NAME) }
              - { name: settings, mountPath: /etc/colour, subPath: colour }
            "#,
        )?;
        home.ready("web")?;
        let shown =
            home.shell("web", "app", "cat /all/deep/down/file /etc/colour; stat -c %F /all/of-web")?;
        ensure!(shown == "hello\nbluedirectory\n", "it is {shown:?}");
        Ok(())
    })
}

#[test]
fn a_sub_path_that_is_a_link_out_of_the_volume_is_refused() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("sub-path-escape")?;
        home.run(
            "web",
            r#"
            volumes: [{ name: scratch, emptyDir: {} }]
            initContainers:
            - name: evil
              command: [ln, -s, /etc, /all/way-out]
              volumeMounts: [{ name: scratch, mountPath: /all }]
            containers:
            - name: app
              command: [sleep, "3600"]
              volumeMounts: [{ name: scratch, mountPath: /host, subPath: way-out }]
            "#,
        )?;
        let waiting = home.waiting("web", "CreateContainerConfigError")?;
        let told = waiting["message"].as_str().unwrap_or_default();
        ensure!(
            told.starts_with("failed to prepare subPath for volumeMount \"scratch\""),
            "it waits for {told:?}"
        );
        Ok(())
    })
}

#[test]
fn nothing_of_a_pods_volumes_stays_on_the_node() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("clean-up")?;
        home.kubectl(&["create", "secret", "generic", "door", "--from-literal=key=s3cret"])?;
        home.run(
            "web",
            r#"
            volumes:
            - { name: disk, emptyDir: {} }
            - { name: memory, emptyDir: { medium: Memory } }
            - { name: door, secret: { secretName: door } }
            containers:
            - name: app
              command: [sh, -c, "mkdir -p /disk/deep; echo much >/disk/deep/file; exec sleep 3600"]
              volumeMounts:
              - { name: disk, mountPath: /disk }
              - { name: disk, mountPath: /part, subPath: part }
              - { name: memory, mountPath: /memory }
              - { name: door, mountPath: /door }
            "#,
        )?;
        home.ready("web")?;
        let folder = pod_folder(scene, &home, "web")?;
        ensure!(mounts_below(&folder)?.len() >= 4, "the mounts are {:?}", mounts_below(&folder)?);
        home.kubectl(&["delete", "pod", "web"])?;
        wait::until("no folder and no mount", SOON, || {
            ensure!(!folder.exists(), "there is still {}", folder.display());
            let mounts = mounts_below(&folder)?;
            ensure!(mounts.is_empty(), "the mounts {mounts:?}");
            Ok(())
        })
    })
}

/// The folder that the kubelet keeps of a pod.
fn pod_folder(scene: &Scene, home: &Namespace, pod: &str) -> Result<PathBuf> {
    let pod = home.pod(pod)?;
    let uid = pod["metadata"]["uid"].as_str().context("a pod without UID")?;
    Ok(scene.node().root().join("pods").join(uid))
}

fn mounts_below(folder: &std::path::Path) -> Result<Vec<String>> {
    let folder = folder.display().to_string();
    let all = fs::read_to_string("/proc/self/mounts")?;
    let points = all.lines().filter_map(|line| line.split(' ').nth(1));
    Ok(points.filter(|point| point.starts_with(&folder)).map(str::to_owned).collect())
}

/// Waits until a line of shell in container `app` of pod `web` prints `wanted`: within seconds on ours, within the
/// next sync on stock.
fn becomes(scene: &Scene, home: &Namespace, line: &str, wanted: &str) -> Result<()> {
    let patience = match scene.flavour() {
        Flavour::Stock => 2 * SOON,
        Flavour::Ours => SOON / 6,
    };
    wait::until(line, patience, || {
        let shown = home.shell("web", "app", line)?;
        ensure!(shown == wanted, "it is {shown:?}");
        Ok(())
    })
}

/// Whom the API server takes the bearer of a token for.
fn review(scene: &Scene, token: &str, audience: &str) -> Result<Value> {
    let spec = BTreeMap::from([("token", json!(token)), ("audiences", json!([audience]))]);
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec });
    let create = ["create", "--filename", "-", "--output", "json"];
    let answer: Value = serde_json::from_str(&scene.kubectl().run_with(&review.to_string(), &create)?)?;
    ensure!(answer["status"]["authenticated"] == true, "the review says {}", answer["status"]);
    Ok(answer["status"]["user"].clone())
}
