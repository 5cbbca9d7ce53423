//! Everything that is known of one pod at one moment: what the rules decide on.
//!
//! [`World`] is what others say and is heard again after a restart; [`Memory`] is what only this
//! process knows and is journaled.

use super::{
    backoff::{Clock, CrashLoop},
    moment::Moment,
    runtime::View,
    spec::{self, Part},
    stage::Stage,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodSpec, PodStatus};
use messages::{
    Fault,
    cri_bridge::{Container, ContainerState, RuntimePod},
    prober::{Finding, ProbeKind, Verdict},
    volume_mounter::{Volumes, VolumesPhase},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Another owner's word on this pod.
#[derive(Debug, Clone, Default)]
pub enum Known<T> {
    /// Nothing was heard, and it is not yet known whether anything will be.
    #[default]
    Unheard,
    /// The owner has said everything, and nothing about this pod.
    Absent,
    /// Its last word.
    Present(T),
}

impl<T> Known<T> {
    /// The last word.
    pub fn get(&self) -> Option<&T> {
        match self {
            Self::Present(value) => Some(value),
            _ => None,
        }
    }

    /// Whether it is certain that there is nothing.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The owner has said everything: what was not heard is not there.
    pub fn complete(&mut self) {
        if matches!(self, Self::Unheard) {
            *self = Self::Absent;
        }
    }
}

/// The node and its runtime, as far as a pod's rules ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// The node's internal addresses, primary first.
    pub host_ips: Vec<String>,
    /// `containerd`, in front of container ids.
    pub runtime_name: String,
    /// The runtime answers, and commands to it make sense.
    pub runtime_ready: bool,
    /// Why pods cannot have a network of their own; `None` when they can.
    pub network_fault: Option<String>,
    /// The default runtime handler can make read-only mounts recursive.
    pub recursive_read_only: bool,
}

/// What others say.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// The pod in the runtime.
    pub runtime: Known<RuntimePod>,
    /// The pod's volumes.
    pub volumes: Known<Volumes>,
    /// Verdicts by container and kind.
    pub verdicts: BTreeMap<(String, ProbeKind), Verdict>,
    /// Containers whose image was confirmed for an attempt.
    pub pulled: BTreeMap<String, u32>,
    /// The node.
    pub node: NodeFacts,
}

/// A start that failed before there was a container to speak of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The attempt.
    pub attempt: u32,
    /// What went wrong.
    pub fault: Fault,
    /// When.
    pub at: Moment,
}

/// Why a pod is ended that would otherwise go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// `status.reason`.
    pub reason: String,
    /// `status.message`.
    pub message: String,
    /// It was ended for the node's sake: condition `DisruptionTarget`.
    pub disrupted: bool,
}

/// What only this process knows of a pod; journaled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Memory {
    /// How far on its one way the pod is.
    pub stage: Stage,
    /// The status as last composed.
    pub status: PodStatus,
    /// Restart clocks by container.
    pub clocks: BTreeMap<String, Clock>,
    /// Failed starts by container.
    pub failed_starts: BTreeMap<String, Failed>,
    /// The failed sandbox.
    pub failed_sandbox: Option<Failed>,
    /// CRI ids of containers that are stopped so as to be started again, whatever they exit with.
    pub to_restart: BTreeSet<String>,
    /// Something was asked of the runtime: it must be told to stop before the pod counts as gone.
    pub touched: bool,
    /// Set when the pod is failed by the node.
    pub ended: Option<Ended>,
    /// When the pod was accepted: `status.startTime`.
    pub accepted_at: Moment,
    /// The start has not been reported as Running yet: its trace is open.
    pub start_is_open: bool,
}

impl Memory {
    /// The memory of a pod that was accepted just now.
    pub fn new(accepted_at: Moment) -> Self {
        Self {
            stage: Stage::Running,
            status: PodStatus::default(),
            clocks: BTreeMap::new(),
            failed_starts: BTreeMap::new(),
            failed_sandbox: None,
            to_restart: BTreeSet::new(),
            touched: false,
            ended: None,
            accepted_at,
            start_is_open: true,
        }
    }

    /// The status last composed of a container, in whichever list it stands.
    pub fn container_status(&self, name: &str) -> Option<&ContainerStatus> {
        let lists = [
            &self.status.container_statuses,
            &self.status.init_container_statuses,
            &self.status.ephemeral_container_statuses,
        ];
        lists.into_iter().flatten().flatten().find(|status| status.name == name)
    }
}

/// Everything at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The pod as desired.
    pub pod: &'a Pod,
    /// Its spec.
    pub spec: &'a PodSpec,
    /// What others say.
    pub world: &'a World,
    /// What is remembered.
    pub memory: &'a Memory,
    /// The crash-loop rule in force.
    pub crash_loop: CrashLoop,
    /// Now.
    pub now: Moment,
}

