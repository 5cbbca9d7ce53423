//! A pod that should be running: its plan, and what is taken down before the plan's deeds are asked.

use super::{
    super::{
        backoff::{self, Start},
        deed::Deed,
        event::{self, Told},
        moment::Moment,
        plan::{self, Plan},
        situation::Known,
        spec,
        stage::Stage,
    },
    Life,
};
use messages::cri_bridge::ContainerState;

impl Life {
    /// The plan of a pod in stage Running; an empty one for all others. A pod that is done leaves
    /// the stage here.
    pub(super) fn plan(&mut self, now: Moment) -> Plan {
        if self.record.memory.stage != Stage::Running {
            return Plan::default();
        }
        if matches!(self.world.runtime, Known::Unheard) {
            return self.plan_unseen();
        }
        let plan = plan::plan(&self.situation(now));
        if plan.is_done {
            self.go(Stage::Running.told_to_end(spec::grace_seconds(&self.record.pod), now));
            return Plan::default();
        }
        plan
    }

    /// Before the runtime's owner has spoken, nothing can be said of containers. What was shown
    /// stays.
    fn plan_unseen(&self) -> Plan {
        let volumes = self.world.volumes.is_absent().then_some(Deed::PrepareVolumes);
        Plan { deeds: volumes.into_iter().collect(), ..Plan::default() }
    }

    /// Asks for what is planned or, for a pod that ends, for what ending needs.
    pub(super) fn act(&mut self, plan: &Plan, now: Moment) {
        if self.record.memory.stage != Stage::Running {
            return self.end_on(now);
        }
        for deed in &plan.deeds {
            if self.ask(deed.clone()) {
                self.note(deed, now);
            }
        }
        self.tell_back_offs(plan, now);
        self.tell_network(plan.network_fault.clone(), now);
    }

    /// What must be remembered of a deed once it is asked.
    fn note(&mut self, deed: &Deed, now: Moment) {
        match deed {
            Deed::Start { container, attempt, .. } => self.note_start(container, *attempt, now),
            Deed::Stop { id, restarts: true, .. } => {
                self.record.memory.to_restart.insert(id.clone());
            }
            Deed::Sandbox { attempt, .. } if *attempt > 0 => {
                let message = "Pod sandbox changed, it will be killed and re-created.";
                self.tell_of(Told::normal(event::SANDBOX_CHANGED, message), now);
            }
            _ => {}
        }
        let touches = matches!(deed, Deed::Start { .. } | Deed::Sandbox { .. } | Deed::Stop { .. });
        if touches && !self.record.memory.touched {
            self.record.memory.touched = true;
            self.effects.push(super::Effect::Save);
        }
    }

    /// Winds the restart clock of a container that is started after an end.
    fn note_start(&mut self, container: &str, attempt: u32, now: Moment) {
        let situation = self.situation(now);
        let parts = situation.parts();
        let part = parts.iter().find(|part| part.name() == container);
        let instances = situation.runtime().instances(container);
        let ended = instances.into_iter().find(|it| it.state == ContainerState::Exited);
        let (Some(part), Some(ended)) = (part, ended) else { return };
        let key = backoff::key(situation.pod, &part.container);
        let start = Start { key, attempt, finished: Moment(ended.finished_at) };
        let before = situation.memory.clocks.get(container);
        let clock = situation.crash_loop.started(before, start, now);
        self.record.memory.clocks.insert(container.to_owned(), clock);
        self.effects.push(super::Effect::Save);
    }

    /// Tells once of each round of each back-off.
    fn tell_back_offs(&mut self, plan: &Plan, now: Moment) {
        let mut events = Vec::new();
        for part in spec::parts(spec::of(&self.record.pod)) {
            let Some(waiting) = plan.waiting.get(part.name()) else { continue };
            let Some(round) = waiting.round else { continue };
            let seen = (waiting.reason.clone(), round);
            if self.told.insert(part.name().to_owned(), seen.clone()) == Some(seen) {
                continue;
            }
            let path = plan::field_path(&part);
            let told = if waiting.reason == "CrashLoopBackOff" {
                Told::warning(event::BACK_OFF, event::container_back_off(&self.record.pod, part.name()))
            } else {
                Told::normal(event::BACK_OFF, format!("Back-off pulling image \"{}\"", part.image()))
            };
            events.push(event::of_pod(&self.record.pod, &self.uid, Told { field_path: &path, ..told }, now));
        }
        self.effects.extend(events.into_iter().map(super::Effect::Tell));
    }

    /// Tells once of each fault of the network that keeps the sandbox from being made.
    fn tell_network(&mut self, fault: Option<String>, now: Moment) {
        if self.told_network == fault {
            return;
        }
        if let Some(fault) = &fault {
            let message = format!("network is not ready: {fault}");
            self.tell_of(Told::warning(event::NETWORK_NOT_READY, message), now);
        }
        self.told_network = fault;
    }
}
