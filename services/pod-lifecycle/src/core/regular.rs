//! Which regular containers to start, stop or keep once initialisation is over.

use super::{
    halt::{Cause, Halt, has_changed},
    restart,
    situation::Situation,
    spec::{self, Part},
};
use messages::{
    cri_bridge::{Container, ContainerState},
    prober::{Finding, ProbeKind},
};

/// What the regular containers need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Regular {
    /// Indices into `spec.containers` to start, once they are stopped.
    pub starts: Vec<usize>,
    /// Instances to stop.
    pub halts: Vec<Halt>,
    /// How many run and stay.
    pub kept: usize,
}

impl Regular {
    /// Nothing runs, and nothing ever will: the pod is done.
    pub fn is_done(&self) -> bool {
        self.kept == 0 && self.starts.is_empty() && self.halts.is_empty()
    }
}

/// Decides on each regular container.
pub fn decide(situation: &Situation<'_>) -> Regular {
    let mut regular = Regular::default();
    for (index, part) in spec::regular_parts(situation.spec).iter().enumerate() {
        match judge(situation, part) {
            Judgement::Start => regular.starts.push(index),
            Judgement::Keep => regular.kept += 1,
            Judgement::Leave => {}
            Judgement::Halt(halt) => {
                regular.starts.extend(halt.restarts.then_some(index));
                regular.halts.push(halt);
            }
        }
    }
    regular
}

enum Judgement {
    Start,
    Keep,
    Leave,
    Halt(Halt),
}

fn judge(situation: &Situation<'_>, part: &Part<'_>) -> Judgement {
    let Some(newest) = situation.runtime().newest(part.name()) else { return Judgement::Start };
    let halt = |cause| Judgement::Halt(Halt::of(situation, part, newest, cause));
    match newest.state {
        ContainerState::Created => Judgement::Start,
        ContainerState::Unknown => halt(Cause::Unknown),
        ContainerState::Exited if starts_again(situation, part, newest) => Judgement::Start,
        ContainerState::Exited => Judgement::Leave,
        ContainerState::Running => cause_to_stop(situation, part, newest).map_or(Judgement::Keep, halt),
    }
}

fn starts_again(situation: &Situation<'_>, part: &Part<'_>, ended: &Container) -> bool {
    let wanted = situation.memory.to_restart.contains(&ended.id);
    wanted || restart::restarts_after(&part.container, situation.spec, ended.exit_code)
}

fn cause_to_stop(situation: &Situation<'_>, part: &Part<'_>, running: &Container) -> Option<Cause> {
    let failed = |probe| situation.finding(running, probe) == Some(Finding::Failure);
    let sandbox = situation.runtime().active_sandbox();
    if has_changed(part, running) {
        Some(Cause::Changed)
    } else if failed(ProbeKind::Liveness) {
        Some(Cause::Probe(ProbeKind::Liveness))
    } else if failed(ProbeKind::Startup) {
        Some(Cause::Probe(ProbeKind::Startup))
    } else {
        sandbox.filter(|sandbox| sandbox.id != running.sandbox).map(|_| Cause::Sandbox)
    }
}

/// Whether an earlier container's start, with its hook, must be over before this one's begins:
/// the kubelet starts containers in the spec's order and waits for each postStart hook.
pub fn waits_for_a_hook(situation: &Situation<'_>, index: usize, starts: &[usize]) -> bool {
    let parts = spec::regular_parts(situation.spec);
    let failed = &situation.memory.failed_starts;
    let pending = |earlier: usize| {
        let part = &parts[earlier];
        let starting = starts.contains(&earlier) && !failed.contains_key(part.name());
        let hooking =
            situation.runtime().newest(part.name()).is_some_and(|it| it.hook_pending && is_running(it));
        part.has_post_start() && (starting || hooking)
    };
    (0..index.min(parts.len())).any(pending)
}

