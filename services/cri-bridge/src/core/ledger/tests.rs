//! Tables for commands and for what is said.

use super::*;
use crate::core::samples;
use messages::{
    Incarnation, Refusal,
    pod_lifecycle::{ContainerKind, PodSource},
};
use serde_json::json;

fn decision(revision: u64) -> Decision {
    Decision { incarnation: Incarnation(1), revision }
}

fn pod(revision: u64, stage: Stage) -> Pod {
    let object = samples::pod(json!({"containers": [{"name": "app", "image": "busybox"}]}));
    Pod {
        pod: "u-1".parse().unwrap(),
        decision: decision(revision),
        source: PodSource::Api,
        stage,
        object: Box::new(object),
    }
}

fn volumes() -> Volumes {
    Volumes {
        pod: "u-1".parse().unwrap(),
        phase: VolumesPhase::Ready,
        revision: 1,
        volumes: Vec::new(),
        pod_dir: "/pods/u-1".into(),
        supplemental_groups: Vec::new(),
    }
}

fn sandbox(attempt: u32, ready: bool) -> Sandbox {
    Sandbox { id: format!("s{attempt}"), attempt, ready, created_at: 0, host_network: false, ips: Vec::new() }
}

fn container(attempt: u32, state: ContainerState) -> Container {
    Container { id: format!("c{attempt}"), attempt, state, ..samples::container() }
}

/// A pod that was decided on at 5, with volumes and a ready sandbox.
fn ready() -> Ledger {
    let mut ledger = Ledger::new("u-1".parse().unwrap());
    ledger.wanted(pod(5, Stage::Running));
    ledger.mounted(Some(volumes()));
    ledger.see(vec![sandbox(0, true)], Vec::new());
    ledger
}

impl Ledger {
    /// Nothing but these is there now.
    fn see(&mut self, sandboxes: Vec<Sandbox>, containers: Vec<Container>) {
        let ids = sandboxes.iter().map(|it| it.id.clone()).chain(containers.iter().map(|it| it.id.clone()));
        self.listed(&ids.collect(), BootTime(u64::MAX));
        sandboxes.into_iter().for_each(|it| self.saw_sandbox(identity(), it, BootTime(0)));
        containers.into_iter().for_each(|it| self.saw_container(it, BootTime(0)));
    }
}

fn identity() -> PodIdentity {
    PodIdentity { uid: "u-1".parse().unwrap(), namespace: "shop".into(), name: "web".into() }
}

fn app() -> ContainerName {
    "app".parse().unwrap()
}

fn start(attempt: u32) -> Ask {
    Ask::Start { container: app(), kind: ContainerKind::Regular, attempt }
}

fn stop(id: &str) -> Ask {
    Ask::Stop { container: app(), container_id: id.into(), grace_seconds: 1, why: String::new() }
}

fn with(change: impl FnOnce(&mut Ledger)) -> Ledger {
    let mut ledger = ready();
    change(&mut ledger);
    ledger
}

fn wait(what: &str) -> Verdict {
    Verdict::Wait(Refusal::Unknown { what: what.into() })
}

fn refuse(refusal: Refusal) -> Verdict {
    Verdict::Refuse(refusal)
}

#[test]
fn a_command_waits_for_the_spec_of_its_decision() {
    let nobody = Ledger::new("u-1".parse().unwrap());
    let cases = [
        ("no spec yet", &nobody, start(0), 5, wait("the pod")),
        ("an older spec", &ready(), start(0), 6, wait("the pod")),
        ("a newer spec will do", &ready(), start(0), 4, Verdict::Begin),
        ("no volumes yet", &with(|l| l.mounted(None)), start(0), 5, wait("the pod's volumes")),
        (
            "no volumes yet, and a sandbox that comes after them",
            &with(|l| l.mounted(None)),
            Ask::Sandbox { attempt: 1, volumes_first: true },
            5,
            wait("the pod's volumes"),
        ),
        (
            "no volumes yet, and a sandbox that needs none",
            &with(|l| l.mounted(None)),
            Ask::Sandbox { attempt: 1, volumes_first: false },
            5,
            Verdict::Begin,
        ),
        (
            "no volumes yet, but an image may be pulled",
            &with(|l| l.mounted(None)),
            Ask::Pull { container: app() },
            5,
            Verdict::Begin,
        ),
        (
            "stopping needs no spec: orphans have none",
            &nobody,
            Ask::StopPod { grace_seconds: 1 },
            5,
            Verdict::Begin,
        ),
    ];
    for (sentence, ledger, ask, revision, want) in cases {
        assert_eq!(ledger.judge(&ask, decision(revision)), want, "{sentence}");
    }
}

