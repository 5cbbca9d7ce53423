//! Probes of every way and every kind: what they do to a container and to the pod.
//!
//! Each pod has a container per way of probing. A container serves as long as `/tmp/well` is there: removing the file
//! makes it ill, touching it heals it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::namespace::Namespace;
use tests::parts;
use tests::scene::{Scene, Scenes};
use tests::status::{condition, container};

static SCENES: Scenes = Scenes::new(|_| {});

/// The image with a gRPC server; it has the applets of busybox as well.
const AGNHOST: &str = "registry.k8s.io/e2e-test-images/agnhost:2.63.0";

/// Serves by `"$@"` while the container is well.
const PATIENT: &str = "
    while true; do
        until [ -e /tmp/well ]; do sleep 0.1; done
        \"$@\" &
        while [ -e /tmp/well ]; do sleep 0.1; done
        kill $!; wait
    done";

/// Ways of probing: the container's name, what it serves by, how it is probed.
fn ways() -> [(&'static str, &'static str, Value); 4] {
    let file =
        json!({ "path": "/tmp/well", "port": 8001, "httpHeaders": [{ "name": "X-Probe", "value": "yes" }] });
    [
        ("http", "httpd -f -p 8001 -h /", json!({ "httpGet": file })),
        ("tcp", "nc -lk -p 8002 -e true", json!({ "tcpSocket": { "port": 8002 } })),
        ("exec", "sleep 3600", json!({ "exec": { "command": ["cat", "/tmp/well"] } })),
        (
            "grpc",
            "/agnhost grpc-health-checking --port 8003 --http-port 8004",
            json!({ "grpc": { "port": 8003 } }),
        ),
    ]
}

/// A container per way of probing, each with the probes that `probes` makes of the way.
fn patients(first: &str, probes: impl Fn(Value) -> Value) -> String {
    let containers = ways().map(|(name, server, way)| {
        let script = format!("{first}; {PATIENT}");
        let command: Vec<_> = ["sh", "-c", &script, "patient"].into_iter().chain(server.split(' ')).collect();
        let mut container = json!({ "name": name, "image": AGNHOST, "command": command });
        for (kind, probe) in probes(way).as_object_mut().into_iter().flatten() {
            container[kind] = probe.take();
        }
        container
    });
    json!({ "containers": containers }).to_string()
}

/// The probe of a way with further fields.
fn every_second(mut way: Value, failures: u32) -> Value {
    way["periodSeconds"] = json!(1);
    way["failureThreshold"] = json!(failures);
    way
}

fn play(scenario: impl Fn(&Scene, &Namespace) -> Result<()>, name: &str) -> Result<()> {
    let archive = match parts::image("agnhost") {
        Ok(archive) => archive,
        Err(reason) => {
            eprintln!("skipped: {reason}");
            return Ok(());
        }
    };
    SCENES.play(|scene| {
        scene.runtime().import(&archive)?;
        scenario(scene, &scene.namespace(name)?)
    })
}

fn names() -> [&'static str; 4] {
    ways().map(|(name, ..)| name)
}

#[test]
fn a_container_is_ready_while_its_readiness_probe_passes() -> Result<()> {
    play(
        |_, home| {
            let readiness = |way| json!({ "readinessProbe": every_second(way, 1) });
            home.run("web", &patients("touch /tmp/well", readiness))?;
            home.ready("web")?;
            for name in names() {
                home.exec("web", name, &["rm", "/tmp/well"])?;
                let pod = home.until("web", &format!("{name} unready"), |pod| {
                    ensure!(container(pod, name)["ready"] == false, "{name} is ready");
                    ensure!(condition(pod, "Ready")["status"] == "False", "the pod is Ready");
                    Ok(pod.clone())
                })?;
                ensure!(
                    condition(&pod, "Ready")["reason"] == "ContainersNotReady",
                    "{}",
                    condition(&pod, "Ready")
                );
                ensure!(container(&pod, name)["restartCount"] == 0, "{name} was restarted");
                let told = home.event("web", "Unhealthy")?;
                ensure!(
                    told["message"].as_str().unwrap_or_default().starts_with("Readiness probe failed: "),
                    "{told}"
                );
                home.exec("web", name, &["touch", "/tmp/well"])?;
                home.ready("web")?;
            }
            Ok(())
        },
        "readiness",
    )
}

