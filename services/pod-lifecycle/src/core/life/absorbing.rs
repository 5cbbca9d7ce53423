//! What a fact changes in what is known.

use super::{
    super::{
        deed::Deed,
        flight::{Answer, Meaning},
        moment::Moment,
        runtime::View,
        situation::{Ended, Failed, Known},
        spec,
    },
    Effect, Fact, Life,
};
use k8s_openapi::api::core::v1::Pod;
use messages::{
    Fault, Owner,
    cri_bridge::{Container, ContainerState, Deed as Listed, RuntimePod},
};

impl Life {
    pub(super) fn absorb(&mut self, fact: Fact, now: Moment) {
        match fact {
            Fact::Desired(pod) => self.desire(*pod),
            Fact::Removed => self.remove(),
            Fact::Ended { why, grace_seconds } => self.end(why, grace_seconds, now),
            Fact::Runtime(pod) => self.runtime(pod),
            Fact::Volumes(volumes) => {
                self.flight.volumes_said(volumes.as_ref().map(|volumes| volumes.revision));
                self.world.volumes = volumes.map_or(Known::Absent, |volumes| Known::Present(*volumes));
            }
            Fact::Complete(Owner::VolumeMounter) => self.world.volumes.complete(),
            Fact::Complete(_) => self.world.runtime.complete(),
            Fact::Verdict(verdict) => {
                let key = (verdict.container.to_string(), verdict.probe);
                self.world.verdicts.insert(key, *verdict);
            }
            Fact::NoVerdict { container, probe } => {
                self.world.verdicts.remove(&(container, probe));
            }
            Fact::Node(node) => self.world.node = node,
            Fact::Answer { id, answer } => self.answer(id, answer, now),
            Fact::Woken => {}
        }
    }

    /// Of the status, only what others may write is looked at, and it need not be journaled.
    fn desire(&mut self, pod: Pod) {
        let before = std::mem::replace(&mut self.record.pod, pod);
        if (&before.metadata, &before.spec) != (&self.record.pod.metadata, &self.record.pod.spec) {
            self.said.pod = None;
            self.effects.push(Effect::Save);
        }
    }

    fn remove(&mut self) {
        if !std::mem::replace(&mut self.record.is_removed, true) {
            self.effects.push(Effect::Save);
        }
    }

    pub(super) fn end(&mut self, why: Ended, grace_seconds: Option<u64>, now: Moment) {
        let grace_seconds = grace_seconds.unwrap_or_else(|| spec::grace_seconds(&self.record.pod));
        if self.record.memory.ended.is_none() {
            self.record.memory.ended = Some(why);
        }
        self.go(self.record.memory.stage.told_to_end(grace_seconds, now));
    }

    fn runtime(&mut self, pod: Option<Box<RuntimePod>>) {
        let Some(pod) = pod else {
            self.flight.runtime_is_empty();
            self.world.runtime = Known::Absent;
            return;
        };
        for deed in self.flight.runtime_said(&pod) {
            self.done(deed);
        }
        self.world.runtime = Known::Present(*pod);
    }

    fn answer(&mut self, id: u64, answer: Answer, now: Moment) {
        let meaning = self.flight.answered(id, answer, now);
        let volumes = self.world.volumes.get().map(|volumes| volumes.revision);
        self.flight.catch_up(self.world.runtime.get().map(|pod| pod.revision), volumes);
        match meaning {
            Meaning::Wait => {}
            Meaning::Done(deed) => self.done(deed),
            Meaning::Failed(deed, fault) => self.failed(deed, fault, now),
            Meaning::Mistake(deed, refusal) => {
                tracing::error!(pod = %self.uid, ?deed, %refusal, "a deed was refused as a mistake");
            }
        }
    }

    fn done(&mut self, deed: Deed) {
        match deed {
            Deed::Pull { container, attempt, .. } => {
                self.world.pulled.insert(container, attempt);
            }
            Deed::StopPod { .. } => self.stop_is_confirmed = true,
            _ => {}
        }
    }

    fn failed(&mut self, deed: Deed, fault: Fault, now: Moment) {
        let memory = &mut self.record.memory;
        match deed {
            Deed::Start { container, attempt, .. } => {
                self.world.pulled.remove(&container);
                memory.failed_starts.insert(container, Failed { attempt, fault, at: now });
            }
            Deed::Sandbox { attempt, .. } => memory.failed_sandbox = Some(Failed { attempt, fault, at: now }),
            _ => {}
        }
    }

    /// Takes from the runtime's state what is remembered beyond it, and lets go of what is over.
    pub(super) fn observe(&mut self, now: Moment) {
        let Known::Present(pod) = &self.world.runtime else { return };
        let (view, memory) = (View(Some(pod)), &mut self.record.memory);
        for flight in &pod.in_flight {
            let Some(fault) = flight.failed.clone() else { continue };
            let at = Moment(flight.at).min(now);
            match &flight.deed {
                Listed::Start { container, attempt } => {
                    let failed = Failed { attempt: *attempt, fault, at };
                    memory.failed_starts.entry(container.to_string()).or_insert(failed);
                }
                Listed::Sandbox { attempt } => {
                    memory.failed_sandbox.get_or_insert(Failed { attempt: *attempt, fault, at });
                }
                _ => {}
            }
        }
        if view.active_sandbox().is_some() {
            memory.failed_sandbox = None;
        }
        let is_over = |name: &str, failed: &Failed| {
            let running = |it: &Container| it.state == ContainerState::Running && !it.hook_pending;
            view.newest(name).is_some_and(|it| it.attempt > failed.attempt || running(it))
        };
        memory.failed_starts.retain(|name, failed| !is_over(name, failed));
        memory.to_restart.retain(|id| view.containers().iter().any(|it| it.id == *id));
    }
}
