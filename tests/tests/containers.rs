//! The order in which a pod's containers start and end, what they run with, and what becomes of them when they end.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};
use tests::namespace::SOON;
use tests::scene::Scenes;
use tests::status::{condition, container};
use tests::wait;

static SCENES: Scenes = Scenes::new(|_| {});

#[test]
fn init_containers_end_one_after_the_other_before_the_first_container_starts() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("init")?;
        home.run(
            "web",
            r#"
            volumes: [{ name: diary, emptyDir: {} }]
            initContainers:
            - name: first
              command: [sh, -c, "sleep 1; echo first >>/diary/lines"]
              volumeMounts: [{ name: diary, mountPath: /diary }]
            - name: second
              command: [sh, -c, "echo second >>/diary/lines"]
              volumeMounts: [{ name: diary, mountPath: /diary }]
            containers:
            - name: app
              command: [sh, -c, "echo app >>/diary/lines; cat /diary/lines; exec sleep 3600"]
              volumeMounts: [{ name: diary, mountPath: /diary }]
            - name: helper
              command: [sleep, "3600"]
            "#,
        )?;
        let pod = home.ready("web")?;
        for name in ["first", "second"] {
            let state = &container(&pod, name)["state"]["terminated"];
            ensure!(state["reason"] == "Completed", "{name} is {state}");
        }
        for name in ["app", "helper"] {
            let status = container(&pod, name);
            ensure!(status["state"]["running"].is_object() && status["started"] == true, "{status}");
        }
        let lines = home.logs(&["web", "--container", "app"])?;
        ensure!(lines == "first\nsecond\napp\n", "the order was {lines:?}");
        Ok(())
    })
}

#[test]
fn a_failing_init_container_keeps_the_pod_pending() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("init-fails")?;
        home.run(
            "web",
            r#"
            initContainers: [{ name: migrate, command: [sh, -c, "exit 3"] }]
            containers: [{ name: app, command: [sleep, "3600"] }]
            "#,
        )?;
        let pod = home.until("web", "the second failure of migrate", |pod| {
            let migrate = container(pod, "migrate");
            ensure!(migrate["state"]["waiting"]["reason"] == "CrashLoopBackOff", "migrate is {migrate}");
            ensure!(migrate["lastState"]["terminated"]["exitCode"] == 3, "migrate ended as {migrate}");
            Ok(pod.clone())
        })?;
        ensure!(pod["status"]["phase"] == "Pending", "the phase is {}", pod["status"]["phase"]);
        let waiting = &container(&pod, "app")["state"]["waiting"];
        ensure!(waiting["reason"] == "PodInitializing", "app waits for {waiting}");
        ensure!(condition(&pod, "Initialized")["status"] == "False", "{}", pod["status"]["conditions"]);
        Ok(())
    })
}

#[test]
fn a_failing_init_container_of_a_pod_that_never_restarts_fails_the_pod() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("init-fails-once")?;
        home.run(
            "job",
            r#"
            restartPolicy: Never
            initContainers: [{ name: migrate, command: [sh, -c, "exit 3"] }]
            containers: [{ name: app, command: [sleep, "3600"] }]
            "#,
        )?;
        let pod = home.phase("job", "Failed")?;
        ensure!(container(&pod, "migrate")["state"]["terminated"]["exitCode"] == 3, "{}", pod["status"]);
        ensure!(container(&pod, "migrate")["restartCount"] == 0, "{}", pod["status"]);
        Ok(())
    })
}

#[test]
fn a_sidecar_starts_before_the_next_init_container_and_ends_after_the_main_containers() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("sidecar")?;
        home.run(
            "web",
            r#"
            terminationGracePeriodSeconds: 20
            volumes: [{ name: diary, hostPath: { path: DIARY, type: DirectoryOrCreate } }]
            initContainers:
            - name: proxy
              restartPolicy: Always
              command: [sh, -c, "trap 'echo proxy ends >>/diary/lines; exit' TERM; echo proxy >>/diary/lines;
                touch /tmp/open; while sleep 0.1; do :; done"]
              startupProbe: { exec: { command: [cat, /tmp/open] }, periodSeconds: 1 }
              volumeMounts: [{ name: diary, mountPath: /diary }]
            - name: migrate
              command: [sh, -c, "echo migrate >>/diary/lines"]
              volumeMounts: [{ name: diary, mountPath: /diary }]
            containers:
            - name: app
              command: [sh, -c, "trap 'sleep 1; echo app ends >>/diary/lines; exit' TERM; echo app >>/diary/lines;
                while sleep 0.1; do :; done"]
              volumeMounts: [{ name: diary, mountPath: /diary }]
            "#
            .replace("DIARY", &scene.ground().path().join("diary").display().to_string())
            .as_str(),
        )?;
        let pod = home.ready("web")?;
        let proxy = container(&pod, "proxy");
        ensure!(proxy["state"]["running"].is_object() && proxy["ready"] == true, "the sidecar is {proxy}");
        home.kubectl(&["delete", "pod", "web"])?;
        let diary = std::fs::read_to_string(scene.ground().path().join("diary/lines"))?;
        ensure!(diary == "proxy\nmigrate\napp\napp ends\nproxy ends\n", "the order was {diary:?}");
        Ok(())
    })
}

