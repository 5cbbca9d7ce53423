//! Whether a pod needs a sandbox, and whether it is worth making one.

use super::{
    restart::{self, Policy},
    runtime::View,
    spec,
};
use k8s_openapi::api::core::v1::PodSpec;
use messages::cri_bridge::{Container, ContainerState};

/// What to do about the pod's sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sandboxing {
    /// The newest one serves.
    Keep,
    /// Make one of this attempt, after what runs in older ones was stopped.
    Create {
        /// `PodSandboxMetadata.attempt`.
        attempt: u32,
    },
    /// None is needed any more: the pod is done.
    Done,
}

/// The attempt of the sandbox that must be made before containers can start; `None` while the
/// newest one serves. Also decides condition `PodReadyToStartContainers`.
pub fn missing_attempt(spec: &PodSpec, runtime: View<'_>) -> Option<u32> {
    let Some(newest) = runtime.sandboxes().first() else { return Some(0) };
    let ready = runtime.sandboxes().iter().filter(|sandbox| sandbox.ready).count();
    let host = spec::is_host_network(spec);
    let serves =
        newest.ready && ready == 1 && newest.host_network == host && (host || !newest.ips.is_empty());
    (!serves).then_some(newest.attempt + 1)
}

/// What to do about the sandbox of a pod that should be running.
pub fn decide(spec: &PodSpec, runtime: View<'_>) -> Sandboxing {
    let Some(attempt) = missing_attempt(spec, runtime) else { return Sandboxing::Keep };
    let never = spec.restart_policy.as_deref() == Some("Never");
    let ran_before = attempt != 0 && !runtime.containers().is_empty();
    if (never && ran_before) || nothing_left_to_start(spec, runtime) {
        return Sandboxing::Done;
    }
    Sandboxing::Create { attempt }
}

/// Initialisation is over and every regular container has succeeded once and for all.
fn nothing_left_to_start(spec: &PodSpec, runtime: View<'_>) -> bool {
    let regular = spec::regular_parts(spec);
    let newest = |name: &str| runtime.newest(name);
    let initialised = regular.iter().any(|part| newest(part.name()).is_some_and(was_created));
    let done = regular.iter().all(|part| {
        let once = restart::policy(&part.container, spec) == Policy::OnFailure;
        once && newest(part.name()).is_some_and(has_succeeded)
    });
    initialised && done
}

fn was_created(container: &Container) -> bool {
    container.state != ContainerState::Unknown
}

fn has_succeeded(container: &Container) -> bool {
    container.state == ContainerState::Exited && container.exit_code == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::{PodBuilder, RuntimeBuilder};

    #[test]
    fn a_sandbox_is_made_when_none_serves() {
        let runtime = RuntimeBuilder::new;
        let cases = [
            ("there is none", runtime(), false, Some(0)),
            ("one is ready", runtime().sandbox(0, true, &["10.0.0.1"]), false, None),
            ("the newest is not ready", runtime().sandbox(0, false, &["10.0.0.1"]), false, Some(1)),
            (
                "an older one is ready too",
                runtime().sandbox(1, true, &["10.0.0.2"]).sandbox(0, true, &["10.0.0.1"]),
                false,
                Some(2),
            ),
            (
                "an older one is not ready any more",
                runtime().sandbox(1, true, &["10.0.0.2"]).sandbox(0, false, &[]),
                false,
                None,
            ),
            ("it has no address", runtime().sandbox(0, true, &[]), false, Some(1)),
            ("it is on the wrong network", runtime().sandbox(3, true, &["10.0.0.1"]), true, Some(4)),
            ("the node's network needs no address", runtime().host_sandbox(0), true, None),
        ];
        for (sentence, runtime, host, want) in cases {
            let mut pod = PodBuilder::new().container("app");
            if host {
                pod = pod.host_network();
            }
            let (runtime, pod) = (runtime.build(), pod.build());
            let spec = pod.spec.as_ref().unwrap();
            assert_eq!(missing_attempt(spec, View(Some(&runtime))), want, "{sentence}");
        }
    }

    #[test]
    fn a_pod_that_is_done_gets_no_new_sandbox() {
        let dead = || RuntimeBuilder::new().sandbox(0, false, &["10.0.0.1"]);
        let cases = [
            ("Always: everything is started again", "Always", dead().exited("app", 0, 0), true),
            ("Never, and containers have run: done", "Never", dead().exited("app", 0, 0), false),
            ("Never, and none has ever been made: again", "Never", dead(), true),
            ("OnFailure, and all succeeded: done", "OnFailure", dead().exited("app", 0, 0), false),
            ("OnFailure, and one failed: again", "OnFailure", dead().exited("app", 0, 1), true),
            ("OnFailure, and one has never been made: again", "OnFailure", dead(), true),
        ];
        for (sentence, policy, runtime, creates) in cases {
            let pod = PodBuilder::new().restart_policy(policy).container("app").build();
            let runtime = runtime.build();
            let want = if creates { Sandboxing::Create { attempt: 1 } } else { Sandboxing::Done };
            assert_eq!(decide(pod.spec.as_ref().unwrap(), View(Some(&runtime))), want, "{sentence}");
        }
    }
}
