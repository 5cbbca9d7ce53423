//! What pods and the node tell while the pod network fails, and that all is well once it is mended.

use std::fs;

use anyhow::{Context, Result, ensure};
use tests::namespace::{Namespace, SOON};
use tests::scene::{Scene, Scenes};
use tests::status::{condition, container};
use tests::wait;

static SCENES: Scenes = Scenes::new(|_| {});

/// A pod bound to the node without asking the scheduler, which keeps pods from a node that is not ready.
const BOUND: &str = r#"{ nodeName: node-1, containers: [{ name: app, command: [sleep, "3600"] }] }"#;

/// The network's plugins fail while `scenario` is played: where they keep account of addresses is no folder.
fn without_addresses(scene: &Scene, scenario: impl FnOnce() -> Result<()>) -> Result<()> {
    let addresses = scene.runtime().addresses();
    let aside = addresses.with_extension("aside");
    fs::create_dir_all(&addresses)?;
    fs::rename(&addresses, &aside)?;
    fs::write(&addresses, "")?;
    let played = scenario();
    fs::remove_file(&addresses)?;
    fs::rename(&aside, &addresses)?;
    played
}

/// The runtime has no network while `scenario` is played.
fn without_network(scene: &Scene, scenario: impl FnOnce() -> Result<()>) -> Result<()> {
    let file = scene.runtime().network();
    let network = fs::read(&file)?;
    fs::remove_file(&file)?;
    let played = scenario();
    fs::write(&file, network)?;
    played
}

fn is_ready(scene: &Scene, wanted: &str) -> Result<String> {
    let node = scene.kubectl().get(&["node", "node-1"])?;
    let ready = condition(&node, "Ready");
    ensure!(ready["status"] == wanted, "the node's Ready is {ready}");
    Ok(ready["message"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_pod_that_gets_no_address_is_tried_again_until_it_does() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("no-address")?;
        without_addresses(scene, || {
            home.run("web", BOUND)?;
            let failed = home.event("web", "FailedCreatePodSandBox")?;
            let told = failed["message"].as_str().unwrap_or_default();
            let wanted = "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox";
            ensure!(told.starts_with(wanted), "the event says {told:?}");
            ensure!(failed["type"] == "Warning", "the event {failed}");
            waits_for_its_sandbox(&home)
        })?;
        let pod = home.ready("web")?;
        ensure!(container(&pod, "app")["restartCount"] == 0, "{}", pod["status"]);
        ensure!(condition(&pod, "PodReadyToStartContainers")["status"] == "True", "{}", pod["status"]);
        home.kubectl(&["delete", "pod", "web"])?;
        home.gone("web")
    })
}

fn waits_for_its_sandbox(home: &Namespace) -> Result<()> {
    let waiting = home.waiting("web", "ContainerCreating")?;
    ensure!(waiting.get("message").is_none(), "it waits for {waiting}");
    let pod = home.pod("web")?;
    ensure!(pod["status"]["phase"] == "Pending", "the phase is {}", pod["status"]["phase"]);
    ensure!(pod["status"]["podIP"].is_null(), "it has the address {}", pod["status"]["podIP"]);
    let sandbox = condition(&pod, "PodReadyToStartContainers");
    ensure!(sandbox["status"] == "False", "the sandbox is {sandbox}");
    Ok(())
}

#[test]
fn while_there_is_no_network_only_pods_on_the_nodes_own_are_started() -> Result<()> {
    const FAULT: &str = "NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized";
    SCENES.play(|scene| {
        let home = scene.namespace("no-network")?;
        without_network(scene, || {
            let why = wait::until("a node that is not ready", SOON, || is_ready(scene, "False"))?;
            ensure!(why.contains(FAULT), "the node says {why:?}");
            home.run("web", BOUND)?;
            let told = home.event("web", "NetworkNotReady")?;
            let message = told["message"].as_str().unwrap_or_default();
            let wanted = format!("network is not ready: container runtime network not ready: {FAULT}");
            ensure!(message == wanted && told["type"] == "Warning", "the event {told}");
            let mut own: serde_json::Value = serde_yaml_ng::from_str(BOUND).context("a pod's spec")?;
            own["hostNetwork"] = true.into();
            home.run("on-the-node", &own.to_string())?;
            home.phase("on-the-node", "Running")?;
            ensure!(home.pod("web")?["status"]["phase"] == "Pending", "a pod without a network runs");
            Ok(())
        })?;
        wait::until("a ready node", SOON, || is_ready(scene, "True"))?;
        home.ready("web").map(drop)
    })
}
