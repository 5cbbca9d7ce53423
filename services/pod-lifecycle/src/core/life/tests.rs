//! Whole lives, against a runtime and a mounter that do at once what they are asked.

use super::*;
use crate::core::runtime::View;
use crate::core::testing::{PodBuilder, RuntimeBuilder, SECOND, UID, probe, verdict};
use messages::{
    Fault, Outcome, Refusal,
    cri_bridge::{Container, ContainerState, ImageState, Sandbox},
    prober::Finding,
    volume_mounter::VolumesPhase,
};
use std::collections::VecDeque;

/// The rest of the node: carries out deeds and says what came of them.
struct Scene {
    life: Life,
    now: Moment,
    runtime: Option<RuntimePod>,
    volumes: Option<Volumes>,
    /// Every deed that was asked, in a few words.
    asked: Vec<String>,
    events: Vec<String>,
    status: Option<Status>,
    pods: Vec<pod_lifecycle::Pod>,
    probes: Option<Probes>,
    finished: bool,
    wake: Option<Moment>,
    /// Deeds that are left without an answer, by their first word.
    silent: Vec<&'static str>,
    /// Starts of these containers fail.
    broken: Vec<&'static str>,
    revision: u64,
    last_id: u64,
    facts: VecDeque<Fact>,
    is_stepping: bool,
}

fn rules() -> Rules {
    Rules { incarnation: Incarnation(1), crash_loop: CrashLoop::default(), revision: 0 }
}

fn record(pod: Pod) -> Record {
    Record {
        pod,
        source: PodSource::Api,
        origin: Origin::Accepted,
        life: 0,
        seen_at: Moment(100 * SECOND),
        is_removed: false,
        memory: Memory::new(Moment(100 * SECOND)),
    }
}

impl Scene {
    /// A pod that was accepted just now, on a node where everybody has spoken.
    fn new(pod: PodBuilder) -> Self {
        Self::of(record(pod.build()))
    }

    fn of(record: Record) -> Self {
        let life = Life::new(UID.parse().unwrap(), record, rules());
        let mut scene = Self {
            life,
            now: Moment(100 * SECOND),
            runtime: None,
            volumes: None,
            asked: Vec::new(),
            events: Vec::new(),
            status: None,
            pods: Vec::new(),
            probes: None,
            finished: false,
            wake: None,
            silent: Vec::new(),
            broken: Vec::new(),
            revision: 0,
            last_id: 0,
            facts: VecDeque::new(),
            is_stepping: false,
        };
        let node = NodeFacts {
            host_ips: vec!["192.168.0.7".into()],
            runtime_name: "containerd".into(),
            runtime_ready: true,
            ..NodeFacts::default()
        };
        scene.take(Fact::Node(node));
        scene
    }

    /// Everybody has said everything.
    fn complete(mut self) -> Self {
        self.hear();
        self.take(Fact::Complete(Owner::VolumeMounter));
        self.take(Fact::Complete(Owner::CriBridge));
        self
    }

    /// A new process with the journal of this one, and a node that has gone on.
    fn restarted(self) -> Self {
        let record = self.life.record().clone();
        let (runtime, volumes, now, revision) = (self.runtime, self.volumes, self.now, self.revision);
        let mut scene = Self::of(record);
        (scene.runtime, scene.volumes, scene.now, scene.revision) = (runtime, volumes, now, revision);
        scene.complete()
    }

    fn hear(&mut self) {
        if let Some(volumes) = self.volumes.clone() {
            self.take(Fact::Volumes(Some(Box::new(volumes))));
        }
        if let Some(runtime) = self.runtime.clone() {
            self.take(Fact::Runtime(Some(Box::new(runtime))));
        }
    }

