//! How far a pod's initialisation is, and which init containers and sidecars to start or stop.
//!
//! The walk goes from the last init container back to the first, because the early ones may have
//! been collected already: the last one that left a trace tells how far the pod has come. Only the
//! active sandbox counts, so that a reboot begins anew.

use super::{
    halt::{Cause, Halt, has_changed},
    restart,
    situation::Situation,
    spec::{self, Part},
};
use messages::{
    cri_bridge::{Container, ContainerState},
    pod_lifecycle::ContainerKind,
    prober::{Finding, ProbeKind},
};

/// Where initialisation stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Init {
    /// Regular containers may start.
    pub is_over: bool,
    /// An init container failed for good: the pod is over.
    pub has_failed: bool,
    /// Indices into `spec.initContainers` to start, ascending.
    pub starts: Vec<usize>,
    /// Instances to stop; they stand in `starts` too.
    pub halts: Vec<Halt>,
}

/// Walks the init containers of a pod whose sandbox is ready.
pub fn walk(situation: &Situation<'_>) -> Init {
    let parts = spec::init_parts(situation.spec);
    let mut walk =
        Walk { situation, count: parts.len(), passed: has_begun(situation), init: Init::default() };
    walk.init.is_over = walk.passed || parts.is_empty();
    for (index, part) in parts.iter().enumerate().rev() {
        walk.visit(index, part);
        if walk.init.has_failed {
            return Init { has_failed: true, ..Init::default() };
        }
    }
    if !walk.passed && !parts.is_empty() {
        walk.init.starts.push(0);
    }
    walk.init.starts.sort_unstable();
    walk.init.starts.dedup();
    walk.init
}

/// A regular container was made in the active sandbox: all init containers had run before.
fn has_begun(situation: &Situation<'_>) -> bool {
    let Some(sandbox) = situation.runtime().active_sandbox() else { return false };
    let regular = spec::regular_parts(situation.spec);
    regular.iter().any(|part| situation.runtime().newest_in(&sandbox.id, part.name()).is_some())
}

struct Walk<'a> {
    situation: &'a Situation<'a>,
    count: usize,
    /// Something later in the row has got going, so what is visited now was completed once.
    passed: bool,
    init: Init,
}

