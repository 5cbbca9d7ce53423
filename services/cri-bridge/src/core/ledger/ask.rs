//! What a command becomes: nothing, a deed, part of a deed that is under way, or a refusal.

use super::Ledger;
use messages::{
    ContainerName, Decision, Refusal,
    cri_bridge::{ContainerState, Deed},
    pod_lifecycle::ContainerKind,
};

/// A command about a pod, without pod and decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// `pull-image`.
    Pull {
        /// The container.
        container: ContainerName,
    },
    /// `ensure-sandbox`.
    Sandbox {
        /// The attempt.
        attempt: u32,
        /// After its volumes.
        volumes_first: bool,
    },
    /// `start-container`.
    Start {
        /// The container.
        container: ContainerName,
        /// Which list it stands in.
        kind: ContainerKind,
        /// The attempt.
        attempt: u32,
    },
    /// `stop-container`.
    Stop {
        /// The container.
        container: ContainerName,
        /// The instance.
        container_id: String,
        /// Seconds until it is killed.
        grace_seconds: u64,
        /// The sentence for the event.
        why: String,
    },
    /// `stop-pod`.
    StopPod {
        /// Seconds that containers are given.
        grace_seconds: u64,
    },
    /// `forget-pod`.
    Forget {
        /// Dead containers, sandboxes and logs too.
        remove_containers: bool,
    },
}

impl Ask {
    /// The record of it in `in_flight`; `None` for pulls, which are told by image.
    pub fn deed(&self) -> Option<Deed> {
        Some(match self {
            Self::Pull { .. } => return None,
            Self::Sandbox { attempt, .. } => Deed::Sandbox { attempt: *attempt },
            Self::Start { container, attempt, .. } => {
                Deed::Start { container: container.clone(), attempt: *attempt }
            }
            Self::Stop { container, container_id, .. } => {
                Deed::Stop { container: container.clone(), container_id: container_id.clone() }
            }
            Self::StopPod { .. } => Deed::StopPod,
            Self::Forget { .. } => Deed::Forget,
        })
    }

    /// Whether it brings something into being.
    fn makes(&self) -> bool {
        matches!(self, Self::Pull { .. } | Self::Sandbox { .. } | Self::Start { .. })
    }

    /// Whether it needs the pod's volumes.
    fn needs_volumes(&self) -> bool {
        matches!(self, Self::Sandbox { volumes_first: true, .. } | Self::Start { .. })
    }
}

/// What to do with a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Wait a moment for what is not known yet, and judge again; refuse if it does not come.
    Wait(Refusal),
    /// Say no.
    Refuse(Refusal),
    /// It is as asked already.
    Done,
    /// The same deed is under way: answer with its result.
    Join,
    /// Begin.
    Begin,
}

impl Ledger {
    /// What to do with a command of this decision.
    pub fn judge(&self, ask: &Ask, decision: Decision) -> Verdict {
        if ask.makes() {
            if self.stopped.is_some_and(|stopped| stopped >= decision) {
                return Verdict::Refuse(Refusal::Superseded);
            }
            let known = self.spec.as_ref().map(|spec| spec.decision);
            if known.is_none_or(|known| known < decision) {
                return Verdict::Wait(unknown("the pod"));
            }
            if self.is_stopping() {
                return Verdict::Refuse(Refusal::Superseded);
            }
        }
        if ask.needs_volumes() && self.ready_volumes().is_none() {
            return Verdict::Wait(unknown("the pod's volumes"));
        }
        if ask.deed().is_some_and(|deed| self.is_under_way(&deed)) {
            return Verdict::Join;
        }
        self.judge_deed(ask)
    }

    fn is_under_way(&self, deed: &Deed) -> bool {
        self.in_flight.iter().any(|flight| flight.failed.is_none() && flight.deed == *deed)
    }

    fn judge_deed(&self, ask: &Ask) -> Verdict {
        match ask {
            Ask::Pull { container } => match super::super::spec::container(self.object(), container.as_str())
            {
                Some(_) => Verdict::Begin,
                None => Verdict::Refuse(unknown(&format!("container {container}"))),
            },
            Ask::Sandbox { attempt, .. } => self.judge_sandbox(*attempt),
            Ask::Start { container, attempt, .. } => self.judge_start(container, *attempt),
            Ask::Stop { container_id, .. } => {
                let instance = self.containers.iter().find(|it| it.id == *container_id);
                let ended = instance.is_none_or(|it| it.state == ContainerState::Exited);
                if ended { Verdict::Done } else { Verdict::Begin }
            }
            Ask::StopPod { .. } | Ask::Forget { .. } => Verdict::Begin,
        }
    }

    fn judge_sandbox(&self, attempt: u32) -> Verdict {
        let other = |deed: &Deed| matches!(deed, Deed::Sandbox { .. });
        if self.in_flight.iter().any(|flight| flight.failed.is_none() && other(&flight.deed)) {
            return Verdict::Refuse(Refusal::Unavailable);
        }
        match self.sandboxes.first() {
            Some(newest) if newest.attempt == attempt && newest.ready => Verdict::Done,
            // What is over does not come back under the same attempt.
            Some(newest) if newest.attempt >= attempt => Verdict::Refuse(Refusal::Superseded),
            _ => Verdict::Begin,
        }
    }

    fn judge_start(&self, container: &ContainerName, attempt: u32) -> Verdict {
        if super::super::spec::container(self.object(), container.as_str()).is_none() {
            return Verdict::Refuse(unknown(&format!("container {container}")));
        }
        let busy = |deed: &Deed| match deed {
            Deed::Start { container: name, .. } | Deed::Stop { container: name, .. } => name == container,
            Deed::StopPod => true,
            _ => false,
        };
        if self.in_flight.iter().any(|flight| flight.failed.is_none() && busy(&flight.deed)) {
            return Verdict::Refuse(Refusal::Unavailable);
        }
        match self.instance(container, attempt).map(|it| it.state) {
            Some(ContainerState::Running | ContainerState::Exited) => return Verdict::Done,
            Some(ContainerState::Created | ContainerState::Unknown) => return Verdict::Begin,
            None => {}
        }
        if self.newest(container).is_some_and(|newest| newest.attempt > attempt) {
            return Verdict::Refuse(Refusal::Superseded);
        }
        match self.active_sandbox() {
            Some(_) => Verdict::Begin,
            None => Verdict::Wait(unknown("a ready sandbox")),
        }
    }

    fn object(&self) -> &k8s_openapi::api::core::v1::Pod {
        static NOBODY: std::sync::LazyLock<k8s_openapi::api::core::v1::Pod> =
            std::sync::LazyLock::new(Default::default);
        self.spec.as_ref().map_or(&NOBODY, |spec| &spec.object)
    }
}

fn unknown(what: &str) -> Refusal {
    Refusal::Unknown { what: what.to_owned() }
}
