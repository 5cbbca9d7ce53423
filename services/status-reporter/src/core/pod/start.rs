//! When a pod's start is over: the moment that its trace ends with.

use super::merge;
use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};

/// Whether the pod runs and every container of its spec was started. Who watches pods sees a start end
/// just then.
pub(crate) fn is_over(status: &PodStatus) -> bool {
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    let was_started = containers.iter().all(|container| {
        container.state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    });
    status.phase.as_deref() == Some("Running") && !containers.is_empty() && was_started
}

/// Nanoseconds in a second, to which statuses are exact.
const SECOND: i64 = 1_000_000_000;

/// The latest moment at which the last container can have been started, by a status; `None` when it does not tell.
pub(crate) fn latest(status: &PodStatus) -> Option<i64> {
    let begun = |container: &ContainerStatus| {
        let state = container.state.as_ref()?;
        let running = state.running.as_ref().and_then(|running| running.started_at.clone());
        let ended = state.terminated.as_ref().and_then(|ended| ended.started_at.clone());
        i64::try_from(running.or(ended)?.0.as_nanosecond()).ok()
    };
    let begun = status.container_statuses.iter().flatten().filter_map(begun).max();
    begun.map(|begun| begun.saturating_add(SECOND))
}

/// Whether the pod is ready.
pub(crate) fn is_ready(status: &PodStatus) -> bool {
    merge::holds(status, "Ready")
}

/// The end of a start, to be told as the root of its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Which life of the pod.
    pub(crate) life: u32,
    /// When the pod was first seen; nanoseconds since the Unix epoch, as all here.
    pub(crate) began: i64,
    /// When it was heard that all containers had been started.
    pub(crate) containers_started: i64,
    /// When it was heard that the pod was ready; `None` while a probe keeps it waiting.
    pub(crate) ready: Option<i64>,
    /// When the start was over for everyone.
    pub(crate) ended: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_start_is_over_when_every_container_was_started() {
        let status = |phase: &str, states: &[Value]| -> PodStatus {
            let containers: Vec<_> = states
                .iter()
                .map(|state| json!({"name": "a", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state}))
                .collect();
            serde_json::from_value(json!({"phase": phase, "containerStatuses": containers})).unwrap()
        };
        let (running, waiting) =
            (json!({"running": {}}), json!({"waiting": {"reason": "ContainerCreating"}}));
        let ended = json!({"terminated": {"exitCode": 0}});
        let cases: &[(&str, &str, &[Value], bool)] = &[
            ("nothing runs", "Pending", std::slice::from_ref(&waiting), false),
            ("everything runs", "Running", &[running.clone(), running.clone()], true),
            ("one is missing", "Running", &[running.clone(), waiting.clone()], false),
            ("one has ended already", "Running", &[running.clone(), ended], true),
            ("the phase is not there yet", "Pending", &[running], false),
            ("no container is known", "Running", &[], false),
        ];
        for (name, phase, states, over) in cases {
            assert_eq!(is_over(&status(phase, states)), *over, "{name}");
        }
    }
}