#[test]
fn a_sidecar_does_not_keep_a_finished_pod_alive() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("sidecar-job")?;
        home.run(
            "job",
            r#"
            restartPolicy: Never
            initContainers: [{ name: proxy, restartPolicy: Always, command: [sleep, "3600"] }]
            containers: [{ name: work, command: [sh, -c, "echo done"] }]
            "#,
        )?;
        home.phase("job", "Succeeded").map(drop)
    })
}

#[test]
fn a_crashing_container_is_started_again_with_back_off() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("crash-loop")?;
        home.run("web", r#"containers: [{ name: app, command: [sh, -c, "echo alive; exit 5"] }]"#)?;
        let message = home.waiting("web", "CrashLoopBackOff")?["message"].to_string();
        ensure!(message.starts_with("\"back-off 10s restarting failed container=app pod=web_"), "{message}");
        let ended = home.pod("web")?["status"]["containerStatuses"][0]["lastState"]["terminated"].take();
        ensure!(ended["exitCode"] == 5, "it ended as {ended}");
        let event = home.event("web", "BackOff")?;
        let told = event["message"].as_str().unwrap_or_default();
        ensure!(told.starts_with("Back-off restarting failed container app in pod web_"), "{told:?}");
        ensure!(event["type"] == "Warning", "the event {event}");
        let pod = home.wait_for("web", "/status/containerStatuses/0/restartCount", 2)?;
        ensure!(pod["status"]["phase"] == "Running", "the phase is {}", pod["status"]["phase"]);
        let waited = moment(&ended["finishedAt"])?.duration_until(newest_start(&container(&pod, "app"))?);
        ensure!((9..30).contains(&waited.as_secs()), "the second restart came after {waited}");
        Ok(())
    })
}

#[test]
fn the_restart_policy_decides_what_becomes_of_a_pod_whose_containers_end() -> Result<()> {
    const CASES: &[(&str, &str, &str, &str, i64)] = &[
        ("a success that is not repeated", "Never", "exit 0", "Succeeded", 0),
        ("a failure that is not repeated", "Never", "exit 4", "Failed", 0),
        ("a success is enough", "OnFailure", "exit 0", "Succeeded", 0),
        (
            "a failure is repeated until it succeeds",
            "OnFailure",
            "test -e /tries/1 || { touch /tries/1; exit 4; }",
            "Succeeded",
            1,
        ),
    ];
    SCENES.play(|scene| {
        let home = scene.namespace("restart-policy")?;
        for (number, (_, policy, line, ..)) in CASES.iter().enumerate() {
            let spec = json!({
                "restartPolicy": policy,
                "volumes": [{ "name": "tries", "emptyDir": {} }],
                "containers": [{
                    "name": "work", "command": ["sh", "-c", line],
                    "volumeMounts": [{ "name": "tries", "mountPath": "/tries" }],
                }],
            });
            home.run(&format!("job-{number}"), &spec.to_string())?;
        }
        for (number, (sentence, _, _, phase, restarts)) in CASES.iter().enumerate() {
            let pod = home.phase(&format!("job-{number}"), phase)?;
            let work = container(&pod, "work");
            ensure!(work["restartCount"] == *restarts, "{sentence}: {work}");
            ensure!(condition(&pod, "Ready")["status"] == "False", "{sentence}: it is Ready");
            let reason = if *phase == "Failed" { "PodFailed" } else { "PodCompleted" };
            ensure!(condition(&pod, "Ready")["reason"] == reason, "{sentence}: {}", condition(&pod, "Ready"));
        }
        Ok(())
    })
}

#[test]
fn a_pod_ends_when_its_active_deadline_is_over() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("deadline")?;
        home.run(
            "slow",
            r#"{ activeDeadlineSeconds: 3, containers: [{ name: app, command: [sleep, "3600"] }] }"#,
        )?;
        let pod = home.phase("slow", "Failed")?;
        ensure!(pod["status"]["reason"] == "DeadlineExceeded", "the status {}", pod["status"]);
        wait::until("no running container", SOON, || {
            let state = &container(&home.pod("slow")?, "app")["state"];
            ensure!(state["terminated"].is_object(), "app is {state}");
            Ok(())
        })
    })
}

