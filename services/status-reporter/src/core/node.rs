//! The node object: composed from what cri-bridge and the others say, registered once, and written again
//! when it changes.
//!
//! Parts: [`compose`] the object, [`resources`] what pods may have, [`ready`], [`pressure`] and
//! [`silence`] what the conditions say, [`conditions`] how they are written, [`status`] what differs,
//! [`registration`] how it comes to be in the API. [`situation`] holds what was heard. [`Reporter`] puts them
//! together, one fact at a time.

pub(crate) mod compose;
pub(crate) mod conditions;
mod events;
#[cfg(test)]
pub(crate) mod fixtures;
pub(crate) mod pressure;
pub(crate) mod ready;
pub(crate) mod registration;
pub(crate) mod resources;
pub(crate) mod silence;
mod situation;
pub(crate) mod status;

use super::{backoff, failure::Failure, time::Now};
use chassis::config::NodeConfig;
use conditions::Wanted;
use k8s_openapi::api::core::v1::{Node, NodeCondition, NodeStatus};
use messages::{
    BootTime, Owner,
    cri_bridge::{Machine, Runtime},
    status_reporter::{self, RecordEvent},
};
use registration::{Registration, Step};
use serde_json::Value;
use situation::Situation;
use std::{net::IpAddr, sync::Arc, time::Duration};

/// What the reporter is told.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    /// The machine, as cri-bridge sees it.
    Machine(Box<Machine>),
    /// The runtime.
    Runtime(Box<Runtime>),
    /// Volumes that the node object must show in use.
    InUse(Vec<String>),
    /// The addresses that the node has.
    Addresses(Vec<IpAddr>),
    /// A process said its health, at this moment: what is heard first may be old.
    Heard(Owner, BootTime),
    /// The bus is there, or is not.
    Bus(bool),
    /// The status is due to be looked at (`nodeStatusUpdateFrequency`).
    Tick,
    /// The API server is back, or a pause is over.
    Woke,
    /// The answer to what was asked for, registration or status.
    Answered(Result<Box<Node>, Failure>),
    /// The API server's node changed.
    Seen(Box<Node>),
    /// The API server has no such node any more.
    SeenGone,
}

/// A request about the node. There is one under way at most.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    /// POST it.
    Create(Box<Node>),
    /// GET it.
    Read,
    /// PATCH it.
    Patch(Value),
    /// PATCH its status.
    PatchStatus(Value),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Ask the API server.
    Ask(Ask),
    /// Say `Woke` after this time.
    WakeAfter(Duration),
    /// Say it on the bus, and remember it when it was accepted.
    Say(Box<status_reporter::Node>),
    /// Record an event.
    Record(RecordEvent),
    /// Registration is done.
    Registered,
    /// It failed and will be tried again.
    NotRegistered(Failure),
}

/// The reporter of one node.
#[derive(Debug)]
pub(crate) struct Reporter {
    config: Arc<NodeConfig>,
    situation: Situation,
    registration: Registration,
    /// The node as the API server has it, as far as is known.
    accepted: Option<Node>,
    /// A status patch is under way.
    writing: bool,
    /// What is told when the API server has accepted what it was asked for last. It is settled when that is
    /// sent: a watch may show the outcome before the answer comes.
    news: Vec<RecordEvent>,
    failures: u32,
    not_before: BootTime,
    reported_at: Option<BootTime>,
    said: Option<Box<status_reporter::Node>>,
    begun: bool,
    /// What follows from the fact that is being taken in.
    effects: Vec<Effect>,
}

/// The status as it should be.
struct Draft {
    status: NodeStatus,
    wanted: Vec<Wanted>,
    conditions: Vec<NodeCondition>,
}

impl Reporter {
    /// A reporter that remembers the node as it was last accepted.
    pub(crate) fn new(config: Arc<NodeConfig>, remembered: Option<Node>, now: Now) -> Self {
        Self {
            situation: Situation::new(config.clone(), now.boot),
            config,
            registration: Registration::default(),
            accepted: remembered,
            writing: false,
            news: Vec::new(),
            failures: 0,
            not_before: BootTime::default(),
            reported_at: None,
            said: None,
            begun: false,
            effects: Vec::new(),
        }
    }

    /// The UID under which the node is registered: the owner of its lease and mirror pods. None while it
    /// is not, or is about to go.
    pub(crate) fn uid(&self) -> Option<&str> {
        let metadata = &self.accepted.as_ref().filter(|_| self.registration.is_registered())?.metadata;
        metadata.uid.as_deref().filter(|_| metadata.deletion_timestamp.is_none())
    }