impl Walk<'_> {
    fn visit(&mut self, index: usize, part: &Part<'_>) {
        let is_sidecar = part.kind == ContainerKind::Sidecar;
        let sandbox = self.situation.runtime().active_sandbox().map_or("", |sandbox| &sandbox.id);
        let Some(container) = self.situation.runtime().newest_in(sandbox, part.name()) else {
            if self.passed && is_sidecar {
                self.init.starts.push(index);
            }
            return;
        };
        match (is_sidecar, self.passed) {
            (true, _) => self.visit_sidecar(index, part, container),
            (false, false) => self.visit_init(index, part, container),
            (false, true) => {}
        }
        self.passed = true;
    }

    fn visit_init(&mut self, index: usize, part: &Part<'_>, container: &Container) {
        let succeeded = container.exit_code == 0;
        match container.state {
            ContainerState::Running => {}
            ContainerState::Created => self.init.starts.push(index),
            ContainerState::Exited if succeeded => self.go_on_after(index),
            ContainerState::Exited => {
                let code = container.exit_code;
                let again = restart::restarts_after(&part.container, self.situation.spec, code);
                self.again_or_failed(index, again);
            }
            ContainerState::Unknown => {
                self.init.halts.push(Halt::of(self.situation, part, container, Cause::Unknown));
                let again = restart::restarts_after_probe(&part.container, self.situation.spec);
                self.again_or_failed(index, again);
            }
        }
    }

    fn visit_sidecar(&mut self, index: usize, part: &Part<'_>, container: &Container) {
        match container.state {
            ContainerState::Running => self.visit_running_sidecar(index, part, container),
            ContainerState::Created | ContainerState::Exited => self.init.starts.push(index),
            ContainerState::Unknown => self.restart(index, part, container, Cause::Unknown),
        }
    }

    /// A sidecar opens the way once it is started; its liveness has no say in that.
    fn visit_running_sidecar(&mut self, index: usize, part: &Part<'_>, container: &Container) {
        let failed = |probe| self.situation.finding(container, probe) == Some(Finding::Failure);
        if failed(ProbeKind::Startup) {
            return self.restart(index, part, container, Cause::Probe(ProbeKind::Startup));
        }
        let liveness_failed = failed(ProbeKind::Liveness);
        if !self.situation.is_started(part, container) {
            return;
        }
        if !self.passed {
            self.go_on_after(index);
        }
        if has_changed(part, container) {
            self.restart(index, part, container, Cause::Changed);
        } else if liveness_failed {
            self.restart(index, part, container, Cause::Probe(ProbeKind::Liveness));
        }
    }

    fn go_on_after(&mut self, index: usize) {
        if index + 1 == self.count {
            self.init.is_over = true;
        } else {
            self.init.starts.push(index + 1);
        }
    }

    fn again_or_failed(&mut self, index: usize, again: bool) {
        if again {
            self.init.starts.push(index);
        } else {
            self.init.has_failed = true;
        }
    }

    fn restart(&mut self, index: usize, part: &Part<'_>, container: &Container, cause: Cause) {
        self.init.halts.push(Halt::of(self.situation, part, container, cause));
        self.init.starts.push(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        backoff::CrashLoop,
        moment::Moment,
        situation::{Known, Memory, World},
        testing::{PodBuilder, RuntimeBuilder, probe, verdict},
    };
    use k8s_openapi::api::core::v1::Pod;
    use messages::prober::Verdict;

    fn walked(pod: &Pod, runtime: RuntimeBuilder, verdicts: &[Verdict]) -> Init {
        let mut world = World { runtime: Known::Present(runtime.build()), ..World::default() };
        for verdict in verdicts {
            world.verdicts.insert((verdict.container.to_string(), verdict.probe), verdict.clone());
        }
        let memory = Memory::new(Moment(0));
        let spec = pod.spec.as_ref().unwrap();
        let (crash_loop, now) = (CrashLoop::default(), Moment(0));
        walk(&Situation { pod, spec, world: &world, memory: &memory, crash_loop, now })
    }

    fn row(is_over: bool, starts: &[usize]) -> Init {
        Init { is_over, starts: starts.to_vec(), ..Init::default() }
    }

    #[test]
    fn init_containers_run_one_after_the_other() {
        let failed = || Init { has_failed: true, ..Init::default() };
        let ready = RuntimeBuilder::ready;
        let cases = [
            ("none has run: the first", "Always", ready(), row(false, &[0])),
            ("the first runs: wait", "Always", ready().running("one", 0), row(false, &[])),
            ("the first is done: the second", "Always", ready().exited("one", 0, 0), row(false, &[1])),
            ("the first failed: again", "Always", ready().exited("one", 0, 1), row(false, &[0])),
            ("failed, and never again: over", "Never", ready().exited("one", 0, 1), failed()),
            ("failed on OnFailure: again", "OnFailure", ready().exited("one", 0, 1), row(false, &[0])),
            ("made, not started: again", "Always", ready().instance("one", 0, |_| ()), row(false, &[0])),
            ("the second is done: over", "Always", ready().exited("two", 0, 0), row(true, &[])),
            (
                "the first was collected while the second runs: wait",
                "Always",
                ready().running("two", 0),
                row(false, &[]),
            ),
            ("all were collected, the app runs: over", "Always", ready().running("app", 0), row(true, &[])),
            (
                "all were collected, the app has crashed: over",
                "Always",
                ready().exited("app", 3, 1),
                row(true, &[]),
            ),
            (
                "what ran in an older sandbox does not count",
                "Always",
                RuntimeBuilder::new()
                    .sandbox(0, false, &[])
                    .exited("one", 0, 0)
                    .exited("two", 0, 0)
                    .exited("app", 0, 0)
                    .newer_sandbox(1),
                row(false, &[0]),
            ),
        ];
        for (sentence, policy, runtime, want) in cases {
            let pod =
                PodBuilder::new().restart_policy(policy).init("one").init("two").container("app").build();
            assert_eq!(walked(&pod, runtime, &[]), want, "{sentence}");
        }
    }

    #[test]
    fn sidecars_open_the_way_and_are_kept_running() {
        use Finding::{Failure, Success};
        let ready = RuntimeBuilder::ready;
        let says = |probe, finding| vec![verdict("side", 0, probe, finding)];
        let startup = |finding| says(ProbeKind::Startup, finding);
        let liveness = |finding| {
            let mut both = says(ProbeKind::Startup, Success);
            both.extend(says(ProbeKind::Liveness, finding));
            both
        };
        let cases = [
            ("it runs, its startup is open: wait", ready().running("side", 0), vec![], row(false, &[])),
            ("it has started: the next", ready().running("side", 0), startup(Success), row(false, &[1])),
            (
                "liveness failure opens too, and restarts it",
                ready().running("side", 0),
                liveness(Failure),
                row(false, &[0, 1]),
            ),
            ("startup failure restarts it", ready().running("side", 0), startup(Failure), row(false, &[0])),
            ("it ended: again, whatever the code", ready().exited("side", 0, 0), vec![], row(false, &[0])),
            (
                "it ended while the app runs: again",
                ready().exited("side", 0, 1).running("app", 0),
                vec![],
                row(true, &[0]),
            ),
            ("it is gone while the app runs: again", ready().running("app", 0), vec![], row(true, &[0])),
        ];
        for (sentence, runtime, verdicts, want) in cases {
            let pod = PodBuilder::new()
                .restart_policy("Never")
                .init_with("side", |side| {
                    side.restart_policy = Some("Always".into());
                    (side.startup_probe, side.liveness_probe) = (probe(), probe());
                })
                .init("two")
                .container("app")
                .build();
            let got = walked(&pod, runtime, &verdicts);
            assert_eq!(Init { halts: vec![], ..got.clone() }, want, "{sentence}");
            let stopped =
                got.starts.contains(&0) && verdicts.iter().any(|verdict| verdict.finding == Failure);
            assert_eq!(!got.halts.is_empty(), stopped, "{sentence}: stopped first");
        }
    }

    #[test]
    fn a_hook_that_has_not_ended_keeps_the_way_closed() {
        let pod = PodBuilder::new().sidecar("side").container("app").build();
        let runtime = RuntimeBuilder::ready().instance("side", 0, |it| {
            it.state = ContainerState::Running;
            it.hook_pending = true;
        });
        assert_eq!(walked(&pod, runtime, &[]), row(false, &[]));
    }
}