#[test]
fn a_container_knows_its_environment_from_every_source() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("environment")?;
        home.kubectl(&["create", "configmap", "plain", "--from-literal=colour=blue", "--from-literal=SIZE=7"])?;
        home.kubectl(&["create", "secret", "generic", "hidden", "--from-literal=key=s3cret"])?;
        home.run(
            "web",
            r#"
            serviceAccountName: default
            containers:
            - name: app
              command: [sh, -c, "env; echo ARGUMENTS $0; exec sleep 3600"]
              args: [$(GREETING)-$$(GREETING)-$(NOBODY)]
              resources: { limits: { memory: 32Mi } }
              envFrom: [{ configMapRef: { name: plain }, prefix: P_ }, { secretRef: { name: absent, optional: true } }]
              env:
              - { name: NAME, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
              - { name: GREETING, value: hello $(NAME) }
              - { name: COLOUR, valueFrom: { configMapKeyRef: { name: plain, key: colour } } }
              - { name: KEY, valueFrom: { secretKeyRef: { name: hidden, key: key } } }
              - { name: MEMORY, valueFrom: { resourceFieldRef: { resource: limits.memory, divisor: 1Mi } } }
              - { name: ADDRESS, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
              - { name: NODE, valueFrom: { fieldRef: { fieldPath: spec.nodeName } } }
            "#,
        )?;
        let pod = home.ready("web")?;
        let said = home.logs(&["web"])?;
        let address = format!("ADDRESS={}", pod["status"]["podIP"].as_str().unwrap_or_default());
        let wanted = [
            "NAME=web", "GREETING=hello web", "COLOUR=blue", "KEY=s3cret", "MEMORY=32", "NODE=node-1", "P_SIZE=7",
            "P_colour=blue", "HOSTNAME=web", "KUBERNETES_SERVICE_HOST=10.96.0.1", "KUBERNETES_SERVICE_PORT=443",
            "ARGUMENTS hello web-$(GREETING)-$(NOBODY)", &address,
        ];
        for line in wanted {
            ensure!(said.lines().any(|each| each == line), "there is no {line:?} in:\n{said}");
        }
        Ok(())
    })
}

#[test]
fn a_container_without_its_environment_is_not_created() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("no-environment")?;
        home.run(
            "web",
            r#"containers: [{ name: app, command: [sleep, "3600"], envFrom: [{ configMapRef: { name: late } }] }]"#,
        )?;
        let waiting = home.waiting("web", "CreateContainerConfigError")?;
        ensure!(waiting["message"] == "configmap \"late\" not found", "it waits for {waiting}");
        home.kubectl(&["create", "configmap", "late"])?;
        home.ready("web").map(drop)
    })
}

#[test]
fn a_command_that_is_not_there_is_told_as_the_reason() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("no-command")?;
        home.run(
            "web",
            r#"{ restartPolicy: Never, containers: [{ name: app, command: [/no/such/program] }] }"#,
        )?;
        let pod = home.phase("web", "Failed")?;
        let state = &container(&pod, "app")["state"]["terminated"];
        ensure!(state["reason"] == "StartError" && state["exitCode"] == 128, "app is {state}");
        let event = home.event("web", "Failed")?;
        let told = event["message"].as_str().unwrap_or_default();
        ensure!(told.contains("/no/such/program"), "the event says {told:?}");
        Ok(())
    })
}

#[test]
fn a_container_leaves_a_message_when_it_ends() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("message")?;
        home.run(
            "job",
            r#"
            restartPolicy: Never
            containers:
            - { name: file, command: [sh, -c, "echo -n all done >/dev/termination-log"] }
            - name: log
              command: [sh, -c, "echo the last words; exit 1"]
              terminationMessagePolicy: FallbackToLogsOnError
            "#,
        )?;
        let pod = home.phase("job", "Failed")?;
        for (name, message) in [("file", "all done"), ("log", "the last words\n")] {
            let state = &container(&pod, name)["state"]["terminated"];
            ensure!(state["message"] == message, "{name} is {state}");
        }
        Ok(())
    })
}

/// When the newest run of a container began, whether or not it has ended.
fn newest_start(status: &Value) -> Result<Timestamp> {
    let runs = ["/state/running", "/state/terminated", "/lastState/terminated"];
    let newest = runs.iter().find_map(|run| status.pointer(run)).context("it never ran")?;
    moment(&newest["startedAt"])
}

fn moment(text: &Value) -> Result<Timestamp> {
    text.as_str().unwrap_or_default().parse().with_context(|| format!("no moment: {text}"))
}