impl<'a> Situation<'a> {
    /// The pod in the runtime.
    pub fn runtime(&self) -> View<'a> {
        View(self.world.runtime.get())
    }

    /// All volumes are there.
    pub fn volumes_are_ready(&self) -> bool {
        self.world.volumes.get().is_some_and(|volumes| volumes.phase == VolumesPhase::Ready)
    }

    /// A sandbox need not wait for the volumes: they are there, or nothing suggests that they will not be soon.
    /// Otherwise a pod that can't start would hold an address, and be `PodReadyToStartContainers`.
    pub fn volumes_are_in_sight(&self) -> bool {
        let may_come = match self.world.volumes.get().map(|volumes| &volumes.phase) {
            Some(VolumesPhase::Ready) => return true,
            Some(VolumesPhase::Preparing { fault }) => fault.is_none(),
            Some(VolumesPhase::Releasing { .. }) => false,
            None => self.world.volumes.is_absent(),
        };
        may_come && spec::volumes_are_at_hand(self.spec)
    }

    /// What a probe has settled on about this very instance.
    pub fn finding(&self, container: &Container, probe: ProbeKind) -> Option<Finding> {
        let verdict = self.world.verdicts.get(&(container.name.to_string(), probe))?;
        let current = verdict.container_id == container.id && verdict.finding != Finding::Unknown;
        current.then_some(verdict.finding)
    }

    /// Whether a running instance counts as started: its hook is done, and its startup probe, if
    /// it has one, has succeeded. Without a verdict, what was last reported of the same instance
    /// stands.
    pub fn is_started(&self, part: &Part<'_>, container: &Container) -> bool {
        if container.state != ContainerState::Running || container.hook_pending {
            return false;
        }
        if part.probe(ProbeKind::Startup).is_none() {
            return true;
        }
        match self.finding(container, ProbeKind::Startup) {
            Some(finding) => finding == Finding::Success,
            None => self.last_of(container).is_some_and(|status| status.started == Some(true)),
        }
    }

    /// Whether a running instance counts as ready, by the same rule.
    pub fn is_ready(&self, part: &Part<'_>, container: &Container) -> bool {
        if !self.is_started(part, container) {
            return false;
        }
        if part.probe(ProbeKind::Readiness).is_none() {
            return true;
        }
        match self.finding(container, ProbeKind::Readiness) {
            Some(finding) => finding == Finding::Success,
            None => self.last_of(container).is_some_and(|status| status.ready),
        }
    }

    /// The attempt that the next instance of a container has: one more than the newest that the
    /// runtime knows or that was ever reported, so that no log is written over.
    pub fn next_attempt(&self, name: &str) -> u32 {
        let known = self.runtime().newest(name).map(|it| it.attempt + 1);
        let last = self.memory.container_status(name).filter(|status| status.container_id.is_some());
        let reported = last.map(|status| u32::try_from(status.restart_count).unwrap_or(0) + 1);
        known.max(reported).unwrap_or(0)
    }

    /// Every container of the spec.
    pub fn parts(&self) -> Vec<Part<'a>> {
        spec::parts(self.spec)
    }

    /// What was last reported, if it was about this instance.
    fn last_of(&self, container: &Container) -> Option<&'a ContainerStatus> {
        let status = self.memory.container_status(container.name.as_str())?;
        status.container_id.as_deref().is_some_and(|id| bare_id(id) == container.id).then_some(status)
    }
}

/// A container id of a status without the runtime's name in front.
pub fn bare_id(id: &str) -> &str {
    id.split_once("://").map_or(id, |(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::{PodBuilder, RuntimeBuilder, probe, verdict};

    fn reported(started: bool, ready: bool, id: &str) -> PodStatus {
        let status = ContainerStatus {
            name: "app".into(),
            container_id: Some(format!("containerd://{id}")),
            started: Some(started),
            ready,
            ..ContainerStatus::default()
        };
        PodStatus { container_statuses: Some(vec![status]), ..PodStatus::default() }
    }

    #[test]
    fn started_and_ready_come_from_verdicts_and_stay_while_there_is_none() {
        use Finding::{Failure, Success, Unknown};
        let before = |started, ready, id: &str| Some((started, ready, id.to_owned()));
        let cases = [
            ("a new instance without verdicts", None, None, None, (false, false)),
            ("startup success opens, readiness is awaited", Some(Success), None, None, (true, false)),
            ("both succeed", Some(Success), Some(Success), None, (true, true)),
            ("readiness means nothing before started", None, Some(Success), None, (false, false)),
            ("readiness failure", Some(Success), Some(Failure), before(true, true, "app-0"), (true, false)),
            (
                "after a restart of the prober all stays",
                None,
                None,
                before(true, true, "app-0"),
                (true, true),
            ),
            (
                "unknown is no verdict",
                Some(Unknown),
                Some(Unknown),
                before(true, true, "app-0"),
                (true, true),
            ),
            (
                "another instance's report does not count",
                None,
                None,
                before(true, true, "app-9"),
                (false, false),
            ),
        ];
        for (sentence, startup, readiness, last, want) in cases {
            let pod = PodBuilder::new()
                .container_with("app", |app| (app.startup_probe, app.readiness_probe) = (probe(), probe()))
                .build();
            let runtime = RuntimeBuilder::ready().running("app", 0).build();
            let mut world = World { runtime: Known::Present(runtime.clone()), ..World::default() };
            for (kind, finding) in [(ProbeKind::Startup, startup), (ProbeKind::Readiness, readiness)] {
                let verdict = finding.map(|finding| verdict("app", 0, kind, finding));
                world.verdicts.extend(verdict.map(|verdict| (("app".to_owned(), kind), verdict)));
            }
            let mut memory = Memory::new(Moment(0));
            if let Some((started, ready, id)) = last {
                memory.status = reported(started, ready, &id);
            }
            let spec = pod.spec.as_ref().unwrap();
            let (crash_loop, now) = (CrashLoop::default(), Moment(0));
            let situation = Situation { pod: &pod, spec, world: &world, memory: &memory, crash_loop, now };
            let (part, container) = (&situation.parts()[0], &runtime.containers[0]);
            let got = (situation.is_started(part, container), situation.is_ready(part, container));
            assert_eq!(got, want, "{sentence}");
        }
    }
}
