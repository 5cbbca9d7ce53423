//! What a pod that should be running needs next.
//!
//! [`plan`] looks at the whole situation and names every deed that would help now, in the order in
//! which they matter; what is in flight already is held back by [`super::flight`]. What does not
//! depend on each other is planned side by side: all images from the first moment, volumes
//! beside them, the sandbox beside volumes that can hardly fail and after others, containers after
//! sandbox, volumes and image.

use super::{
    backoff,
    deed::Deed,
    halt::{Cause, Halt},
    image::{self, Image},
    init,
    moment::{Moment, go_duration},
    regular, restart,
    sandbox::{self, Sandboxing},
    situation::{Failed, Situation},
    spec::{self, Part},
    waiting::Waiting,
};
use messages::{cri_bridge::ContainerState, pod_lifecycle::ContainerKind};
use std::collections::BTreeMap;

/// What to do and what to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Deeds that would help now.
    pub deeds: Vec<Deed>,
    /// Containers that are to be started and cannot be yet, and why.
    pub waiting: BTreeMap<String, Waiting>,
    /// Containers that are being started: what was shown of them stays.
    pub starting: Vec<String>,
    /// When to look again, if nothing happens before.
    pub wake: Option<Moment>,
    /// The pod is done: nothing runs and nothing ever will.
    pub is_done: bool,
    /// The network keeps the sandbox from being made: why.
    pub network_fault: Option<String>,
}

/// Plans for a pod in stage Running.
pub fn plan(situation: &Situation<'_>) -> Plan {
    let mut draft = Draft { situation, plan: Plan::default(), can_start: false };
    if situation.world.volumes.is_absent() {
        draft.plan.deeds.push(Deed::PrepareVolumes);
    }
    match sandbox::decide(situation.spec, situation.runtime()) {
        Sandboxing::Done => draft.plan.is_done = true,
        Sandboxing::Create { attempt } => draft.begin(attempt),
        Sandboxing::Keep => draft.go_on(),
    }
    draft.plan
}

struct Draft<'a> {
    situation: &'a Situation<'a>,
    plan: Plan,
    /// The sandbox is ready: starts are more than images.
    can_start: bool,
}

