//! A pod's life on a real cluster, the same for either kubelet: bound by the scheduler, Running, reached with
//! `kubectl logs` and `kubectl exec`, deleted, gone; and afterwards nothing of it on the machine.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::cgroups;
use tests::containerd::Version;
use tests::control_plane::ControlPlane;
use tests::ground::Ground;
use tests::kubelet::Flavour;
use tests::netns::Lan;
use tests::node::Node;
use tests::parts;
use tests::wait;

const SOON: Duration = Duration::from_secs(60);

const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: { name: greeter, namespace: life }
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: hello
    image: docker.io/library/busybox:1.36
    command: [sh, -c, "echo greetings from $WHO; exec sleep 3600"]
    env: [{ name: WHO, value: a pod }]
  - name: second
    image: docker.io/library/busybox:1.36
    command: [sleep, "3600"]
"#;

#[test]
fn a_pod_lives_and_dies_on_the_stock_kubelet_with_containerd_1_6() -> Result<()> {
    lives_and_dies(Flavour::Stock, Version::V1_6)
}

#[test]
fn a_pod_lives_and_dies_on_the_stock_kubelet_with_containerd_2_4() -> Result<()> {
    lives_and_dies(Flavour::Stock, Version::V2_4)
}

#[test]
fn a_pod_lives_and_dies_on_our_kubelet_with_containerd_1_6() -> Result<()> {
    lives_and_dies(Flavour::Ours, Version::V1_6)
}

#[test]
fn a_pod_lives_and_dies_on_our_kubelet_with_containerd_2_4() -> Result<()> {
    lives_and_dies(Flavour::Ours, Version::V2_4)
}

fn lives_and_dies(flavour: Flavour, version: Version) -> Result<()> {
    if let Some(reason) = parts::lacking(&["kube-apiserver", "kubelet", "containerd"]) {
        eprintln!("skipped: {reason}");
        return Ok(());
    }
    let ground = Ground::new()?;
    let name = ground.name().to_owned();
    let plane = ControlPlane::start(&ground)?;
    let mut node = Node::joined(&ground, &plane, 1, version)?;
    node.start_kubelet(flavour, &plane)?;

    runs(&plane)?;
    goes(&plane, &mut node)?;

    node.stop_kubelet()?;
    drop((node, plane, ground));
    let remains = Ground::remains(&name)?;
    ensure!(remains.is_empty(), "the scenario leaves behind:\n{remains}");
    Ok(())
}

#[test]
fn a_static_pod_lives_and_dies_with_its_manifest_on_the_stock_kubelet() -> Result<()> {
    static_pod_lives_and_dies(Flavour::Stock, Version::V2_4)
}

#[test]
fn a_static_pod_lives_and_dies_on_our_kubelet() -> Result<()> {
    static_pod_lives_and_dies(Flavour::Ours, Version::V2_4)
}

fn static_pod_lives_and_dies(flavour: Flavour, version: Version) -> Result<()> {
    if let Some(reason) = parts::lacking(&["kubelet", "containerd"]) {
        eprintln!("skipped: {reason}");
        return Ok(());
    }
    let ground = Ground::new()?;
    let lan = Lan::new(&ground)?;
    let mut node = Node::standalone(&ground, &lan, 1, version)?;
    node.start_kubelet_alone(flavour)?;
    let manifest = node.manifests().join("greeter.yaml");
    std::fs::write(&manifest, POD)?;
    wait::until("the static pod running", SOON, || {
        let pods: Value = serde_json::from_str(&node.ask_kubelet("/pods")?)?;
        let pod = &pods["items"][0];
        ensure!(pod["metadata"]["name"] == "greeter-node-1", "the pods {}", pods["items"]);
        ensure!(pod["status"]["phase"] == "Running", "the status {}", pod["status"]);
        Ok(())
    })?;
    std::fs::remove_file(manifest)?;
    wait::until("the pod's containers being gone", SOON, || {
        let running = node.containerd().running()?;
        ensure!(running.is_empty(), "containers {running:?}");
        Ok(())
    })?;
    node.stop_kubelet()
}

fn runs(plane: &ControlPlane) -> Result<()> {
    let kubectl = plane.kubectl();
    plane.namespace("life")?;
    kubectl.create(POD)?;
    let pod = ["--namespace", "life", "pod/greeter"];
    let running = kubectl.wait_condition(&pod, "Ready", SOON)?;
    ensure!(running["status"]["phase"] == "Running", "a ready pod is {}", running["status"]["phase"]);
    ensure!(running["spec"]["nodeName"] == "node-1", "the pod is on {}", running["spec"]["nodeName"]);
    let address = running["status"]["podIP"].as_str().unwrap_or_default();
    ensure!(address.starts_with("10.88.1."), "the pod's address is {address:?}");

    let logs = wait::until("the greeting", SOON, || {
        let logs = kubectl.run(&["--namespace", "life", "logs", "greeter", "--container", "hello"])?;
        ensure!(!logs.is_empty(), "an empty log");
        Ok(logs)
    })?;
    ensure!(logs == "greetings from a pod\n", "the log holds {logs:?}");

    let exec = ["--namespace", "life", "exec", "greeter", "--container", "second", "--"];
    let answer = kubectl.run(&[&exec[..], &["hostname"]].concat())?;
    ensure!(answer == "greeter\n", "exec answers {answer:?}");
    Ok(())
}

/// Deleted: gone from the API, then its processes, cgroups and folder.
fn goes(plane: &ControlPlane, node: &mut Node) -> Result<()> {
    let kubectl = plane.kubectl();
    kubectl.run(&["--namespace", "life", "delete", "pod", "greeter", "--wait=false"])?;
    wait::until("the pod being gone", SOON, || {
        let pods = kubectl.get(&["--namespace", "life", "pods"])?;
        ensure!(pods["items"] == json!([]), "there is still {}", pods["items"][0]["status"]);
        Ok(())
    })?;
    wait::until("nothing of the pod on the node", SOON, || {
        let running = node.containerd().running()?; // the stock kubelet keeps dead sandboxes for up to a minute
        ensure!(running.is_empty(), "containers {running:?}");
        let folders: Vec<_> = std::fs::read_dir(node.root().join("pods"))?.collect();
        ensure!(folders.is_empty(), "folders {folders:?}");
        let is_pod = |path: &std::path::PathBuf| path.to_string_lossy().contains("/pod");
        let groups: Vec<_> = cgroups::below(node.cgroup())?.into_iter().filter(is_pod).collect();
        ensure!(groups.is_empty(), "cgroups {groups:?}");
        Ok(())
    })
}
