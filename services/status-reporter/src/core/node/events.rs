//! Events about the node itself.

use super::conditions::Wanted;
use chassis::config::NodeConfig;
use k8s_openapi::api::core::v1::{Node, NodeStatus};
use messages::{
    Owner,
    status_reporter::{About, RecordEvent, Severity},
};

/// The node's agent has begun.
pub(super) fn beginning(cgroup_version: Option<u8>, at: i64) -> Vec<RecordEvent> {
    let mut events = vec![normal("Starting", "Starting kubelet.".to_owned(), at)];
    if cgroup_version == Some(1) {
        let message = "this machine has cgroup v1, which Kubernetes only keeps alive: move it to cgroup v2";
        events.push(warning("CgroupV1", message.to_owned(), at));
    }
    events
}

/// Conditions that have changed.
pub(super) fn transitions(config: &NodeConfig, changed: &[&Wanted], at: i64) -> Vec<RecordEvent> {
    let event = |wanted: &&Wanted| {
        let (is_warning, reason) = wanted.event();
        let message = format!("Node {} status is now: {reason}", config.node_name);
        if is_warning { warning(reason, message, at) } else { normal(reason, message, at) }
    };
    changed.iter().map(event).collect()
}

/// The machine was booted since the node was last written.
pub(super) fn rebooted(known: &Node, status: &NodeStatus, at: i64) -> Option<RecordEvent> {
    let boot_id = |status: &NodeStatus| Some(status.node_info.as_ref()?.boot_id.clone());
    let (was, is) = (boot_id(known.status.as_ref()?)?, boot_id(status)?);
    let name = known.metadata.name.as_deref().unwrap_or_default();
    (!was.is_empty() && was != is)
        .then(|| warning("Rebooted", format!("Node {name} has been rebooted, boot id: {is}"), at))
}

/// Somebody has cordoned the node, or let it go again.
pub(super) fn schedulable(known: Option<&Node>, seen: &Node, at: i64) -> Option<RecordEvent> {
    let cordoned = |node: &Node| node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default();
    let (was, is) = (cordoned(known?), cordoned(seen));
    let reason = if is { "NodeNotSchedulable" } else { "NodeSchedulable" };
    let name = seen.metadata.name.as_deref().unwrap_or_default();
    (was != is).then(|| normal(reason, format!("Node {name} status is now: {reason}"), at))
}

/// A process without which the node is worse off has fallen silent.
pub(super) fn silent(owner: Owner, at: i64) -> RecordEvent {
    warning("CompartmentSilent", format!("{owner} has not been heard from; pods go on without it"), at)
}

fn normal(reason: &str, message: String, at: i64) -> RecordEvent {
    RecordEvent { about: About::Node, severity: Severity::Normal, reason: reason.to_owned(), message, at }
}

fn warning(reason: &str, message: String, at: i64) -> RecordEvent {
    RecordEvent { severity: Severity::Warning, ..normal(reason, message, at) }
}
