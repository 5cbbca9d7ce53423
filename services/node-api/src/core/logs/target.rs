//! Whose log is meant: the instance of a container, or why there is none (`validateContainerLogStatus` of
//! `pkg/kubelet/kubelet_pods.go`; the texts are what `kubectl logs` prints).

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, PodStatus};

/// The CRI id of the instance whose log is wanted.
pub(crate) fn instance(
    pod: &str,
    status: Option<&PodStatus>,
    container: &str,
    previous: bool,
) -> Result<String, String> {
    let says = |what: &str| format!("container {container:?} in pod {pod:?} {what}");
    let found = status.and_then(|status| find(status, container)).ok_or_else(|| says("is not available"))?;
    let last = found.last_state.as_ref().and_then(ended);
    let state = found.state.as_ref();
    if previous {
        let missing = || format!("previous terminated container {container:?} in pod {pod:?} not found");
        return last.filter(|id| !id.is_empty()).map(bare).ok_or_else(missing);
    }
    let running = state.is_some_and(|state| state.running.is_some());
    match state.and_then(ended) {
        _ if running => Ok(bare(found.container_id.as_deref().unwrap_or_default())),
        Some("") | None if last.is_some_and(|id| !id.is_empty()) => Ok(bare(last.unwrap_or_default())),
        Some("") => Err(says("is terminated")),
        Some(id) => Ok(bare(id)),
        None if last.is_some() => Err(says("is terminated")),
        None => Err(says(&waiting(state))),
    }
}

fn waiting(state: Option<&ContainerState>) -> String {
    let reason = state.and_then(|state| state.waiting.as_ref()).map(|waiting| waiting.reason.as_deref());
    match reason {
        None => "is waiting to start - no logs yet".to_owned(),
        Some(Some("ErrImagePull")) => "is waiting to start: image can't be pulled".to_owned(),
        Some(Some("ImagePullBackOff")) => "is waiting to start: trying and failing to pull image".to_owned(),
        Some(other) => format!("is waiting to start: {}", other.unwrap_or_default()),
    }
}

/// The id in a state that is one of having ended; empty where the instance never was.
fn ended(state: &ContainerState) -> Option<&str> {
    state.terminated.as_ref().map(|ended| ended.container_id.as_deref().unwrap_or_default())
}

fn find<'s>(status: &'s PodStatus, container: &str) -> Option<&'s ContainerStatus> {
    let lists =
        [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    lists.into_iter().flatten().flatten().find(|status| status.name == container)
}

/// An id without the runtime's name before it (`containerd://…`).
fn bare(id: &str) -> String {
    id.split_once("://").map_or(id, |(_, id)| id).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{
        ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    };

    fn ran(id: &str) -> ContainerState {
        let terminated = ContainerStateTerminated { container_id: Some(id.into()), ..Default::default() };
        ContainerState { terminated: Some(terminated), ..Default::default() }
    }

    fn waits(reason: &str) -> ContainerState {
        let waiting = ContainerStateWaiting { reason: Some(reason.into()), message: None };
        ContainerState { waiting: Some(waiting), ..Default::default() }
    }

    fn runs() -> ContainerState {
        ContainerState { running: Some(ContainerStateRunning::default()), ..Default::default() }
    }

    fn ask(
        state: Option<ContainerState>,
        last: Option<ContainerState>,
        previous: bool,
    ) -> Result<String, String> {
        let container = ContainerStatus {
            name: "app".into(),
            container_id: Some("containerd://now".into()),
            state,
            last_state: last,
            ..Default::default()
        };
        let status = PodStatus { container_statuses: Some(vec![container]), ..Default::default() };
        instance("web", Some(&status), "app", previous)
    }

    #[test]
    fn each_state_has_its_log_or_its_sentence() {
        let before = || Some(ran("containerd://before"));
        let says = |what: &str| Err(format!("container \"app\" in pod \"web\" {what}"));
        let cases = [
            ("running", ask(Some(runs()), None, false), Ok("now".to_owned())),
            ("ended", ask(Some(ran("containerd://now")), None, false), Ok("now".to_owned())),
            ("ended without ever being", ask(Some(ran("")), None, false), says("is terminated")),
            (
                "ended without ever being, after another",
                ask(Some(ran("")), before(), false),
                Ok("before".to_owned()),
            ),
            (
                "waiting after another",
                ask(Some(waits("CrashLoopBackOff")), before(), false),
                Ok("before".to_owned()),
            ),
            (
                "waiting after one that never was",
                ask(Some(waits("x")), Some(ran("")), false),
                says("is terminated"),
            ),
            (
                "waiting to be created",
                ask(Some(waits("ContainerCreating")), None, false),
                says("is waiting to start: ContainerCreating"),
            ),
            (
                "no image",
                ask(Some(waits("ErrImagePull")), None, false),
                says("is waiting to start: image can't be pulled"),
            ),
            (
                "still no image",
                ask(Some(waits("ImagePullBackOff")), None, false),
                says("is waiting to start: trying and failing to pull image"),
            ),
            ("nothing known", ask(None, None, false), says("is waiting to start - no logs yet")),
            ("the one before", ask(Some(runs()), before(), true), Ok("before".to_owned())),
            (
                "no one before",
                ask(Some(runs()), None, true),
                Err("previous terminated container \"app\" in pod \"web\" not found".to_owned()),
            ),
        ];
        for (name, got, want) in cases {
            assert_eq!(got, want, "{name}");
        }
        assert_eq!(instance("web", None, "app", false), says("is not available"));
    }
}