    /// Facts that come of effects are taken after the effects that are in hand.
    fn take(&mut self, fact: Fact) {
        self.facts.push_back(fact);
        if std::mem::replace(&mut self.is_stepping, true) {
            return;
        }
        while let Some(fact) = self.facts.pop_front() {
            let stepped = self.life.step(fact, self.now);
            self.wake = stepped.wake;
            for effect in stepped.effects {
                self.perform(effect);
            }
        }
        self.is_stepping = false;
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::SayPod(pod) => self.pods.push(*pod),
            Effect::SayStatus(status) => self.status = Some(*status),
            Effect::SayProbes(probes) => self.probes = Some(*probes),
            Effect::RetractProbes => self.probes = None,
            Effect::Tell(event) => self.events.push(format!("{} {}", event.reason, event.message)),
            Effect::Save => {}
            Effect::Finish => self.finished = true,
            Effect::Ask { id, deed, .. } => {
                self.last_id = id;
                let words = words(&deed);
                let first = words.split(' ').next().unwrap_or_default().to_owned();
                self.asked.push(words);
                if !self.silent.iter().any(|silent| *silent == first) {
                    self.carry_out(id, &deed);
                }
            }
        }
    }

    fn carry_out(&mut self, id: u64, deed: &Deed) {
        let outcome = match deed {
            Deed::PrepareVolumes => self.mount(Some(VolumesPhase::Ready)),
            Deed::ReleaseVolumes => self.mount(None),
            Deed::Pull { .. } => Outcome::Done { revision: self.revision },
            _ => self.act(deed),
        };
        self.take(Fact::Answer { id, answer: Answer::Replied(outcome) });
    }

    fn mount(&mut self, phase: Option<VolumesPhase>) -> Outcome {
        self.revision += 1;
        self.volumes = phase.map(|phase| Volumes {
            pod: UID.parse().unwrap(),
            phase,
            revision: self.revision,
            volumes: Vec::new(),
            pod_dir: "/var/lib/kubelet/pods/u".into(),
            supplemental_groups: Vec::new(),
        });
        self.take(Fact::Volumes(self.volumes.clone().map(Box::new)));
        Outcome::Done { revision: self.revision }
    }

    /// Changes what the runtime holds, and says it.
    fn runtime(&mut self, change: impl FnOnce(&mut RuntimePod)) {
        self.revision += 1;
        let mut pod = self.runtime.take().unwrap_or_else(|| RuntimeBuilder::new().build());
        change(&mut pod);
        pod.revision = self.revision;
        self.runtime = Some(pod.clone());
        self.take(Fact::Runtime(Some(Box::new(pod))));
    }

    fn act(&mut self, deed: &Deed) -> Outcome {
        let now = self.now.0;
        match deed {
            Deed::Sandbox { attempt, .. } => self.runtime(|pod| {
                pod.sandboxes.iter_mut().for_each(|old| old.ready = false);
                pod.sandboxes.insert(0, sandbox(*attempt));
            }),
            Deed::Start { container, .. } if self.broken.iter().any(|name| name == container) => {
                let fault = Fault::new("CreateContainerConfigError", "secret \"x\" not found");
                return Outcome::Failed { fault };
            }
            Deed::Start { container, attempt, .. } => {
                let in_sandbox = self.runtime.as_ref().unwrap().sandboxes[0].id.clone();
                let made = RuntimeBuilder::ready().running(container, *attempt).build().containers.remove(0);
                let made = Container { sandbox: in_sandbox, created_at: now, started_at: now, ..made };
                self.runtime(|pod| pod.containers.push(made));
            }
            Deed::Stop { id, .. } => self.exit_instance(id, 137),
            Deed::StopPod { .. } => self.stop_all(),
            Deed::Forget { remove_containers: true } => {
                self.runtime = None;
                self.take(Fact::Runtime(None));
            }
            Deed::Forget { .. } => self.runtime(|pod| pod.cgroup = false),
            _ => unreachable!("{deed:?} is not of the runtime"),
        }
        Outcome::Done { revision: self.revision }
    }

    fn stop_all(&mut self) {
        let now = self.now.0;
        self.runtime(|pod| {
            pod.sandboxes.iter_mut().for_each(|sandbox| sandbox.ready = false);
            for it in pod.containers.iter_mut().filter(|it| it.state == ContainerState::Running) {
                (it.state, it.exit_code, it.finished_at) = (ContainerState::Exited, 0, now);
            }
        });
    }

    fn exit_instance(&mut self, id: &str, exit_code: i32) {
        let now = self.now.0;
        self.runtime(|pod| {
            let it = pod.containers.iter_mut().find(|it| it.id == *id).unwrap();
            (it.state, it.exit_code, it.finished_at) = (ContainerState::Exited, exit_code, now);
        });
    }

    /// A container's newest instance ends by itself.
    fn exits(&mut self, name: &str, exit_code: i32) {
        let newest = View(self.runtime.as_ref()).newest(name).unwrap().id.clone();
        self.exit_instance(&newest, exit_code);
    }

    /// The last deed asked stays without a reply.
    fn no_reply(&mut self) {
        self.take(Fact::Answer { id: self.last_id, answer: Answer::Unknown });
    }

    fn passes(&mut self, seconds: i64) {
        self.now.0 += seconds * SECOND;
        self.take(Fact::Woken);
    }

    fn desires(&mut self, change: impl FnOnce(&mut Pod)) {
        let mut pod = self.life.record().pod.clone();
        change(&mut pod);
        self.take(Fact::Desired(Box::new(pod)));
    }

    fn is_deleted(&mut self, grace: i64) {
        let at = self.now.to_time();
        self.desires(|pod| {
            pod.metadata.deletion_timestamp = Some(at);
            pod.metadata.deletion_grace_period_seconds = Some(grace);
        });
    }

    fn asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.asked)
    }

    fn phase(&self) -> &str {
        self.status.as_ref().unwrap().status.phase.as_deref().unwrap()
    }

    fn reason_of(&self, container: &str) -> String {
        let status = self.life.record().memory.container_status(container).unwrap();
        let waiting = status.state.as_ref().and_then(|state| state.waiting.clone());
        waiting.and_then(|waiting| waiting.reason).unwrap_or_default()
    }
}

