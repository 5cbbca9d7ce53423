//! The views that there are of a node's pods (the API's, the runtime's, the node's own, the machine's), which must be
//! equal whenever all is calm.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use proto::runtime::v1::{ContainerState, PodSandboxState};
use serde_json::Value;

use crate::cgroups;
use crate::control_plane::ControlPlane;
use crate::cri::{self, Held};
use crate::node::Node;

/// Pods by UID; of each its running containers: by name, which attempt under which id.
type Pods = BTreeMap<String, BTreeMap<String, (u32, String)>>;

/// The label by which whoever made a sandbox or container is found.
const UID: &str = "io.kubernetes.pod.uid";
/// The label of a container's name in its spec.
const NAME: &str = "io.kubernetes.container.name";
/// The annotation of a mirror pod, which holds the static pod's UID.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Fails with the first difference between the views; tells how many pods run. Pods that have finished count as none.
pub fn compare(plane: &ControlPlane, node: &Node) -> Result<usize> {
    let api = told(&plane.kubectl().get(&["pods", "--all-namespaces"])?)?;
    let own = told(&serde_json::from_str(&node.ask_kubelet("/pods")?)?)?;
    let held = cri::held(&node.runtime().socket())?;
    let runtime = in_runtime(&held)?;
    ensure!(api == runtime, "the API has {api:?}, the runtime {runtime:?}");
    ensure!(own == runtime, "the node tells {own:?}, the runtime holds {runtime:?}");
    let uids: BTreeSet<&String> = runtime.keys().collect();
    let (cgroups, folders) = (in_cgroups(node)?, in_folders(node)?);
    ensure!(cgroups.iter().collect::<BTreeSet<_>>() == uids, "cgroups are of {cgroups:?}, pods are {uids:?}");
    ensure!(uids.iter().all(|uid| folders.contains(*uid)), "folders are of {folders:?}, pods are {uids:?}");
    Ok(runtime.len())
}

/// Of a list of pods those that run anything.
fn told(list: &Value) -> Result<Pods> {
    let mut pods = Pods::new();
    for pod in list["items"].as_array().context("no list of pods")? {
        let mirrored = &pod["metadata"]["annotations"][MIRROR];
        let uid = if mirrored.is_string() { mirrored } else { &pod["metadata"]["uid"] };
        let statuses = ["initContainerStatuses", "containerStatuses"].map(|kind| &pod["status"][kind]);
        let statuses = statuses.into_iter().filter_map(Value::as_array).flatten();
        let running = statuses.filter(|status| status["state"]["running"].is_object()).map(instance);
        let running = running.collect::<Result<BTreeMap<_, _>>>()?;
        if !running.is_empty() {
            pods.insert(uid.as_str().context("a pod without a UID")?.to_owned(), running);
        }
    }
    Ok(pods)
}

fn instance(status: &Value) -> Result<(String, (u32, String))> {
    let name = status["name"].as_str().context("a container without a name")?;
    let id = status["containerID"].as_str().and_then(|id| id.split_once("://")).context("no container id")?;
    let attempt = status["restartCount"].as_u64().context("no restart count")?;
    Ok((name.to_owned(), (u32::try_from(attempt)?, id.1.to_owned())))
}

fn in_runtime(held: &Held) -> Result<Pods> {
    let mut pods = Pods::new();
    for sandbox in held.sandboxes.iter().filter(|it| it.state() == PodSandboxState::SandboxReady) {
        let uid = sandbox.labels.get(UID).context("a sandbox that no kubelet made")?;
        if pods.insert(uid.clone(), BTreeMap::new()).is_some() {
            bail!("the pod {uid} has two sandboxes");
        }
    }
    for container in held.containers.iter().filter(|it| it.state() == ContainerState::ContainerRunning) {
        let (uid, name) = (&container.labels[UID], &container.labels[NAME]);
        let attempt = container.metadata.as_ref().context("no metadata")?.attempt;
        let pod =
            pods.get_mut(uid).with_context(|| format!("container {name} of {uid} runs in no sandbox"))?;
        if pod.insert(name.clone(), (attempt, container.id.clone())).is_some() {
            bail!("container {name} of {uid} runs twice");
        }
    }
    Ok(pods)
}

/// The UIDs of the pods that have a cgroup.
fn in_cgroups(node: &Node) -> Result<BTreeSet<String>> {
    let names = cgroups::below(node.cgroup())?.into_iter();
    let names = names.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    Ok(names.filter_map(|name| Some(name.strip_prefix("pod")?.to_owned())).collect())
}

/// The UIDs of the pods that have a folder.
fn in_folders(node: &Node) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(node.root().join("pods"))?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}