    /// Takes a fact in.
    pub(crate) fn step(&mut self, now: Now, fact: Fact) -> Vec<Effect> {
        let is_look = matches!(fact, Fact::Tick);
        self.situation.wake(now.boot);
        self.take(now, fact);
        if let Some(draft) = self.draft(now) {
            self.begin(now);
            self.write(now, is_look, &draft);
            self.say(draft);
        }
        std::mem::take(&mut self.effects)
    }

    fn take(&mut self, now: Now, fact: Fact) {
        match fact {
            Fact::Machine(machine) => self.situation.machine(now.boot, *machine),
            Fact::Runtime(runtime) => self.situation.runtime(now.boot, *runtime),
            Fact::InUse(volumes) => self.situation.in_use(volumes),
            Fact::Addresses(addresses) => self.situation.addresses(addresses),
            Fact::Heard(owner, at) => self.situation.ears().hear(at.min(now.boot), owner),
            Fact::Bus(is_there) => self.situation.ears().bus(now.boot, is_there),
            Fact::Woke => self.not_before = BootTime::default(),
            Fact::Tick => {
                let silent = self.situation.ears().newly_silent(now.boot);
                self.record(silent.into_iter().map(|owner| events::silent(owner, now.unix)));
            }
            Fact::Answered(answer) if self.writing => self.written(now, answer),
            Fact::Answered(answer) => self.registering(now, answer),
            Fact::Seen(node) => self.see(now, *node),
            Fact::SeenGone if self.registration.is_registered() => self.registration = Registration::Deleted,
            Fact::SeenGone => {}
        }
    }

    fn see(&mut self, now: Now, node: Node) {
        let is_ours = matches!(self.registration, Registration::Registered | Registration::Deleted);
        if !is_ours || self.accepted.as_ref().is_some_and(|known| is_older(&node, known)) {
            return;
        }
        self.record(events::schedulable(self.accepted.as_ref(), &node, now.unix));
        self.registration = Registration::Registered;
        self.accepted = Some(node);
    }

    fn registering(&mut self, now: Now, answer: Result<Box<Node>, Failure>) {
        let is_stale = answer.as_ref().map(|node| registration::stale(node, &self.config).is_some());
        let was_created = self.registration == Registration::Creating && answer.is_ok();
        let (registration, step) = self.registration.answered(is_stale);
        self.registration = registration;
        match answer {
            Ok(node) => {
                if was_created {
                    self.reported_at = Some(now.boot);
                    self.tell();
                }
                self.accepted = Some(*node);
            }
            Err(failure) if step == Step::Again => {
                self.pause(now, backoff::REGISTRATION, &failure);
                self.effects.push(Effect::NotRegistered(failure));
            }
            Err(_) => {}
        }
        self.go_on(step);
    }

    fn go_on(&mut self, step: Step) {
        match step {
            Step::Read => self.effects.push(Effect::Ask(Ask::Read)),
            Step::Reconcile => {
                let patch = self.accepted.as_ref().and_then(|node| registration::stale(node, &self.config));
                self.effects.extend(patch.map(|patch| Effect::Ask(Ask::Patch(patch))));
            }
            Step::Done => {
                self.failures = 0;
                self.effects.push(Effect::Registered);
            }
            Step::Create | Step::Again => {}
        }
    }

    fn written(&mut self, now: Now, answer: Result<Box<Node>, Failure>) {
        self.writing = false;
        match answer {
            Ok(node) => {
                self.tell();
                self.failures = 0;
                self.reported_at = Some(now.boot);
                self.accepted = Some(*node);
            }
            Err(Failure::NotFound) => self.registration = Registration::Deleted,
            Err(failure) => self.pause(now, backoff::WRITES, &failure),
        }
    }

    fn tell(&mut self) {
        let news = std::mem::take(&mut self.news);
        self.record(news);
    }

    /// What the API server will learn from a draft.
    fn news_of(&self, now: Now, draft: &Draft) -> Vec<RecordEvent> {
        let known = self.accepted.as_ref();
        let changed = conditions::transitions(&draft.wanted, known.map(conditions_of).unwrap_or_default());
        let mut news = events::transitions(&self.config, &changed, now.unix);
        news.extend(known.and_then(|known| events::rebooted(known, &draft.status, now.unix)));
        news
    }

    fn record(&mut self, events: impl IntoIterator<Item = RecordEvent>) {
        self.effects.extend(events.into_iter().map(Effect::Record));
    }

    fn pause(&mut self, now: Now, policy: backoff::Policy, failure: &Failure) {
        self.failures = self.failures.saturating_add(1);
        let pause = policy.pause(self.failures, now.dice, failure);
        self.not_before = now.boot.after(pause);
        self.effects.push(Effect::WakeAfter(pause));
    }