#[test]
fn nothing_is_made_for_a_pod_that_was_told_to_stop() {
    let stopped = || {
        with(|l| {
            l.begun(Deed::StopPod, decision(6), 0);
            l.ended(&Deed::StopPod, None, 0);
        })
    };
    let ending = with(|l| l.wanted(pod(6, Stage::Terminating { grace_seconds: 1 })));
    let mut again = stopped();
    again.wanted(pod(7, Stage::Running));
    let cases = [
        ("told by command", stopped(), 6, refuse(Refusal::Superseded)),
        ("a late command of before", stopped(), 5, refuse(Refusal::Superseded)),
        ("told by its stage", ending, 6, refuse(Refusal::Superseded)),
        ("a later life may start", again, 7, Verdict::Begin),
    ];
    for (sentence, ledger, revision, want) in cases {
        for ask in [start(0), Ask::Pull { container: app() }] {
            assert_eq!(ledger.judge(&ask, decision(revision)), want, "{sentence}");
        }
    }
}

#[test]
fn a_sandbox_is_made_once_per_attempt() {
    let sandboxes = |list: Vec<Sandbox>| with(|l| l.see(list, Vec::new()));
    let busy = with(|l| l.begun(Deed::Sandbox { attempt: 1 }, decision(5), 0));
    let cases = [
        ("there is none", sandboxes(vec![]), 0, Verdict::Begin),
        ("it is there", sandboxes(vec![sandbox(0, true)]), 0, Verdict::Done),
        ("it is over", sandboxes(vec![sandbox(0, false)]), 0, refuse(Refusal::Superseded)),
        ("the next one", sandboxes(vec![sandbox(0, false)]), 1, Verdict::Begin),
        (
            "the newest counts",
            sandboxes(vec![sandbox(1, false), sandbox(2, true)]),
            1,
            refuse(Refusal::Superseded),
        ),
        ("it is being made", busy, 1, Verdict::Join),
    ];
    for (sentence, ledger, attempt, want) in cases {
        assert_eq!(
            ledger.judge(&Ask::Sandbox { attempt, volumes_first: true }, decision(5)),
            want,
            "{sentence}"
        );
    }
}

#[test]
fn a_container_is_started_once_per_attempt() {
    use ContainerState::{Created, Exited, Running};
    let holding = |list: Vec<Container>| with(|l| l.see(vec![sandbox(0, true)], list));
    let starting = with(|l| l.begun(Deed::Start { container: app(), attempt: 0 }, decision(5), 0));
    let stopping = with(|l| {
        l.see(vec![sandbox(0, true)], vec![container(0, Running)]);
        l.begun(Deed::Stop { container: app(), container_id: "c0".into() }, decision(5), 0);
    });
    let cases = [
        ("there is none", holding(vec![]), 0, Verdict::Begin),
        ("it runs", holding(vec![container(0, Running)]), 0, Verdict::Done),
        ("it ran", holding(vec![container(0, Exited)]), 0, Verdict::Done),
        ("it was made and not started", holding(vec![container(0, Created)]), 0, Verdict::Begin),
        ("the next one", holding(vec![container(0, Exited)]), 1, Verdict::Begin),
        ("a newer one is there", holding(vec![container(2, Exited)]), 1, refuse(Refusal::Superseded)),
        ("it is being started", starting, 0, Verdict::Join),
        ("the last one is being stopped", stopping, 1, refuse(Refusal::Unavailable)),
        ("no ready sandbox", with(|l| l.see(vec![sandbox(0, false)], vec![])), 0, wait("a ready sandbox")),
    ];
    for (sentence, ledger, attempt, want) in cases {
        assert_eq!(ledger.judge(&start(attempt), decision(5)), want, "{sentence}");
    }
    let stranger = Ask::Start { container: "no".parse().unwrap(), kind: ContainerKind::Regular, attempt: 0 };
    let unknown = refuse(Refusal::Unknown { what: "container no".into() });
    assert_eq!(ready().judge(&stranger, decision(5)), unknown);
}

#[test]
fn only_the_instance_that_is_meant_is_stopped() {
    use ContainerState::{Exited, Running};
    let holding = |state| with(|l| l.see(vec![], vec![container(0, state)]));
    assert_eq!(holding(Running).judge(&stop("c0"), decision(5)), Verdict::Begin);
    assert_eq!(holding(Exited).judge(&stop("c0"), decision(5)), Verdict::Done);
    assert_eq!(holding(Running).judge(&stop("c9"), decision(5)), Verdict::Done);
}