#[test]
fn a_container_that_fails_its_liveness_probe_is_restarted_and_no_other() -> Result<()> {
    play(
        |_, home| {
            let liveness = |way| json!({ "livenessProbe": every_second(way, 2) });
            home.run("web", &patients("touch /tmp/well", liveness))?;
            home.ready("web")?;
            for (at, name) in names().into_iter().enumerate() {
                home.exec("web", name, &["rm", "/tmp/well"])?;
                let pod = home.until("web", &format!("{name} restarted"), |pod| {
                    ensure!(container(pod, name)["restartCount"] == 1, "not yet");
                    Ok(pod.clone())
                })?;
                for later in &names()[at + 1..] {
                    ensure!(container(&pod, later)["restartCount"] == 0, "{later} was restarted with {name}");
                }
            }
            home.ready("web")?;
            let killing = home.event("web", "Killing")?;
            let told = killing["message"].as_str().unwrap_or_default();
            ensure!(
                told == "Container grpc failed liveness probe, will be restarted",
                "the event says {told:?}"
            );
            ensure!(killing["involvedObject"]["fieldPath"] == "spec.containers{grpc}", "{killing}");
            Ok(())
        },
        "liveness",
    )
}

#[test]
fn no_other_probe_begins_before_the_startup_probe_has_passed() -> Result<()> {
    play(
        |_, home| {
            let all = |way: Value| {
                json!({
                    "startupProbe": every_second(way.clone(), 1000),
                    "livenessProbe": every_second(way.clone(), 1),
                    "readinessProbe": every_second(way, 1),
                })
            };
            home.run("web", &patients("true", all))?;
            home.phase("web", "Running")?;
            let unhealthy = home.event("web", "Unhealthy")?;
            let told = unhealthy["message"].as_str().unwrap_or_default();
            ensure!(told.starts_with("Startup probe failed: "), "the event says {told:?}");
            for name in names() {
                let before = container(&home.pod("web")?, name);
                ensure!(before["started"] == false && before["ready"] == false, "{name} before: {before}");
                home.exec("web", name, &["touch", "/tmp/well"])?;
                home.until("web", &format!("{name} started and ready"), |pod| {
                    let after = container(pod, name);
                    ensure!(after["started"] == true && after["ready"] == true, "{after}");
                    ensure!(after["restartCount"] == 0, "it was restarted");
                    Ok(())
                })?;
            }
            home.ready("web").map(drop)
        },
        "startup",
    )
}

#[test]
fn a_container_that_never_passes_its_startup_probe_is_restarted() -> Result<()> {
    play(
        |_, home| {
            home.run("web", &patients("true", |way| json!({ "startupProbe": every_second(way, 2) })))?;
            for name in names() {
                home.until("web", &format!("{name} restarted"), |pod| {
                    ensure!(container(pod, name)["restartCount"].as_i64() >= Some(1), "not yet");
                    Ok(())
                })?;
            }
            let killing = home.events("web")?.into_iter().find(|event| event["reason"] == "Killing");
            let told = killing.context("no Killing")?["message"].as_str().unwrap_or_default().to_owned();
            ensure!(told.ends_with(" failed startup probe, will be restarted"), "the event says {told:?}");
            Ok(())
        },
        "startup-fails",
    )
}

#[test]
fn a_probe_that_does_not_answer_in_time_has_failed() -> Result<()> {
    play(
        |_, home| {
            home.run(
                "web",
                r#"
                containers:
                - name: app
                  command: [sleep, "3600"]
                  livenessProbe:
                    { exec: { command: [sleep, "30"] }, timeoutSeconds: 1, periodSeconds: 1, failureThreshold: 2 }
                "#,
            )?;
            home.wait_for("web", "/status/containerStatuses/0/restartCount", 1)?;
            let told = home.event("web", "Unhealthy")?["message"].to_string();
            ensure!(told.contains("Liveness probe failed: command timed out"), "the event says {told}");
            Ok(())
        },
        "timeout",
    )
}

#[test]
fn a_liveness_probe_has_a_grace_period_of_its_own() -> Result<()> {
    play(
        |_, home| {
            home.run(
                "web",
                r#"
                terminationGracePeriodSeconds: 3600
                containers:
                - name: app
                  command: [sh, -c, "trap '' TERM; while true; do sleep 1; done"]
                  livenessProbe:
                    { exec: { command: ["false"] }, periodSeconds: 1, failureThreshold: 1, terminationGracePeriodSeconds: 1 }
                "#,
            )?;
            let pod = home.wait_for("web", "/status/containerStatuses/0/restartCount", 1)?;
            let last = &container(&pod, "app")["lastState"]["terminated"];
            ensure!(last["exitCode"] == 137, "it ended as {last}");
            home.kubectl(&["delete", "pod", "web", "--grace-period=0", "--force"]).map(drop)
        },
        "own-grace",
    )
}