fn sandbox(attempt: u32) -> Sandbox {
    let id = format!("sandbox-{attempt}");
    Sandbox { id, attempt, ready: true, created_at: 0, host_network: false, ips: vec!["10.0.0.9".into()] }
}

fn words(deed: &Deed) -> String {
    match deed {
        Deed::PrepareVolumes => "prepare".into(),
        Deed::ReleaseVolumes => "release".into(),
        Deed::Pull { container, .. } => format!("pull {container}"),
        Deed::Sandbox { attempt, .. } => format!("sandbox {attempt}"),
        Deed::Start { container, attempt, .. } => format!("start {container} {attempt}"),
        Deed::Stop { container, grace_seconds, .. } => format!("stop {container} {grace_seconds}"),
        Deed::StopPod { grace_seconds } => format!("stop-pod {grace_seconds}"),
        Deed::Forget { remove_containers } => format!("forget {remove_containers}"),
    }
}

#[test]
fn images_volumes_and_the_sandbox_come_first_then_containers_in_turn() {
    let mut scene = Scene::new(PodBuilder::new().init("init").container("a").container("b"));
    scene.silent = vec!["prepare"];
    scene = scene.complete();
    assert_eq!(scene.asked(), ["prepare", "pull init", "pull a", "pull b", "sandbox 0"], "side by side");
    scene.mount(Some(VolumesPhase::Ready));
    assert_eq!(scene.asked(), ["start init 0"]);
    assert_eq!((scene.phase(), scene.reason_of("a").as_str()), ("Pending", "PodInitializing"));
    scene.exits("init", 0);
    assert_eq!(scene.asked(), ["start a 0", "start b 0"]);
    assert_eq!(scene.phase(), "Running");
}

#[test]
fn a_sandbox_waits_for_volumes_that_may_not_come_and_for_those_that_failed() {
    let mut scene = Scene::new(PodBuilder::new().config_map_volume().container("app"));
    scene.silent = vec!["prepare"];
    scene = scene.complete();
    assert_eq!(scene.asked(), ["prepare", "pull app"]);
    scene.mount(Some(VolumesPhase::Ready));
    assert_eq!(scene.asked(), ["sandbox 0", "start app 0"]);

    let mut failed = Scene::new(PodBuilder::new().container("app"));
    failed.mount(Some(VolumesPhase::Preparing { fault: Some(Fault::new("FailedMount", "no")) }));
    failed = failed.complete();
    assert_eq!(failed.asked(), ["pull app"]);
}

#[test]
fn nothing_is_asked_of_the_runtime_before_it_was_heard_or_while_it_is_away() {
    let mut scene = Scene::new(PodBuilder::new().container("app"));
    scene.take(Fact::Complete(Owner::VolumeMounter));
    assert_eq!(scene.asked(), ["prepare"]);
    let node = NodeFacts { runtime_ready: false, ..scene.life.world.node.clone() };
    scene.take(Fact::Node(node.clone()));
    scene.take(Fact::Complete(Owner::CriBridge));
    assert_eq!(scene.asked(), [""; 0]);
    scene.take(Fact::Node(NodeFacts { runtime_ready: true, ..node }));
    assert_eq!(scene.asked(), ["pull app", "sandbox 0", "start app 0"]);
}

