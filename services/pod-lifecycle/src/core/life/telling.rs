//! What is said of a pod: the pod itself, its status, and what to probe.

use super::{
    super::{
        mirror,
        moment::Moment,
        plan::Plan,
        probes, qos,
        situation::Known,
        spec,
        stage::Stage,
        status::{self, Telling, phase},
    },
    Effect, Life, Origin,
};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use messages::pod_lifecycle::{self, PodSource, Probes, Status};

/// What was said last in this life of the process.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The stage with which the pod was said; `None` when it must be said again.
    pub(super) pod: Option<Stage>,
    /// What goes with the status; the status itself is remembered.
    status: Option<(bool, bool, u32)>,
    probes: Option<Probes>,
}

impl Life {
    /// Says the pod when it, or its stage, is another: that is a new decision. A pod that was turned
    /// down is nobody's business.
    pub(super) fn say_pod(&mut self) {
        let stage = self.record.memory.stage;
        if self.record.origin == Origin::Rejected || self.said.pod == Some(stage) {
            return;
        }
        self.said.pod = Some(stage);
        self.revision += 1;
        let object = Pod { status: None, ..self.record.pod.clone() };
        self.effects.push(Effect::SayPod(Box::new(pod_lifecycle::Pod {
            pod: self.uid.clone(),
            decision: self.decision(),
            source: self.record.source,
            stage: stage.to_message(),
            object: Box::new(object),
        })));
    }

    /// Says status and probes where they have changed.
    pub(super) fn tell(&mut self, plan: &Plan, now: Moment) {
        if self.record.origin == Origin::Orphan || self.effects.contains(&Effect::Finish) {
            return;
        }
        if self.can_tell() {
            self.tell_status(plan, now);
        }
        self.tell_probes(now);
    }

    /// A status is made of what the runtime shows. Before that is heard, the journaled one is said.
    fn can_tell(&self) -> bool {
        self.has_seen() || self.record.origin == Origin::Rejected || self.said.status.is_none()
    }

    /// The runtime's owner has spoken, of the pod and of the runtime.
    fn has_seen(&self) -> bool {
        !matches!(self.world.runtime, Known::Unheard) && !self.world.node.runtime_name.is_empty()
    }

    fn tell_status(&mut self, plan: &Plan, now: Moment) {
        let composed = self.compose(plan, now);
        let release = self.is_gone() && self.is_leaving();
        let mirrored =
            self.is_static() && !(self.record.is_removed && self.record.memory.stage == Stage::Terminated);
        let around = Some((release, mirrored, self.record.life));
        if self.record.memory.status == composed && self.said.status == around {
            return;
        }
        self.said.status = around;
        self.record.memory.status = composed;
        self.effects.push(Effect::SayStatus(Box::new(self.status_message(release, mirrored))));
        self.effects.push(Effect::Save);
        self.close_the_start();
    }

    fn compose(&self, plan: &Plan, now: Moment) -> PodStatus {
        let last = &self.record.memory.status;
        match self.record.origin {
            Origin::Rejected => self.rejection(),
            _ if !self.has_seen() && last.phase.is_some() => last.clone(),
            _ => {
                let telling = Telling { plan, is_static: self.is_static() };
                status::compose(&self.situation(now), telling)
            }
        }
    }

    /// The status of a pod that was turned down.
    fn rejection(&self) -> PodStatus {
        let ended = self.record.memory.ended.as_ref();
        PodStatus {
            phase: Some(phase::FAILED.into()),
            reason: ended.map(|ended| ended.reason.clone()),
            message: ended.map(|ended| ended.message.clone()),
            qos_class: Some(qos::class(spec::of(&self.record.pod)).into()),
            start_time: Some(self.record.memory.accepted_at.to_time()),
            observed_generation: self.record.pod.metadata.generation,
            ..PodStatus::default()
        }
    }

    fn status_message(&self, release: bool, mirrored: bool) -> Status {
        let meta = &self.record.pod.metadata;
        Status {
            pod: self.uid.clone(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            source: self.record.source,
            status: Box::new(self.record.memory.status.clone()),
            mirror: mirrored.then(|| Box::new(mirror::of(&self.record.pod))),
            release,
            seen_at: self.record.seen_at.0,
            life: self.record.life,
        }
    }

    /// The start is over once Running was said with every regular container started, or when it
    /// will never come to that.
    fn close_the_start(&mut self) {
        let status = &self.record.memory.status;
        let has_started = |state: &k8s_openapi::api::core::v1::ContainerState| state.waiting.is_none();
        let statuses = status.container_statuses.as_deref().unwrap_or_default();
        let started = statuses.iter().all(|it| it.state.as_ref().is_some_and(has_started));
        let runs = status.phase.as_deref() == Some(phase::RUNNING) && started;
        if runs || self.record.memory.stage != Stage::Running {
            self.record.memory.start_is_open = false;
        }
    }

    fn tell_probes(&mut self, now: Moment) {
        if !self.has_seen() {
            return;
        }
        let probes = probes::compose(&self.situation(now), &self.uid);
        if probes == self.said.probes {
            return;
        }
        self.effects.push(match &probes {
            Some(probes) => Effect::SayProbes(Box::new(probes.clone())),
            None => Effect::RetractProbes,
        });
        self.said.probes = probes;
    }

    fn is_static(&self) -> bool {
        self.record.source != PodSource::Api
    }
}