fn is_running(container: &Container) -> bool {
    container.state == ContainerState::Running
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        backoff::CrashLoop,
        moment::Moment,
        situation::{Known, Memory, World},
        testing::{PodBuilder, RuntimeBuilder, post_start, probe, verdict},
    };
    use k8s_openapi::api::core::v1::Pod;
    use messages::prober::Verdict;

    struct Scene {
        pod: Pod,
        world: World,
        memory: Memory,
    }

    impl Scene {
        fn new(pod: PodBuilder, runtime: RuntimeBuilder) -> Self {
            let world = World { runtime: Known::Present(runtime.build()), ..World::default() };
            Self { pod: pod.build(), world, memory: Memory::new(Moment(0)) }
        }

        fn says(mut self, verdict: Verdict) -> Self {
            self.world.verdicts.insert((verdict.container.to_string(), verdict.probe), verdict);
            self
        }

        fn situation(&self) -> Situation<'_> {
            let spec = self.pod.spec.as_ref().unwrap();
            let (crash_loop, now) = (CrashLoop::default(), Moment(0));
            Situation { pod: &self.pod, spec, world: &self.world, memory: &self.memory, crash_loop, now }
        }
    }

    #[test]
    fn ended_containers_follow_their_policy() {
        let ready = RuntimeBuilder::ready;
        let cases = [
            ("never made: start", "Never", ready(), true),
            ("made, not started: start", "Never", ready().instance("app", 0, |_| ()), true),
            ("Always after success: start", "Always", ready().exited("app", 0, 0), true),
            ("OnFailure after success: leave", "OnFailure", ready().exited("app", 0, 0), false),
            ("OnFailure after failure: start", "OnFailure", ready().exited("app", 0, 1), true),
            ("Never after failure: leave", "Never", ready().exited("app", 0, 1), false),
            (
                "only the newest run counts",
                "OnFailure",
                ready().exited("app", 0, 1).exited("app", 1, 0),
                false,
            ),
        ];
        for (sentence, policy, runtime, starts) in cases {
            let scene = Scene::new(PodBuilder::new().restart_policy(policy).container("app"), runtime);
            let got = decide(&scene.situation());
            assert_eq!(!got.starts.is_empty(), starts, "{sentence}");
            assert_eq!(got.is_done(), !starts, "{sentence}: done");
        }
    }

    #[test]
    fn a_container_that_was_stopped_to_be_restarted_is_restarted_whatever_it_exits_with() {
        let pod = PodBuilder::new().restart_policy("OnFailure").container("app");
        let mut scene = Scene::new(pod, RuntimeBuilder::ready().exited("app", 0, 0));
        assert!(decide(&scene.situation()).is_done());
        scene.memory.to_restart.insert("app-0".into());
        assert_eq!(decide(&scene.situation()).starts, [0]);
    }

    #[test]
    fn running_containers_stay_unless_there_is_a_cause() {
        use Finding::{Failure, Success};
        use ProbeKind::{Liveness, Readiness, Startup};
        let cases = [
            ("well", "Always", "app", (Liveness, Success), None),
            ("not ready is no cause", "Always", "app", (Readiness, Failure), None),
            (
                "not alive",
                "Always",
                "app",
                (Liveness, Failure),
                Some("Container app failed liveness probe, will be restarted"),
            ),
            (
                "not started",
                "OnFailure",
                "app",
                (Startup, Failure),
                Some("Container app failed startup probe, will be restarted"),
            ),
            (
                "never to be restarted",
                "Never",
                "app",
                (Liveness, Failure),
                Some("Container app failed liveness probe"),
            ),
            (
                "another image",
                "Never",
                "other",
                (Liveness, Success),
                Some("Container app definition changed, will be restarted"),
            ),
        ];
        for (sentence, policy, image, (kind, finding), why) in cases {
            let pod = PodBuilder::new().restart_policy(policy).container_with("app", |app| {
                app.liveness_probe = probe();
                app.image = Some(format!("registry.test/{image}:1"));
            });
            let scene = Scene::new(pod, RuntimeBuilder::ready().running("app", 0))
                .says(verdict("app", 0, kind, finding));
            let got = decide(&scene.situation());
            assert_eq!(got.halts.first().map(|halt| halt.why.as_str()), why, "{sentence}");
            assert_eq!(got.kept, usize::from(why.is_none()), "{sentence}");
            assert!(!got.is_done(), "{sentence}");
        }
    }

    #[test]
    fn an_old_verdict_does_not_kill_the_fresh_instance() {
        let pod = PodBuilder::new().container_with("app", |app| app.liveness_probe = probe());
        let scene = Scene::new(pod, RuntimeBuilder::ready().exited("app", 0, 137).running("app", 1))
            .says(verdict("app", 0, ProbeKind::Liveness, Finding::Failure));
        assert_eq!(decide(&scene.situation()).kept, 1);
    }

    #[test]
    fn a_probes_own_grace_is_used_when_it_kills() {
        for (own, pod_grace, want) in [(Some(3), 30, 3), (None, 30, 30), (Some(0), 30, 1)] {
            let pod = PodBuilder::new().container_with("app", |app| {
                app.liveness_probe = probe();
                app.liveness_probe.as_mut().unwrap().termination_grace_period_seconds = own;
            });
            let pod = pod.spec(|spec| spec.termination_grace_period_seconds = Some(pod_grace));
            let scene = Scene::new(pod, RuntimeBuilder::ready().running("app", 0)).says(verdict(
                "app",
                0,
                ProbeKind::Liveness,
                Finding::Failure,
            ));
            assert_eq!(decide(&scene.situation()).halts[0].grace_seconds, want, "{own:?}");
        }
    }

    #[test]
    fn a_later_container_waits_for_an_earlier_hook_but_not_for_a_failed_one() {
        let pod =
            || PodBuilder::new().container_with("one", |one| one.lifecycle = post_start()).container("two");
        let hooking = RuntimeBuilder::ready().instance("one", 0, |it| {
            it.state = ContainerState::Running;
            it.hook_pending = true;
        });
        let mut scene = Scene::new(pod(), RuntimeBuilder::ready());
        assert!(waits_for_a_hook(&scene.situation(), 1, &[0, 1]), "the first has yet to start");
        assert!(!waits_for_a_hook(&scene.situation(), 0, &[0, 1]), "the first itself waits for none");
        let failed = crate::core::situation::Failed {
            attempt: 0,
            fault: messages::Fault::new("CreateContainerError", ""),
            at: Moment(0),
        };
        scene.memory.failed_starts.insert("one".into(), failed);
        assert!(!waits_for_a_hook(&scene.situation(), 1, &[0, 1]), "the first cannot start");
        assert!(waits_for_a_hook(&Scene::new(pod(), hooking).situation(), 1, &[1]), "its hook runs");
        let started = RuntimeBuilder::ready().running("one", 0);
        assert!(!waits_for_a_hook(&Scene::new(pod(), started).situation(), 1, &[1]), "its hook is done");
    }
}