impl Draft<'_> {
    /// Nothing serves yet: images, and a sandbox once volumes are in sight and nothing old runs.
    fn begin(&mut self, attempt: u32) {
        for part in self.situation.parts() {
            if self.will_start(&part) {
                self.start(&part);
            }
        }
        let halts = self.remains();
        let clear = halts.is_empty();
        self.halt(halts);
        if clear && self.situation.volumes_are_in_sight() {
            self.sandbox(attempt);
        }
    }

    /// The sandbox serves: containers.
    fn go_on(&mut self) {
        self.can_start = self.situation.volumes_are_ready();
        for part in spec::ephemeral_parts(self.situation.spec) {
            if self.situation.runtime().newest(part.name()).is_none() {
                self.start(&part);
            }
        }
        let init = init::walk(self.situation);
        if init.has_failed {
            self.plan.is_done = true;
        } else if init.is_over {
            self.regular(init);
        } else {
            self.initialise(init);
        }
    }

    fn initialise(&mut self, init: init::Init) {
        let parts = spec::init_parts(self.situation.spec);
        let halted = self.halt(init.halts);
        for index in init.starts {
            self.start_unless_halted(&parts[index], &halted);
        }
        self.prefetch();
    }

    fn regular(&mut self, init: init::Init) {
        let regular = regular::decide(self.situation);
        if regular.is_done() {
            self.plan.is_done = true;
            return;
        }
        let halted = self.halt(init.halts.into_iter().chain(regular.halts).collect());
        let sidecars = spec::init_parts(self.situation.spec);
        for index in init.starts {
            self.start_unless_halted(&sidecars[index], &halted);
        }
        let parts = spec::regular_parts(self.situation.spec);
        for index in &regular.starts {
            self.can_start = !regular::waits_for_a_hook(self.situation, *index, &regular.starts)
                && self.situation.volumes_are_ready();
            self.start_unless_halted(&parts[*index], &halted);
        }
    }

    /// Images of containers whose turn has not come yet.
    fn prefetch(&mut self) {
        let can_start = std::mem::replace(&mut self.can_start, false);
        for part in self.situation.parts() {
            let planned = self.plan.starting.iter().any(|name| name == part.name());
            if !planned && self.situation.runtime().newest(part.name()).is_none() {
                self.start(&part);
            }
        }
        self.can_start = can_start;
    }

    /// Whether a new sandbox will see this container started.
    fn will_start(&self, part: &Part<'_>) -> bool {
        let Some(newest) = self.situation.runtime().newest(part.name()) else { return true };
        match part.kind {
            ContainerKind::Init | ContainerKind::Sidecar => true,
            ContainerKind::Ephemeral => false,
            ContainerKind::Regular => {
                let ended = newest.state == ContainerState::Exited;
                !ended || restart::restarts_after(&part.container, self.situation.spec, newest.exit_code)
            }
        }
    }

    /// What still runs in sandboxes that are to be given up.
    fn remains(&self) -> Vec<Halt> {
        let parts = self.situation.parts();
        let part = |name: &str| parts.iter().find(|part| part.name() == name);
        let alive = self.situation.runtime().alive();
        alive
            .filter_map(|it| Some(Halt::of(self.situation, part(it.name.as_str())?, it, Cause::Sandbox)))
            .collect()
    }

    fn halt(&mut self, halts: Vec<Halt>) -> Vec<String> {
        let names = halts.iter().map(|halt| halt.container.clone()).collect();
        let deed = |halt: Halt| Deed::Stop {
            container: halt.container,
            id: halt.id,
            grace_seconds: halt.grace_seconds,
            why: halt.why,
            restarts: halt.restarts,
        };
        self.plan.deeds.extend(halts.into_iter().map(deed));
        names
    }

    fn start_unless_halted(&mut self, part: &Part<'_>, halted: &[String]) {
        if !halted.iter().any(|name| name == part.name()) {
            self.start(part);
        }
    }

    fn sandbox(&mut self, attempt: u32) {
        let failed = self.situation.memory.failed_sandbox.as_ref();
        let network = self.situation.world.node.network_fault.clone();
        let network = network.filter(|_| !spec::is_host_network(self.situation.spec));
        if let Some(due) = failed.and_then(|failed| self.due(failed, "sandbox")) {
            self.wake_at(due);
        } else if network.is_some() {
            self.plan.network_fault = network;
        } else {
            let volumes_first = !spec::volumes_are_at_hand(self.situation.spec);
            self.plan.deeds.push(Deed::Sandbox { attempt, volumes_first });
        }
    }

    /// A container that should be started: waits out its back-off, then its image, then starts.
    fn start(&mut self, part: &Part<'_>) {
        let attempt = self.situation.next_attempt(part.name());
        self.plan.starting.push(part.name().to_owned());
        if let Some((until, shown)) =
            self.crash_wait(part, attempt).or_else(|| self.failed_wait(part, attempt))
        {
            self.wake_at(until);
            self.plan.waiting.insert(part.name().to_owned(), shown);
            return;
        }
        match image::stand(self.situation, part, attempt) {
            Image::Ready if self.can_start => self.plan.deeds.push(start(part, attempt)),
            Image::Ready => {}
            Image::Ask(shown) => {
                self.plan.deeds.push(pull(part, attempt));
                self.plan.waiting.extend(shown.map(|shown| (part.name().to_owned(), shown)));
            }
            Image::Wait { until, shown } => {
                self.wake_at(until);
                self.plan.waiting.insert(part.name().to_owned(), shown);
            }
        }
    }

    /// The wait of a container that keeps ending: shown by the fault of its last start first,
    /// where there was one. A start that was decided already waits no more.
    fn crash_wait(&self, part: &Part<'_>, attempt: u32) -> Option<(Moment, Waiting)> {
        let instances = self.situation.runtime().instances(part.name());
        let ended = instances.into_iter().find(|it| it.state == ContainerState::Exited)?;
        let clock = self.situation.memory.clocks.get(part.name());
        let key = backoff::key(self.situation.pod, &part.container);
        let clock = clock.filter(|clock| clock.key == key && clock.attempt < attempt)?;
        let finished = Moment(ended.finished_at);
        let due = self.situation.crash_loop.wait(Some(clock), finished, self.situation.now)?;
        let failed = self.situation.memory.failed_starts.get(part.name());
        let turn = finished.after(backoff::shown_for(clock.delay));
        match failed.filter(|failed| failed.attempt == ended.attempt && self.situation.now < turn) {
            Some(failed) => Some((turn, Waiting::from(&failed.fault))),
            None => Some((due, self.crash_loop(part, clock))),
        }
    }

    fn crash_loop(&self, part: &Part<'_>, clock: &backoff::Clock) -> Waiting {
        let (delay, pod) = (go_duration(clock.delay), spec::title(self.situation.pod));
        let message = format!("back-off {delay} restarting failed container={} pod={pod}", part.name());
        Waiting { reason: "CrashLoopBackOff".into(), message, round: Some(clock.attempt) }
    }

    /// The wait after a start that left no container behind.
    fn failed_wait(&self, part: &Part<'_>, attempt: u32) -> Option<(Moment, Waiting)> {
        let failed = self.situation.memory.failed_starts.get(part.name())?;
        let failed = Some(failed).filter(|failed| failed.attempt == attempt)?;
        Some((self.due(failed, part.name())?, Waiting::from(&failed.fault)))
    }

    fn due(&self, failed: &Failed, what: &str) -> Option<Moment> {
        let seed = format!("{}/{what}/{}", spec::title(self.situation.pod), failed.at.0);
        let wait = if failed.fault.passing { backoff::passing_wait } else { backoff::retry_wait };
        let due = failed.at.after(wait(&seed));
        (due > self.situation.now).then_some(due)
    }

    fn wake_at(&mut self, moment: Moment) {
        self.plan.wake = Some(self.plan.wake.map_or(moment, |known| known.min(moment)));
    }
}

fn start(part: &Part<'_>, attempt: u32) -> Deed {
    Deed::Start { container: part.name().to_owned(), kind: part.kind, attempt }
}

fn pull(part: &Part<'_>, attempt: u32) -> Deed {
    Deed::Pull { container: part.name().to_owned(), attempt, image: part.image().to_owned() }
}

/// The field path of events about a container.
pub fn field_path(part: &Part<'_>) -> String {
    let list = match part.kind {
        ContainerKind::Init | ContainerKind::Sidecar => "initContainers",
        ContainerKind::Regular => "containers",
        ContainerKind::Ephemeral => "ephemeralContainers",
    };
    format!("spec.{list}{{{}}}", part.name())
}
