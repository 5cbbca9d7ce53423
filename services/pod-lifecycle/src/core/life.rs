//! One life of a pod on this node: from its acceptance until nothing of it is left.
//!
//! [`Life::step`] takes a fact and tells the effects. A fact is absorbed first; then the stage, the
//! deeds and the sayings are worked out anew from everything known. So no fact is needed twice, a
//! lost one is made up for by the next, and a late one changes nothing.

mod absorbing;
mod ending;
mod running;
mod telling;
#[cfg(test)]
mod tests;

use super::{
    backoff::CrashLoop,
    deed::Deed,
    event::{self, Told},
    flight::{self, Answer, Flight},
    moment::Moment,
    situation::{Ended, Memory, NodeFacts, Situation, World},
    spec,
    stage::Stage,
    status::phase,
};
use k8s_openapi::api::core::v1::Pod;
use messages::{
    Decision, Incarnation, Owner, PodUid,
    cri_bridge::{ContainerState, RuntimePod},
    pod_lifecycle::{self, PodSource, Probes, Status},
    prober::{ProbeKind, Verdict},
    status_reporter::RecordEvent,
    volume_mounter::Volumes,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use telling::Said;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Fact {
    /// The pod's source has it like this now.
    Desired(Box<Pod>),
    /// The pod's source does not have it any more.
    Removed,
    /// The node fails the pod.
    Ended {
        /// Why.
        why: Ended,
        /// Seconds that its containers are given; as many as its spec says where none are named.
        grace_seconds: Option<u64>,
    },
    /// What the runtime holds of it; nothing any more.
    Runtime(Option<Box<RuntimePod>>),
    /// Its volumes; none any more.
    Volumes(Option<Box<Volumes>>),
    /// An owner has said everything: what was not heard from it does not exist.
    Complete(Owner),
    /// A verdict.
    Verdict(Box<Verdict>),
    /// There is no such verdict any more.
    NoVerdict {
        /// The container.
        container: String,
        /// The probe.
        probe: ProbeKind,
    },
    /// The node.
    Node(NodeFacts),
    /// What came of an [`Effect::Ask`].
    Answer {
        /// Which.
        id: u64,
        /// What.
        answer: Answer,
    },
    /// Time has passed.
    Woken,
}

/// Something to be done about it.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Say the pod, before anything that is asked.
    SayPod(Box<pod_lifecycle::Pod>),
    /// Say the status.
    SayStatus(Box<Status>),
    /// Say what is to be probed.
    SayProbes(Box<Probes>),
    /// Nothing is to be probed any more.
    RetractProbes,
    /// Ask for a deed; its answer comes as [`Fact::Answer`].
    Ask {
        /// The id of the answer.
        id: u64,
        /// The deed.
        deed: Deed,
        /// The decision that it carries out.
        decision: Decision,
    },
    /// Tell of it.
    Tell(RecordEvent),
    /// Journal [`Life::record`].
    Save,
    /// Nothing is left: retract everything and forget the journal.
    Finish,
}

/// What came of a step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stepped {
    /// To be performed in this order.
    pub effects: Vec<Effect>,
    /// When to step again with [`Fact::Woken`], if nothing happens before.
    pub wake: Option<Moment>,
    /// What is said and asked belongs to the pod's start.
    pub is_in_start: bool,
}

/// How a life came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// It was admitted.
    Accepted,
    /// It was turned down: nothing of it may ever be on this node.
    Rejected,
    /// Nobody wants it, but the runtime holds it.
    Orphan,
}

/// What is journaled of a life.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The pod as last desired.
    pub pod: Pod,
    /// Its source.
    pub source: PodSource,
    /// How it came to be.
    pub origin: Origin,
    /// How many lives of its UID came before.
    pub life: u32,
    /// When it was first seen.
    pub seen_at: Moment,
    /// Its source has let it go: a pod of the same UID that comes again is another life.
    pub is_removed: bool,
    /// The rest.
    pub memory: Memory,
}

/// Settings of the rules.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// This life of the process.
    pub incarnation: Incarnation,
    /// The crash-loop rule.
    pub crash_loop: CrashLoop,
    /// The greatest revision of any decision before: a later life of a UID decides later.
    pub revision: u64,
}

/// One life of a pod.
#[derive(Debug)]
pub struct Life {
    uid: PodUid,
    record: Record,
    world: World,
    flight: Flight,
    rules: Rules,
    revision: u64,
    said: Said,
    /// Back-offs that were told of, by container.
    told: BTreeMap<String, (String, u32)>,
    told_network: Option<String>,
    /// The runtime's owner has confirmed that it will start nothing any more.
    stop_is_confirmed: bool,
    /// The grace within which it was last asked to stop everything.
    asked_grace: Option<u64>,
    wake: Option<Moment>,
    effects: Vec<Effect>,
}

impl Life {
    /// A life from its record: a new one, or one of the journal.
    pub fn new(uid: PodUid, record: Record, rules: Rules) -> Self {
        Self {
            uid,
            record,
            world: World::default(),
            flight: Flight::default(),
            rules,
            revision: rules.revision,
            said: Said::default(),
            told: BTreeMap::new(),
            told_network: None,
            stop_is_confirmed: false,
            asked_grace: None,
            wake: None,
            effects: Vec::new(),
        }
    }