    fn begin(&mut self, now: Now) {
        if !std::mem::replace(&mut self.begun, true) {
            self.record(events::beginning(self.situation.cgroup_version(), now.unix));
        }
    }

    fn write(&mut self, now: Now, is_look: bool, draft: &Draft) {
        if now.boot < self.not_before || self.config.is_standalone() {
            return;
        }
        match self.registration {
            Registration::Unknown => {
                let (registration, step) = self.registration.begin(self.config.kubelet.register_node);
                self.registration = registration;
                self.news = self.news_of(now, draft);
                let node = || self.situation.node(draft.status.clone(), draft.conditions.clone());
                let ask = if step == Step::Create { Ask::Create(Box::new(node())) } else { Ask::Read };
                self.effects.push(Effect::Ask(ask));
            }
            Registration::Registered if !self.writing && self.is_due(now, is_look, draft) => {
                self.writing = true;
                self.news = self.news_of(now, draft);
                let patch = status::patch(&draft.status, &draft.conditions);
                self.effects.push(Effect::Ask(Ask::PatchStatus(patch)));
            }
            _ => {}
        }
    }

    /// The status is written at once when a condition flips, or as long as the node was never ready; when
    /// anything else differs at the next look; and every few minutes in any case. The lease, not this, says
    /// that the node lives.
    fn is_due(&self, now: Now, is_look: bool, draft: &Draft) -> bool {
        let known = self.known_conditions();
        let differs = || {
            let accepted = self.accepted.as_ref().and_then(|node| node.status.as_ref());
            let is_said = accepted.is_some_and(|accepted| status::is_said(&draft.status, accepted));
            !is_said || !conditions::are_said(&draft.wanted, known)
        };
        let flips = !conditions::transitions(&draft.wanted, known).is_empty();
        let hurries = is_look || self.reported_at.is_none() || !conditions::say_ready(known);
        flips || (hurries && differs()) || (is_look && self.is_overdue(now))
    }

    /// Spread over half a period, so that nodes that came up together do not report together for ever.
    fn is_overdue(&self, now: Now) -> bool {
        let period = self.config.kubelet.node_status_report_frequency.get();
        let spread = period.mul_f64(now.dice.clamp(0.0, 1.0) / 2.0);
        self.reported_at.is_none_or(|reported_at| now.boot.since(reported_at) + spread >= period)
    }

    fn say(&mut self, draft: Draft) {
        let registered = self.accepted.is_some();
        let object = self.accepted.clone();
        let object = object.unwrap_or_else(|| self.situation.node(draft.status, draft.conditions));
        let standalone = self.config.is_standalone();
        let node = Box::new(status_reporter::Node { registered, standalone, object: object.into() });
        if self.said.as_ref().is_none_or(|said| says_more(said, &node)) {
            self.said = Some(node.clone());
            self.effects.push(Effect::Say(node));
        }
    }

    fn draft(&self, now: Now) -> Option<Draft> {
        let status = self.situation.status(self.accepted.as_ref())?;
        let known = self.known_conditions();
        let wanted = self.situation.wanted(now.boot, known);
        let conditions = conditions::compose(&wanted, known, now);
        Some(Draft { status, wanted, conditions })
    }

    /// The conditions as they were last accepted; before that, as they were last said.
    fn known_conditions(&self) -> &[NodeCondition] {
        let said = self.said.as_ref().map(|said| &*said.object);
        self.accepted.as_ref().or(said).map(conditions_of).unwrap_or_default()
    }
}

fn conditions_of(node: &Node) -> &[NodeCondition] {
    let status = node.status.as_ref();
    status.and_then(|status| status.conditions.as_deref()).unwrap_or_default()
}

/// Whether an object is an earlier version of another. Versions are numbers that grow (KEP-5504); what is
/// no number counts as news.
fn is_older(node: &Node, than: &Node) -> bool {
    let version = |node: &Node| node.metadata.resource_version.as_ref()?.parse::<u64>().ok();
    node.metadata.uid == than.metadata.uid
        && matches!((version(node), version(than)), (Some(one), Some(other)) if one < other)
}

/// Whether saying it again tells more than a new heartbeat.
fn says_more(said: &status_reporter::Node, node: &status_reporter::Node) -> bool {
    let still = |node: &status_reporter::Node| {
        let mut object = node.object.clone();
        object.metadata.resource_version = None;
        let conditions = object.status.as_mut().and_then(|status| status.conditions.as_mut());
        conditions.into_iter().flatten().for_each(|condition| condition.last_heartbeat_time = None);
        (node.registered, object)
    };
    still(said) != still(node)
}

#[cfg(test)]
mod tests;
