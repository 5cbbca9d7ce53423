//! A pod's phase from the statuses of its containers (`getPhase` of the stock kubelet).

use crate::core::{restart, spec};
use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, ContainerStatus, PodSpec};

/// The phase that containers are in.
pub const PENDING: &str = "Pending";
/// At least one container runs or is being restarted.
pub const RUNNING: &str = "Running";
/// All have ended well.
pub const SUCCEEDED: &str = "Succeeded";
/// All have ended, one badly; or the node has failed the pod.
pub const FAILED: &str = "Failed";

/// Whether a phase is never left.
pub fn is_terminal(phase: Option<&str>) -> bool {
    matches!(phase, Some(SUCCEEDED | FAILED))
}

/// What the phase depends on.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The spec.
    pub spec: &'a PodSpec,
    /// Statuses of init containers and sidecars.
    pub init: &'a [ContainerStatus],
    /// Statuses of regular containers.
    pub regular: &'a [ContainerStatus],
    /// A regular container was made in the active sandbox.
    pub has_begun: bool,
    /// Nothing will be restarted any more. Never set for static pods, whose phase nobody waits for.
    pub is_ending: bool,
}

/// The phase.
pub fn phase(question: &Question<'_>) -> &'static str {
    let init = initialisation(question);
    let regular = regular(question);
    if init.failed {
        return FAILED;
    }
    if init.pending || (init.sidecar_pending && !question.has_begun) || init.waiting || regular.waiting {
        return PENDING;
    }
    if init.unknown || regular.unknown {
        return PENDING;
    }
    if init.running || regular.running {
        return RUNNING;
    }
    match (regular.stopped, regular.restartable && !question.is_ending) {
        (0, _) => PENDING,
        (_, true) => RUNNING,
        (stopped, false) if stopped == regular.succeeded => SUCCEEDED,
        _ => FAILED,
    }
}

#[derive(Debug, Default)]
struct Tally {
    failed: bool,
    pending: bool,
    sidecar_pending: bool,
    waiting: bool,
    unknown: bool,
    running: bool,
    restartable: bool,
    stopped: usize,
    succeeded: usize,
}

/// How a container stands: the parts of a state that a phase asks for.
enum Standing<'a> {
    Unknown,
    Running,
    Waiting,
    /// Ended, or waiting to be started again after an end.
    Stopped {
        end: &'a ContainerStateTerminated,
        now: bool,
    },
}

fn standing<'a>(name: &str, statuses: &'a [ContainerStatus]) -> Standing<'a> {
    let Some(status) = statuses.iter().find(|status| status.name == name) else { return Standing::Unknown };
    let Some(state) = &status.state else { return Standing::Unknown };
    let last = status.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    match (&state.running, &state.terminated, &state.waiting, last) {
        (Some(_), ..) => Standing::Running,
        (_, Some(end), ..) => Standing::Stopped { end, now: true },
        (_, _, Some(_), Some(end)) => Standing::Stopped { end, now: false },
        (_, _, Some(_), None) => Standing::Waiting,
        _ => Standing::Unknown,
    }
}

fn initialisation(question: &Question<'_>) -> Tally {
    let mut tally = Tally::default();
    for container in question.spec.init_containers.iter().flatten() {
        let standing = standing(&container.name, question.init);
        if spec::is_sidecar(container) {
            count_sidecar(&mut tally, container, standing, question.init);
        } else {
            count_init(&mut tally, container, standing, question.spec);
        }
    }
    tally
}

fn count_init(tally: &mut Tally, container: &Container, standing: Standing<'_>, spec: &PodSpec) {
    match standing {
        Standing::Stopped { end, .. } if end.exit_code == 0 => {}
        Standing::Stopped { end, .. } => {
            tally.failed |= !restart::restarts_after(container, spec, end.exit_code);
        }
        Standing::Unknown | Standing::Running | Standing::Waiting => tally.pending = true,
    }
}

/// How a sidecar ended never counts; that it has not started yet does.
fn count_sidecar(tally: &mut Tally, container: &Container, standing: Standing<'_>, init: &[ContainerStatus]) {
    match standing {
        Standing::Running => {
            let status = init.iter().find(|status| status.name == container.name);
            tally.sidecar_pending |= status.is_none_or(|status| status.started != Some(true));
            tally.running = true;
        }
        Standing::Waiting => (tally.sidecar_pending, tally.waiting) = (true, true),
        Standing::Unknown => tally.unknown = true,
        Standing::Stopped { .. } => {}
    }
}

