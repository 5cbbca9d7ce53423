//! Manifests that are broken or hostile: each is refused with file, field and reason, in the log, as an event and by
//! `bulkhead status`, and no other pod notices.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::kubelet::Flavour;
use tests::namespace::{Namespace, SOON};
use tests::process::output;
use tests::scene::{Scene, Scenes};
use tests::wait;

static SCENES: Scenes = Scenes::new(|_| {});

/// How many files are too many.
const CROWD: usize = 3000;
/// How long a pod whose manifest is gone is there at most.
const ENDING: Duration = Duration::from_secs(10);

/// A pod that is right in every way.
fn good(name: &str, namespace: &str) -> Value {
    let app =
        json!({ "name": "app", "image": "docker.io/library/busybox:1.36", "command": ["sleep", "3600"] });
    let spec = json!({ "terminationGracePeriodSeconds": 1, "containers": [app] });
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": namespace }, "spec": spec })
}

/// The good pod with the field at `pointer` changed.
fn with(pointer: &str, value: Value) -> String {
    let mut pod = good("hostile", "default");
    pod["metadata"]["uid"] = json!("0b1c1f0e-7a44-4a4e-8d3e-2f5b5e1c9a11");
    pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
    let mount = json!({ "name": "data", "mountPath": "/data", "subPath": "part" });
    pod["spec"]["containers"][0]["volumeMounts"] = json!([mount]);
    match pod.pointer_mut(pointer) {
        Some(field) => *field = value,
        None => panic!("the pod has no {pointer}"),
    }
    pod.to_string()
}

/// File, contents, and the field that is named; an empty one where the whole file is at fault.
fn cases() -> Vec<(&'static str, String, &'static str)> {
    let twice = json!([good("x", "y")["spec"]["containers"][0], good("x", "y")["spec"]["containers"][0]]);
    let large = format!("# {}\n{}", "x".repeat(1_500_000), good("large", "default"));
    vec![
        ("no-yaml.yaml", "}{".to_owned(), ""),
        ("too-large.yaml", large, ""),
        ("other-kind.yaml", with("/kind", json!("Deployment")), "kind"),
        ("name-climbs.yaml", with("/metadata/name", json!("../../up")), "metadata.name"),
        ("namespace-climbs.yaml", with("/metadata/namespace", json!("../../up")), "metadata.namespace"),
        ("name-is-parent.yaml", with("/metadata/name", json!("..")), "metadata.name"),
        ("uid-climbs.yaml", with("/metadata/uid", json!("../../../etc")), "metadata.uid"),
        ("uid-is-parent.yaml", with("/metadata/uid", json!("..")), "metadata.uid"),
        ("uid-is-reserved.yaml", with("/metadata/uid", json!("_complete")), "metadata.uid"),
        ("uid-is-all.yaml", with("/metadata/uid", json!(">")), "metadata.uid"),
        ("no-containers.yaml", with("/spec/containers", json!([])), "spec.containers"),
        ("container-climbs.yaml", with("/spec/containers/0/name", json!("../up")), "spec.containers[0].name"),
        (
            "container-is-sandbox.yaml",
            with("/spec/containers/0/name", json!("POD")),
            "spec.containers[0].name",
        ),
        ("twice.yaml", with("/spec/containers", twice), "spec.containers[1].name"),
        (
            "no-number.yaml",
            with("/spec/terminationGracePeriodSeconds", json!("soon")),
            "spec.terminationGracePeriodSeconds",
        ),
        ("volume-climbs.yaml", with("/spec/volumes/0/name", json!("../../up")), "spec.volumes[0].name"),
        (
            "sub-path-climbs.yaml",
            with("/spec/containers/0/volumeMounts/0/subPath", json!("../../../../etc")),
            "spec.containers[0].volumeMounts[0].subPath",
        ),
        (
            "host-path-climbs.yaml",
            with("/spec/volumes/0", json!({ "name": "data", "hostPath": { "path": "/tmp/../../etc" } })),
            "spec.volumes[0].hostPath.path",
        ),
        (
            "no-such-volume.yaml",
            with("/spec/containers/0/volumeMounts/0/name", json!("missing")),
            "spec.containers[0].volumeMounts[0].name",
        ),
    ]
}

/// Plays a scenario beside a good static pod, which must not notice, and takes every manifest away after it.
fn play(name: &str, scenario: impl Fn(&Scene, &Namespace) -> Result<()>) -> Result<()> {
    SCENES.play(|scene| {
        if scene.flavour() == Flavour::Stock {
            eprintln!("skipped: the stock kubelet has no such status, and reads what it should not");
            return Ok(());
        }
        let home = scene.namespace(name)?;
        let folder = scene.node().manifests();
        fs::write(folder.join("good.json"), good("good", name).to_string())?;
        let before = home.ready("good-node-1")?;
        let played = scenario(scene, &home);
        let after = home.ready("good-node-1");
        for file in fs::read_dir(folder)? {
            let path = file?.path();
            if path.is_dir() { fs::remove_dir(path)? } else { fs::remove_file(path)? }
        }
        home.gone("good-node-1")?;
        played?;
        let (before, after) = (&before["status"], &after?["status"]);
        ensure!(before == after, "the good pod was disturbed: {after}, before {before}");
        Ok(())
    })
}

/// What `bulkhead status` says of refused manifests: file, field and reason.
fn refused(scene: &Scene) -> Result<Vec<Value>> {
    let told: Value = serde_json::from_str(&scene.node().ask_bulkhead(&["status", "--output", "json"])?)?;
    told["refused"].as_array().cloned().context("the status has no list of refused manifests")
}