    /// What to journal.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The revision of the newest decision.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The pod.
    pub fn uid(&self) -> &PodUid {
        &self.uid
    }

    /// Whether nothing is asked of anyone that is not settled.
    pub fn is_at_rest(&self) -> bool {
        self.flight.is_empty()
    }

    /// Names of the init containers that run and have to end before anything else runs.
    pub fn running_init(&self) -> BTreeSet<&str> {
        let all = spec::of(&self.record.pod).init_containers.iter().flatten();
        let init = all.filter(|container| !spec::is_sidecar(container));
        let names: BTreeSet<&str> = init.map(|container| container.name.as_str()).collect();
        let containers = self.world.runtime.get().map_or(&[][..], |pod| &pod.containers);
        let running = containers.iter().filter(|it| it.state == ContainerState::Running);
        running.map(|it| it.name.as_str()).filter(|name| names.contains(name)).collect()
    }

    /// Takes a fact at a moment, and tells what to do.
    pub fn step(&mut self, fact: Fact, now: Moment) -> Stepped {
        self.wake = None;
        let is_in_start = self.record.memory.start_is_open;
        self.absorb(fact, now);
        self.flight.expire(now);
        self.observe(now);
        self.look_for_an_end(now);
        let plan = self.plan(now);
        self.look_whether_stopped();
        // The pod first: whoever is asked must know the decision that he carries out.
        self.say_pod();
        self.act(&plan, now);
        self.tell(&plan, now);
        let wake = [self.wake, plan.wake, self.flight.wake()].into_iter().flatten().min();
        Stepped { effects: std::mem::take(&mut self.effects), wake, is_in_start }
    }

    fn go(&mut self, stage: Stage) {
        if self.record.memory.stage != stage {
            self.record.memory.stage = stage;
            self.effects.push(Effect::Save);
        }
    }

    /// Reasons to end that lie outside of the containers.
    fn look_for_an_end(&mut self, now: Moment) {
        self.look_at_the_deadline(now);
        let pod = &self.record.pod;
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if self.is_leaving() || phase::is_terminal(phase) {
            self.go(self.record.memory.stage.told_to_end(spec::grace_seconds(pod), now));
        }
    }

    /// `activeDeadlineSeconds`, counted from `status.startTime`.
    fn look_at_the_deadline(&mut self, now: Moment) {
        let seconds = spec::of(&self.record.pod).active_deadline_seconds;
        let Some(seconds) = seconds.and_then(|seconds| u64::try_from(seconds).ok()) else { return };
        if self.record.memory.stage != Stage::Running {
            return;
        }
        let started = self.record.memory.status.start_time.as_ref();
        let started = started.map_or(self.record.memory.accepted_at, Moment::from);
        let due = started.after(Duration::from_secs(seconds));
        if due > now {
            self.wake_at(due);
            return;
        }
        let message = "Pod was active on the node longer than the specified deadline";
        self.tell_of(Told::normal(event::DEADLINE_EXCEEDED, message), now);
        let why =
            Ended { reason: event::DEADLINE_EXCEEDED.into(), message: message.into(), disrupted: false };
        self.end(why, None, now);
    }

    /// Its source wants it gone, or has let it go.
    fn is_leaving(&self) -> bool {
        let orphan = self.record.origin == Origin::Orphan;
        orphan || self.record.is_removed || self.record.pod.metadata.deletion_timestamp.is_some()
    }

    /// Asks for a deed unless it is in flight, or its owner is busy with it already.
    fn ask(&mut self, deed: Deed) -> bool {
        let busy = self.world.runtime.get().is_some_and(|pod| flight::is_under_way(pod, &deed));
        if busy || !self.can_be_asked(&deed) {
            return false;
        }
        let Some(id) = self.flight.begin(&deed) else { return false };
        self.send(id, deed);
        true
    }

    /// Asks for a deed in the place of one like it.
    fn ask_instead(&mut self, deed: Deed) -> bool {
        if !self.can_be_asked(&deed) {
            return false;
        }
        let id = self.flight.overtake(&deed);
        self.send(id, deed);
        true
    }

    fn can_be_asked(&self, deed: &Deed) -> bool {
        !deed.is_of_the_runtime() || self.world.node.runtime_ready
    }

    fn send(&mut self, id: u64, deed: Deed) {
        let decision = self.decision();
        self.effects.push(Effect::Ask { id, deed, decision });
    }

    fn decision(&self) -> Decision {
        Decision { incarnation: self.rules.incarnation, revision: self.revision }
    }

    fn tell_of(&mut self, what: Told<'_>, now: Moment) {
        let event = event::of_pod(&self.record.pod, &self.uid, what, now);
        self.effects.push(Effect::Tell(event));
    }

    fn wake_at(&mut self, moment: Moment) {
        self.wake = Some(self.wake.map_or(moment, |known| known.min(moment)));
    }

    fn situation(&self, now: Moment) -> Situation<'_> {
        Situation {
            pod: &self.record.pod,
            spec: spec::of(&self.record.pod),
            world: &self.world,
            memory: &self.record.memory,
            crash_loop: self.rules.crash_loop,
            now,
        }
    }
}