fn regular(question: &Question<'_>) -> Tally {
    let mut tally = Tally::default();
    for container in &question.spec.containers {
        match standing(&container.name, question.regular) {
            Standing::Unknown => tally.unknown = true,
            Standing::Running => tally.running = true,
            Standing::Waiting => tally.waiting = true,
            Standing::Stopped { end, now } => {
                tally.stopped += 1;
                tally.succeeded += usize::from(now && end.exit_code == 0);
                tally.restartable |= restart::restarts_after(container, question.spec, end.exit_code);
            }
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::PodBuilder;
    use k8s_openapi::api::core::v1::{ContainerState, ContainerStateRunning, ContainerStateWaiting};

    fn status(name: &str, text: &str) -> ContainerStatus {
        let end = |code: &str| ContainerState {
            terminated: Some(ContainerStateTerminated {
                exit_code: code.parse().unwrap(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let running =
            ContainerState { running: Some(ContainerStateRunning::default()), ..Default::default() };
        let waiting =
            ContainerState { waiting: Some(ContainerStateWaiting::default()), ..Default::default() };
        let (state, last_state) = match text.split_once(' ').unwrap_or((text, "")) {
            ("runs", _) => (running, None),
            ("waits", "") => (waiting, None),
            ("waits", code) => (waiting, Some(end(code))),
            ("ended", code) => (end(code), None),
            other => panic!("{other:?}"),
        };
        let started = Some(text == "runs started");
        ContainerStatus { name: name.into(), state: Some(state), last_state, started, ..Default::default() }
    }

    fn of(policy: &str, init: &[(&str, &str)], regular: &[&str], flags: (bool, bool)) -> &'static str {
        let mut pod = PodBuilder::new().restart_policy(policy);
        for (name, _) in init {
            pod = if *name == "side" { pod.sidecar(name) } else { pod.init(name) };
        }
        for index in 0..regular.len() {
            pod = pod.container(&format!("app{index}"));
        }
        let pod = pod.build();
        let init: Vec<_> = init.iter().map(|(name, text)| status(name, text)).collect();
        let regular: Vec<_> =
            regular.iter().enumerate().map(|(index, text)| status(&format!("app{index}"), text)).collect();
        let (spec, (has_begun, is_ending)) = (pod.spec.as_ref().unwrap(), flags);
        phase(&Question { spec, init: &init, regular: &regular, has_begun, is_ending })
    }

    #[test]
    fn regular_containers_make_the_phase() {
        let cases: &[(&str, &str, &[&str], bool, &str)] = &[
            ("one still waits", "Always", &["runs", "waits"], false, PENDING),
            ("all run", "Always", &["runs", "runs"], false, RUNNING),
            ("one runs, one has ended", "Never", &["runs", "ended 1"], false, RUNNING),
            ("all ended, Always", "Always", &["ended 0"], false, RUNNING),
            ("in back-off", "Always", &["waits 1"], false, RUNNING),
            ("all succeeded, OnFailure", "OnFailure", &["ended 0", "ended 0"], false, SUCCEEDED),
            ("one failed, OnFailure", "OnFailure", &["ended 0", "ended 1"], false, RUNNING),
            ("all succeeded, Never", "Never", &["ended 0"], false, SUCCEEDED),
            ("one failed, Never", "Never", &["ended 0", "ended 2"], false, FAILED),
            ("deleted, Always, ended well", "Always", &["ended 0"], true, SUCCEEDED),
            ("deleted, Always, ended badly", "Always", &["ended 143"], true, FAILED),
            ("deleted before it ran", "Always", &["waits"], true, PENDING),
        ];
        for (sentence, policy, regular, ending, want) in cases {
            assert_eq!(of(policy, &[], regular, (false, *ending)), *want, "{sentence}");
        }
    }

    #[test]
    fn init_containers_and_sidecars_hold_it_back() {
        let cases = [
            ("init runs", "Always", ("one", "runs"), "waits", false, PENDING),
            ("init is restarted", "Always", ("one", "waits 1"), "waits", false, PENDING),
            ("init failed for good", "Never", ("one", "ended 1"), "waits", false, FAILED),
            ("init failed, will be restarted", "Always", ("one", "ended 1"), "waits", false, PENDING),
            ("init is done", "Never", ("one", "ended 0"), "runs", true, RUNNING),
            ("a sidecar has not started", "Always", ("side", "runs"), "waits", false, PENDING),
            ("a sidecar restarts beside the app", "Always", ("side", "runs"), "runs", true, RUNNING),
            ("a sidecar crashes beside the app", "Always", ("side", "waits 1"), "runs", true, RUNNING),
            (
                "a sidecar's exit code never counts",
                "Never",
                ("side", "ended 137"),
                "ended 0",
                true,
                SUCCEEDED,
            ),
            ("a sidecar alone runs on", "Never", ("side", "runs started"), "ended 0", true, RUNNING),
        ];
        for (sentence, policy, init, regular, begun, want) in cases {
            assert_eq!(of(policy, &[init], &[regular], (begun, false)), want, "{sentence}");
        }
    }
}