#[test]
fn the_start_is_over_once_running_was_said() {
    let mut scene = Scene::new(PodBuilder::new().container("app"));
    assert!(scene.life.record().memory.start_is_open);
    scene = scene.complete();
    assert_eq!(scene.phase(), "Running");
    assert!(!scene.life.record().memory.start_is_open);
}

#[test]
fn each_saying_of_the_pod_is_a_newer_decision_and_comes_before_what_is_asked() {
    let mut scene = Scene::new(PodBuilder::new().container("app")).complete();
    scene.is_deleted(30);
    let revisions: Vec<u64> = scene.pods.iter().map(|pod| pod.decision.revision).collect();
    assert_eq!(revisions, [1, 2, 3]);
    let stages: Vec<_> = scene.pods.iter().map(|pod| pod.stage.clone()).collect();
    let ending = pod_lifecycle::Stage::Terminating { grace_seconds: 30 };
    assert_eq!(stages, [pod_lifecycle::Stage::Running, ending, pod_lifecycle::Stage::Terminated]);
}

#[test]
fn a_deleted_pod_stops_gives_back_is_released_and_then_forgotten() {
    let mut scene = Scene::new(PodBuilder::new().container("app")).complete();
    scene.asked();
    scene.is_deleted(30);
    assert_eq!(scene.asked(), ["stop-pod 30", "release", "forget true"]);
    let status = scene.status.clone().unwrap();
    assert_eq!((status.release, scene.phase()), (true, "Succeeded"), "it ended with 0");
    assert!(!scene.finished, "the API server has it still");
    scene.take(Fact::Removed);
    assert!(scene.finished);
}

#[test]
fn a_terminal_phase_is_held_back_while_containers_may_run() {
    let mut scene = Scene::new(PodBuilder::new().restart_policy("Never").container("app")).complete();
    scene.silent = vec!["stop-pod"];
    scene.exits("app", 3);
    assert_eq!(scene.asked().last().unwrap(), "stop-pod 30");
    assert_eq!(scene.phase(), "Running");
    let status = &scene.status.as_ref().unwrap().status;
    let ready = status.conditions.iter().flatten().find(|it| it.type_ == "Ready").unwrap();
    assert_eq!(ready.status, "False");
    scene.no_reply();
    scene.stop_all();
    assert_eq!(scene.phase(), "Running", "nothing runs, but a start may still be on its way");
    scene.silent.clear();
    scene.no_reply();
    scene.passes(10);
    assert_eq!(scene.phase(), "Failed");
}

#[test]
fn a_finished_pod_keeps_its_containers_until_it_is_deleted() {
    let mut scene = Scene::new(PodBuilder::new().restart_policy("Never").container("app")).complete();
    scene.asked();
    scene.exits("app", 0);
    assert_eq!(scene.asked(), ["stop-pod 30", "release", "forget false"]);
    assert_eq!((scene.phase(), scene.status.as_ref().unwrap().release), ("Succeeded", false));
    scene.is_deleted(30);
    assert_eq!(scene.asked(), ["forget true"]);
    assert!(scene.status.as_ref().unwrap().release);
}

#[test]
fn a_pod_that_never_started_is_stopped_only_if_something_was_asked() {
    let mut untouched = Scene::new(PodBuilder::new().config_map_volume().container("app"));
    untouched.silent = vec!["prepare", "pull"];
    untouched = untouched.complete();
    untouched.asked();
    untouched.is_deleted(30);
    assert_eq!(untouched.asked(), [""; 0], "nothing can be there");
    assert_eq!((untouched.phase(), untouched.status.as_ref().unwrap().release), ("Failed", true));

    let mut touched = Scene::new(PodBuilder::new().container("app"));
    touched.silent = vec!["sandbox"];
    touched = touched.complete();
    touched.asked();
    touched.is_deleted(30);
    assert_eq!(touched.asked(), ["stop-pod 30", "release", "forget true"], "a sandbox may be on its way");
}

#[test]
fn a_shorter_grace_overtakes_and_a_longer_one_does_not() {
    let mut scene = Scene::new(PodBuilder::new().container("app")).complete();
    scene.silent = vec!["stop-pod"];
    scene.asked();
    for grace in [30, 5, 20] {
        scene.is_deleted(grace);
    }
    assert_eq!(scene.asked(), ["stop-pod 30", "stop-pod 5"]);
}