/// Waits until the manifest is refused, and returns how.
fn waits_refused(scene: &Scene, file: &str) -> Result<Value> {
    wait::until(&format!("the refusal of {file}"), SOON, || {
        let all = refused(scene)?;
        let found = all.iter().find(|each| each["from"].as_str().is_some_and(|from| from.ends_with(file)));
        found.cloned().with_context(|| format!("refused are {all:?}"))
    })
}

#[test]
fn a_bad_manifest_is_refused_with_file_field_and_reason() -> Result<()> {
    play("bad-fields", |scene, _| {
        for (file, contents, _) in cases() {
            fs::write(scene.node().manifests().join(file), contents)?;
        }
        for (file, _, field) in cases() {
            let refused = waits_refused(scene, file)?;
            ensure!(refused["field"] == field, "{file} is refused for {refused}, not for {field:?}");
            let why = refused["why"].as_str().unwrap_or_default();
            ensure!(!why.is_empty() && why.len() < 500, "{file} is refused because of {why:?}");
        }
        Ok(())
    })
}

#[test]
fn a_refusal_is_told_in_the_log_and_as_an_event() -> Result<()> {
    play("bad-told", |scene, _| {
        fs::write(scene.node().manifests().join("told.yaml"), with("/metadata/name", json!("../../up")))?;
        waits_refused(scene, "told.yaml")?;
        let tells = |text: &str| text.contains("told.yaml") && text.contains("metadata.name");
        wait::until("a line in the log", SOON, || {
            let log = fs::read_to_string(scene.node().log()?)?;
            ensure!(log.lines().any(tells), "no line tells file and field");
            Ok(())
        })?;
        wait::until("an event", SOON, || {
            let events = scene.kubectl().get(&["events", "--all-namespaces"])?;
            let events = events["items"].as_array().cloned().unwrap_or_default();
            ensure!(
                events.iter().any(|event| event["message"].as_str().is_some_and(tells)),
                "no event tells file and field"
            );
            Ok(())
        })
    })
}

#[test]
fn nothing_is_made_outside_the_pods_folder_by_a_name_that_climbs() -> Result<()> {
    play("bad-climbs", |scene, _| {
        let outside = |folder: &Path| -> Result<Vec<_>> {
            fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
        };
        let root = scene.node().root();
        let before = outside(root)?;
        for (file, contents, _) in cases().into_iter().filter(|(file, ..)| file.contains("climbs")) {
            fs::write(scene.node().manifests().join(file), contents)?;
            waits_refused(scene, file)?;
        }
        let mut after = outside(root)?;
        after.retain(|name| !before.contains(name));
        ensure!(after.is_empty(), "{} now holds {after:?} besides", root.display());
        let hostile = scene.kubectl().run(&["get", "pods", "--all-namespaces", "--output", "name"])?;
        ensure!(!hostile.contains("hostile"), "a refused pod has a mirror: {hostile}");
        Ok(())
    })
}

#[test]
fn of_two_manifests_of_one_pod_one_is_refused() -> Result<()> {
    play("bad-double", |scene, home| {
        for file in ["first.json", "second.json"] {
            fs::write(scene.node().manifests().join(file), good("double", home.name()).to_string())?;
        }
        home.ready("double-node-1")?;
        let refused = wait::until("the refusal of one of them", SOON, || {
            let all = refused(scene)?;
            let names =
                |each: &&Value| each["from"].as_str().is_some_and(|from| from.ends_with("second.json"));
            all.iter().find(names).cloned().with_context(|| format!("refused are {all:?}"))
        })?;
        let why = refused["why"].as_str().unwrap_or_default();
        ensure!(why.contains("double-node-1"), "the reason does not name the pod: {why}");
        Ok(())
    })
}

#[test]
fn what_is_no_file_is_not_read() -> Result<()> {
    play("bad-files", |scene, home| {
        let folder = scene.node().manifests();
        output(Command::new("mkfifo").arg(folder.join("pipe.yaml")))?;
        std::os::unix::fs::symlink("/dev/zero", folder.join("endless.yaml"))?;
        std::os::unix::fs::symlink("nowhere", folder.join("dangling.yaml"))?;
        fs::create_dir(folder.join("folder.yaml"))?;
        fs::write(folder.join(".hidden.yaml"), good("hidden", home.name()).to_string())?;
        // The next manifest is read, so those were passed by.
        fs::write(folder.join("next.json"), good("next", home.name()).to_string())?;
        home.ready("next-node-1").map(drop)
    })
}

/// However the folder's reader bounds what it reads, a pod that was there before stays, wherever its file stands.
#[test]
fn thousands_of_files_do_not_hinder_a_pod_that_is_there() -> Result<()> {
    play("bad-crowd", |scene, _| {
        let folder = scene.node().manifests();
        let running = || scene.runtime().running_of("good-node-1", "app");
        let before = running()?;
        for number in 0..CROWD {
            fs::write(
                folder.join(format!("crowd-{number:05}.yaml")),
                "kind: Pod\nmetadata: { name: ../up }\n",
            )?;
        }
        waits_refused(scene, "crowd-00000.yaml")?;
        let end = Instant::now() + ENDING;
        wait::until("the time in which a pod would have ended", SOON, || {
            let now = running()?;
            ensure!(now != before || Instant::now() >= end, "it lasts");
            Ok(now)
        })
        .and_then(|now| {
            ensure!(now == before, "the good pod had the container {before:?}, and now has {now:?}");
            Ok(())
        })?;
        let mut health = scene.node().netns().command("curl");
        output(health.args(["-sSf", "http://127.0.0.1:10248/healthz"])).map(drop)
    })
}
