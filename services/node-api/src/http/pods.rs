//! What only tells: pods, configuration, metrics.

use super::{answer::Answer, node::Node};
use crate::{
    actors::directory::Look,
    adapters::process_table,
    core::{directory::Directory, metrics, pod_list},
};
use axum::extract::State;
use chassis::config::KUBELET_VERSION;
use messages::{BootTime, Owner};
use serde_json::json;
use std::time::Duration;

/// Go's word for the platform.
const PLATFORM: &str = if cfg!(target_arch = "aarch64") { "linux/arm64" } else { "linux/amd64" };
/// A process that was not heard of for this long may be gone, and its number another's.
const STALE: Duration = Duration::from_secs(20);

/// `/pods`.
pub(crate) async fn desired(State(node): State<Node>) -> Result<Answer, Answer> {
    list(node.look(pod_list::desired).await?)
}

/// `/runningpods/`.
pub(crate) async fn running(State(node): State<Node>) -> Result<Answer, Answer> {
    list(node.look(pod_list::running).await?)
}

fn list(text: serde_json::Result<String>) -> Result<Answer, Answer> {
    text.map(Answer::json).map_err(|error| Answer::text(500, error.to_string()))
}

/// `/configz`: the configuration in force, with its type.
pub(crate) async fn configz(State(node): State<Node>) -> Result<Answer, Answer> {
    let written = serde_json::to_value(&node.config.kubelet);
    let mut written = written.map_err(|error| Answer::text(500, error.to_string()))?;
    if let Some(fields) = written.as_object_mut() {
        fields.insert("kind".into(), "KubeletConfiguration".into());
        fields.insert("apiVersion".into(), "kubelet.config.k8s.io/v1beta1".into());
    }
    Ok(Answer::json(json!({ "kubeletconfig": written }).to_string()))
}

/// `/metrics`.
pub(crate) async fn metrics(State(node): State<Node>) -> Result<Answer, Answer> {
    let now = chassis::clock::now_boot();
    let text = node.directory.send(Look::at_all(move |directory, requests| {
        let pids = Owner::ALL.into_iter().filter_map(|owner| Some((owner, pid(owner, directory, now)?)));
        let usage = pids.filter_map(|(owner, pid)| Some((owner, process_table::usage(pid)?))).collect();
        metrics::render(directory, &usage, requests, (KUBELET_VERSION, PLATFORM))
    }));
    text.await.map(Answer::metrics).map_err(|_| Answer::leaving())
}

fn pid(owner: Owner, directory: &Directory, now: BootTime) -> Option<u32> {
    if owner == Owner::NodeApi {
        return Some(std::process::id());
    }
    let (health, heard) = directory.health(owner)?;
    (now.since(*heard) < STALE).then_some(health.pid)
}