#[test]
fn a_crashing_container_is_restarted_at_once_and_then_with_growing_waits() {
    let mut scene = Scene::new(PodBuilder::new().container("app")).complete();
    scene.asked();
    scene.exits("app", 1);
    assert_eq!(scene.asked(), ["pull app", "start app 1"], "the first time at once");
    scene.exits("app", 1);
    assert_eq!(scene.asked(), [""; 0]);
    assert_eq!(scene.reason_of("app"), "CrashLoopBackOff");
    assert_eq!(scene.wake, Some(scene.now.after(Duration::from_secs(10))));
    let told = format!("BackOff Back-off restarting failed container app in pod web_default({UID})");
    assert_eq!(scene.events, [told]);
    scene.passes(9);
    assert_eq!(scene.asked(), [""; 0]);
    scene.passes(1);
    assert_eq!(scene.asked(), ["pull app", "start app 2"]);
    assert_eq!(scene.events.len(), 1, "each back-off is told of once");
    assert_eq!(scene.phase(), "Running");
}

#[test]
fn a_restart_that_is_under_way_is_not_shown_as_a_wait() {
    let mut scene = Scene::new(PodBuilder::new().container("app")).complete();
    scene.silent = vec!["start"];
    scene.exits("app", 1);
    scene.asked();
    scene.runtime(|_| ());
    scene.passes(1);
    assert_eq!((scene.reason_of("app").as_str(), scene.events.len()), ("", 0));
}

#[test]
fn an_owner_that_still_knows_an_empty_pod_does_not_keep_it() {
    let mut scene = Scene::new(PodBuilder::new().container("app")).complete();
    scene.silent = vec!["forget"];
    scene.is_deleted(30);
    assert!(!scene.status.as_ref().unwrap().release);
    scene.runtime(|pod| {
        (pod.cgroup, pod.sandboxes, pod.containers) = (false, Vec::new(), Vec::new());
    });
    assert!(scene.status.as_ref().unwrap().release);
    scene.take(Fact::Removed);
    assert!(scene.finished);
}

#[test]
fn a_restart_of_this_process_changes_nothing_and_keeps_the_back_off() {
    let mut scene = Scene::new(PodBuilder::new().container("app").container("other")).complete();
    scene.exits("app", 1);
    scene.exits("app", 1);
    let before = scene.status.clone().unwrap();
    let mut scene = scene.restarted();
    assert_eq!(scene.asked(), [""; 0]);
    assert_eq!(scene.status.clone().unwrap(), before, "the same status, times included");
    scene.passes(10);
    assert_eq!(scene.asked(), ["pull app", "start app 2"]);
}

#[test]
fn a_restart_of_this_process_goes_on_with_an_ending() {
    let mut scene = Scene::new(PodBuilder::new().container("app")).complete();
    scene.silent = vec!["stop-pod"];
    scene.is_deleted(30);
    scene.now.0 += 12 * SECOND;
    let mut scene = scene.restarted();
    assert_eq!(scene.asked(), ["stop-pod 18", "release", "forget true"], "with the grace that is left");
}

#[test]
fn no_reply_is_followed_up_by_the_state_and_not_by_asking_again() {
    let mut scene = Scene::new(PodBuilder::new().container("app"));
    scene.silent = vec!["sandbox"];
    scene = scene.complete();
    scene.asked();
    scene.no_reply();
    assert_eq!(scene.asked(), [""; 0]);
    scene.runtime(|pod| pod.sandboxes.push(sandbox(0)));
    assert_eq!(scene.asked(), ["start app 0"], "it had been done");
}

#[test]
fn a_refusal_for_an_old_decision_is_asked_again_with_the_new_one() {
    let mut scene = Scene::new(PodBuilder::new().container("app"));
    scene.silent = vec!["sandbox"];
    scene = scene.complete();
    let id = scene.last_id;
    scene.desires(|pod| pod.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into()));
    scene.asked();
    let refused = Outcome::Refused { refusal: Refusal::Superseded };
    scene.take(Fact::Answer { id, answer: Answer::Replied(refused) });
    scene.silent.clear();
    scene.passes(1);
    assert_eq!(scene.asked(), ["sandbox 0", "start app 0"]);
}

