//! Processes killed as `kill -9` does, one at a time: pods do not notice, and the node is itself again at once.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use serde_json::json;
use tests::containerd::Containerd;
use tests::kubelet::Flavour;
use tests::namespace::Namespace;
use tests::scene;
use tests::wait;
use tests::ward::Ward;

const SOON: Duration = Duration::from_secs(60);
/// How long a process may take until it is begun again.
const RETURNING: Duration = Duration::from_secs(30);
/// How long the node may take after that to do what it was asked meanwhile, beyond what it usually takes.
const CATCHING_UP: Duration = Duration::from_secs(2);
/// How long the runtime is away.
const ABSENCE: Duration = Duration::from_secs(5);

/// Kills the process that does this job.
fn killed(job: &str) -> Result<()> {
    Ward::play(&[Flavour::Ours], |ward| {
        let victim = ward.node.process(job)?;
        victim.signal(Signal::SIGKILL)?;
        ward.vigil.ask()?;
        wait::until(&format!("another {job}"), RETURNING, || {
            let now = ward.node.process(job)?;
            ensure!(now.pid != victim.pid, "the killed one is not reaped");
            Ok(())
        })?;
        ward.caught_up(CATCHING_UP)?;
        ward.undisturbed()
    })
}

#[test]
fn nobody_notices_that_api_gate_is_killed() -> Result<()> {
    killed("api-gate")
}

#[test]
fn nobody_notices_that_pod_lifecycle_is_killed() -> Result<()> {
    killed("pod-lifecycle")
}

#[test]
fn nobody_notices_that_cri_bridge_is_killed() -> Result<()> {
    killed("cri-bridge")
}

#[test]
fn nobody_notices_that_volume_mounter_is_killed() -> Result<()> {
    killed("volume-mounter")
}

#[test]
fn nobody_notices_that_status_reporter_is_killed() -> Result<()> {
    killed("status-reporter")
}

#[test]
fn nobody_notices_that_prober_is_killed() -> Result<()> {
    killed("prober")
}

#[test]
fn nobody_notices_that_node_api_is_killed() -> Result<()> {
    killed("node-api")
}

#[test]
fn nobody_notices_that_trace_recorder_is_killed() -> Result<()> {
    killed("trace-recorder")
}

#[test]
fn nobody_notices_that_the_bus_is_killed() -> Result<()> {
    killed("nats-server")
}

#[test]
fn nobody_notices_that_the_supervisor_is_killed_and_started_again() -> Result<()> {
    Ward::play(&[Flavour::Ours], |ward| {
        ward.node.kubelet()?.kill()?;
        ward.vigil.ask()?;
        ward.start_kubelet()?;
        ward.caught_up(CATCHING_UP)?;
        ward.undisturbed()
    })
}

#[test]
fn nobody_notices_that_the_runtime_is_killed_and_started_again() -> Result<()> {
    Ward::play(&scene::selected()?, |ward| {
        ward.node.containerd().process().kill()?;
        ward.vigil.ask()?;
        ward.vigil.hold(ABSENCE)?;
        ward.node.containerd().restart()?;
        ward.caught_up(CATCHING_UP)?;
        ward.undisturbed()
    })
}

/// A pod that is alive as long as the file `well` is in a folder of the machine.
fn patient(folder: &str) -> String {
    let probe = json!({ "exec": { "command": ["test", "-e", "/health/well"] }, "periodSeconds": 1, "failureThreshold": 1 });
    json!({
        "nodeName": "node-1",
        "containers": [{
            "name": "app", "command": ["sleep", "3600"], "livenessProbe": probe,
            "volumeMounts": [{ "name": "health", "mountPath": "/health" }],
        }],
        "volumes": [{ "name": "health", "hostPath": { "path": folder } }],
    })
    .to_string()
}

/// The id of the pod's running container.
fn running(runtime: &Containerd) -> Result<String> {
    let ids = runtime.running_of("patient", "app")?;
    ensure!(ids.len() == 1, "the running containers are {ids:?}");
    Ok(ids.concat())
}

/// The stock kubelet keeps nothing of its pods over a restart, and looks after none of them before the API server is
/// back; so there is no playing this on it.
#[test]
fn pods_are_probed_and_restarted_after_all_was_killed_while_the_api_server_is_away() -> Result<()> {
    Ward::play(&[Flavour::Ours], |ward| {
        let health = ward.ground.folder("health")?;
        let well = health.join("well");
        fs::write(&well, "")?;
        let home = Namespace::new(ward.plane.kubectl(), "ward");
        home.run("patient", &patient(&health.display().to_string()))?;
        home.ready("patient")?;

        ward.plane.go_away()?;
        ward.node.kill_kubelet()?;
        let before = running(ward.node.runtime())?;
        ward.start_kubelet()?;
        fs::remove_file(&well)?;
        wait::until("the end of the sick container", SOON, || {
            let ids = ward.node.runtime().running_of("patient", "app")?;
            ensure!(!ids.contains(&before), "it is still running");
            Ok(())
        })?;
        fs::write(&well, "")?;
        wait::until("another container", SOON, || running(ward.node.runtime()))?;

        ward.plane.come_back()?;
        ward.undisturbed()
    })
}