#[test]
fn a_fault_stays_until_the_next_try() {
    let mut ledger = ready();
    let deed = |attempt| Deed::Start { container: app(), attempt };
    ledger.begun(deed(0), decision(5), 1);
    ledger.ended(&deed(0), Some(Fault::new("CreateContainerError", "no")), 2);
    let told = ledger.tell(0);
    assert_eq!(told.in_flight[0].failed, Some(Fault::new("CreateContainerError", "no")));
    assert_eq!((told.in_flight[0].at, told.revision), (2, 1));
    ledger.begun(deed(1), decision(6), 3);
    ledger.ended(&deed(1), None, 4);
    assert!(ledger.tell(0).in_flight.is_empty());
}

#[test]
fn failed_pulls_are_counted_until_one_succeeds() {
    let mut ledger = ready();
    let failures = |ledger: &mut Ledger| match &ledger.tell(0).images["busybox"] {
        ImageState::Failed { failures, .. } => *failures,
        _ => 0,
    };
    for count in 1..=2 {
        ledger.pulling("busybox");
        assert!(ledger.is_busy());
        ledger.pulled("busybox", Err(Fault::new("ErrImagePull", "no")), 0);
        assert_eq!(failures(&mut ledger), count);
    }
    ledger.pulled("busybox", Ok("sha256:1".into()), 0);
    assert_eq!(ledger.image_ref("busybox"), Some("sha256:1"));
    ledger.pulled("busybox", Err(Fault::new("ErrImagePull", "no")), 0);
    assert_eq!(failures(&mut ledger), 1);
}

#[test]
fn a_hook_is_pending_until_it_ends_well_or_its_container_ends() {
    let mut ledger = ready();
    let pending = |ledger: &mut Ledger| ledger.tell(0).containers[0].hook_pending;
    ledger.hook_begun(app(), 0);
    ledger.saw_container(container(0, ContainerState::Running), BootTime(0));
    assert!(pending(&mut ledger));
    ledger.saw_container(container(0, ContainerState::Exited), BootTime(0));
    assert!(!pending(&mut ledger));
    ledger.hook_begun(app(), 1);
    ledger.saw_container(container(1, ContainerState::Running), BootTime(0));
    ledger.hook_done(&app(), 1);
    assert!(!pending(&mut ledger));
}

#[test]
fn everything_is_told_newest_first() {
    let mut ledger = ready();
    ledger.saw_sandbox(identity(), sandbox(1, true), BootTime(0));
    ledger.saw_container(container(0, ContainerState::Exited), BootTime(0));
    ledger.saw_container(container(1, ContainerState::Running), BootTime(0));
    ledger.saw_container(container(1, ContainerState::Exited), BootTime(0));
    let told = ledger.tell(0);
    assert_eq!(told.sandboxes.iter().map(|it| it.attempt).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(told.containers.iter().map(|it| it.attempt).collect::<Vec<_>>(), [1, 0]);
    assert_eq!((told.namespace.as_str(), told.name.as_str()), ("shop", "web"));
}

#[test]
fn a_pod_is_empty_when_nobody_wants_it_and_nothing_is_left() {
    let mut ledger = ready();
    ledger.cgroup(true);
    ledger.unwanted();
    assert!(!ledger.is_empty());
    ledger.see(Vec::new(), Vec::new());
    assert!(!ledger.is_empty(), "its cgroup is left");
    ledger.cgroup(false);
    assert!(ledger.is_empty());
}

#[test]
fn an_answer_that_comes_late_does_not_undo_what_is_known() {
    use ContainerState::{Created, Exited, Running};
    let mut ledger = ready();
    ledger.saw_container(container(0, Exited), BootTime(1));
    ledger.saw_container(container(0, Running), BootTime(2));
    assert!(ledger.stands("c0", Some(Exited)));
    ledger.saw_sandbox(identity(), sandbox(0, false), BootTime(1));
    ledger.saw_sandbox(identity(), sandbox(0, true), BootTime(2));
    assert!(!ledger.stands("s0", None));
    ledger.saw_container(container(1, Created), BootTime(9));
    ledger.listed(&["c0".to_owned(), "s0".to_owned()].into(), BootTime(5));
    assert!(ledger.stands("c1", Some(Created)), "made after the list");
    ledger.listed(&["c0".to_owned()].into(), BootTime(10));
    assert!(!ledger.stands("c1", Some(Created)) && ledger.sandboxes().is_empty());
}