#[test]
fn a_failed_start_shows_its_reason_and_is_tried_again_later() {
    let mut scene = Scene::new(PodBuilder::new().container("app"));
    scene.broken = vec!["app"];
    scene = scene.complete();
    assert_eq!(scene.reason_of("app"), "CreateContainerConfigError");
    scene.asked();
    scene.passes(9);
    assert_eq!(scene.asked(), [""; 0]);
    scene.broken.clear();
    scene.passes(6);
    assert_eq!(scene.asked(), ["pull app", "start app 0"], "the same attempt: there is no container of it");
    assert_eq!(scene.reason_of("app"), "");
}

#[test]
fn a_container_that_fails_its_liveness_probe_is_stopped_and_started_again() {
    let pod = PodBuilder::new().container_with("app", |app| app.liveness_probe = probe());
    let mut scene = Scene::new(pod).complete();
    assert_eq!(scene.probes.as_ref().unwrap().containers[0].container_id.as_deref(), Some("app-0"));
    scene.asked();
    scene.take(Fact::Verdict(Box::new(verdict("app", 0, ProbeKind::Liveness, Finding::Failure))));
    assert_eq!(scene.asked(), ["stop app 30", "pull app", "start app 1"]);
    assert_eq!(scene.probes.as_ref().unwrap().containers[0].container_id.as_deref(), Some("app-1"));
}

#[test]
fn a_readiness_verdict_moves_the_conditions_at_once() {
    let pod = PodBuilder::new().container_with("app", |app| app.readiness_probe = probe());
    let mut scene = Scene::new(pod).complete();
    let ready = |scene: &Scene| {
        let status = &scene.status.as_ref().unwrap().status;
        status.conditions.iter().flatten().find(|it| it.type_ == "Ready").unwrap().status.clone()
    };
    assert_eq!((ready(&scene).as_str(), scene.phase()), ("False", "Running"));
    scene.take(Fact::Verdict(Box::new(verdict("app", 0, ProbeKind::Readiness, Finding::Success))));
    assert_eq!(ready(&scene), "True");
    scene.take(Fact::NoVerdict { container: "app".into(), probe: ProbeKind::Readiness });
    assert_eq!(ready(&scene), "True", "a prober that is away flips nothing");
}

#[test]
fn a_lost_sandbox_is_made_anew_and_everything_begins_again() {
    let mut scene = Scene::new(PodBuilder::new().init("init").container("app")).complete();
    scene.exits("init", 0);
    scene.asked();
    scene.runtime(|pod| {
        pod.sandboxes[0].ready = false;
        for it in &mut pod.containers {
            (it.state, it.exit_code, it.finished_at) = (ContainerState::Exited, 255, 100 * SECOND);
        }
    });
    let asked = scene.asked();
    assert!(
        asked.contains(&"sandbox 1".to_owned()) && asked.contains(&"start init 1".to_owned()),
        "{asked:?}"
    );
    assert!(!asked.iter().any(|it| it.starts_with("start app")), "{asked:?}");
    assert_eq!(scene.events[0].split(' ').next(), Some("SandboxChanged"));
    scene.exits("init", 0);
    assert_eq!(scene.asked(), ["start app 1"]);
}

#[test]
fn another_image_restarts_the_container_and_nothing_else_does() {
    let mut scene = Scene::new(PodBuilder::new().container("app").container("other")).complete();
    scene.asked();
    scene.desires(|pod| pod.spec.as_mut().unwrap().containers[0].working_dir = Some("/".into()));
    assert_eq!(scene.asked(), [""; 0]);
    scene.silent = vec!["start"];
    scene.desires(|pod| pod.spec.as_mut().unwrap().containers[0].image = Some("registry.test/new:2".into()));
    assert_eq!(scene.asked(), ["stop app 30", "pull app", "start app 1"]);
}

#[test]
fn a_pod_past_its_deadline_fails() {
    let pod = PodBuilder::new().container("app").spec(|spec| spec.active_deadline_seconds = Some(60));
    let mut scene = Scene::new(pod).complete();
    assert_eq!(scene.wake, Some(scene.now.after(Duration::from_secs(60))));
    scene.passes(59);
    assert_eq!(scene.phase(), "Running");
    scene.passes(1);
    let status = &scene.status.as_ref().unwrap().status;
    assert_eq!(
        (status.phase.as_deref(), status.reason.as_deref()),
        (Some("Failed"), Some("DeadlineExceeded"))
    );
    assert!(scene.events[0].starts_with("DeadlineExceeded"));
}

#[test]
fn an_image_that_cannot_be_pulled_is_shown_and_asked_for_again() {
    let mut scene = Scene::new(PodBuilder::new().container("app"));
    scene.silent = vec!["pull"];
    scene = scene.complete();
    let id = 2;
    assert_eq!(scene.asked(), ["prepare", "pull app", "sandbox 0"]);
    scene.take(Fact::Answer { id, answer: Answer::Replied(Outcome::Accepted) });
    let failed = |at: Moment| ImageState::Failed {
        fault: Fault::new("ErrImagePull", "no such host"),
        at: at.0,
        failures: 1,
    };
    let now = scene.now;
    scene.runtime(|pod| drop(pod.images.insert("registry.test/app:1".into(), failed(now))));
    assert_eq!(scene.reason_of("app"), "ErrImagePull");
    scene.passes(6);
    assert_eq!(scene.reason_of("app"), "ImagePullBackOff");
    assert_eq!(scene.events, ["BackOff Back-off pulling image \"registry.test/app:1\""]);
    scene.passes(4);
    assert_eq!(scene.asked(), ["pull app"]);
    assert_eq!(scene.reason_of("app"), "ImagePullBackOff", "while it is pulled again");
}

#[test]
fn without_a_network_only_pods_on_the_nodes_own_start() {
    for (host, want) in
        [(false, vec!["prepare", "pull app"]), (true, vec!["prepare", "pull app", "sandbox 0"])]
    {
        let pod = PodBuilder::new().container("app");
        let mut scene = Scene::new(if host { pod.host_network() } else { pod });
        scene.silent = vec!["sandbox"];
        let node = NodeFacts {
            network_fault: Some("cni plugin not initialized".into()),
            ..scene.life.world.node.clone()
        };
        scene.take(Fact::Node(node));
        scene = scene.complete();
        assert_eq!(scene.asked(), want, "host network: {host}");
        assert_eq!(scene.events.len(), usize::from(!host));
    }
}

#[test]
fn a_pod_that_was_turned_down_is_told_as_failed_and_never_touched() {
    let ended =
        Ended { reason: "OutOfcpu".into(), message: "Pod was rejected: …".into(), disrupted: false };
    let mut record = record(PodBuilder::new().container("app").build());
    record.origin = Origin::Rejected;
    record.memory.stage = Stage::Terminated;
    record.memory.ended = Some(ended);
    let mut scene = Scene::of(record).complete();
    assert_eq!((scene.asked(), scene.pods.len()), (vec![], 0));
    let status = scene.status.clone().unwrap();
    assert_eq!((scene.phase(), status.status.reason.as_deref()), ("Failed", Some("OutOfcpu")));
    assert!(!status.release);
    scene.is_deleted(0);
    assert!(scene.status.as_ref().unwrap().release);
    scene.take(Fact::Removed);
    assert!(scene.finished);
}

#[test]
fn an_orphan_is_stopped_given_back_and_never_told() {
    let mut record = record(PodBuilder::new().build());
    (record.origin, record.pod.spec) = (Origin::Orphan, None);
    record.memory.stage = Stage::Running.told_to_end(1, Moment(0));
    let mut scene = Scene::of(record);
    scene.runtime = Some(RuntimeBuilder::ready().running("app", 0).build());
    let mut scene = scene.complete();
    assert_eq!(scene.asked(), ["stop-pod 1", "forget true"]);
    assert!(scene.finished && scene.status.is_none());
}

#[test]
fn a_static_pods_mirror_stays_until_nothing_runs() {
    let mut record = record(PodBuilder::new().container("app").build());
    record.source = PodSource::File;
    let mut scene = Scene::of(record).complete();
    scene.silent = vec!["stop-pod"];
    assert!(scene.status.as_ref().unwrap().mirror.is_some());
    scene.take(Fact::Removed);
    assert!(scene.status.as_ref().unwrap().mirror.is_some(), "it is still ending");
    scene.silent.clear();
    scene.no_reply();
    scene.passes(10);
    assert!(scene.finished);
}

#[test]
fn a_pod_that_ended_before_this_process_knew_it_is_only_given_back() {
    let pod = PodBuilder::new().container("app").meta(|pod| {
        pod.status = Some(k8s_openapi::api::core::v1::PodStatus {
            phase: Some("Succeeded".into()),
            ..Default::default()
        });
    });
    let mut scene = Scene::new(pod).complete();
    assert_eq!(scene.asked(), [""; 0]);
    assert_eq!(scene.phase(), "Succeeded");
}
