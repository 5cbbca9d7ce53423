//! The node object: composed from what cri-bridge and the others say, registered once, and written again
//! when it changes.
//!
//! Parts: [`compose`] the object, [`resources`] what pods may have, [`ready`], [`pressure`] and
//! [`silence`] what the conditions say, [`conditions`] how they are written, [`status`] what differs,
//! [`registration`] how it comes to be in the API. [`Reporter`] puts them together, one fact at a time.

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
pub(crate) mod status;

use super::{backoff, failure::Failure, time::Now};
use chassis::config::NodeConfig;
use compose::Facts;
use k8s_openapi::api::core::v1::{Node, NodeCondition, NodeStatus};
use messages::{
    BootTime, Owner,
    cri_bridge::{Machine, Runtime},
    status_reporter::{self, RecordEvent},
};
use pressure::DiskPressure;
use ready::RuntimeSeen;
use registration::{Registration, Step};
use serde_json::Value;
use silence::Ears;
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
    machine: Option<Machine>,
    addresses: Option<Vec<IpAddr>>,
    runtime: RuntimeSeen,
    in_use: Vec<String>,
    ears: Ears,
    disk: DiskPressure,
    registration: Registration,
    /// The node as the API server has it, as far as is known.
    accepted: Option<Node>,
    /// A status patch is under way.
    writing: bool,
    failures: u32,
    not_before: BootTime,
    reported_at: Option<BootTime>,
    said: Option<Box<status_reporter::Node>>,
    begun: bool,
    /// When a fact was last taken in; there is one at least every 10 s.
    stepped_at: BootTime,
}

impl Reporter {
    /// A reporter that remembers the node as it was last accepted.
    pub(crate) fn new(config: Arc<NodeConfig>, remembered: Option<Node>, now: Now) -> Self {
        Self {
            config,
            machine: None,
            addresses: None,
            runtime: RuntimeSeen::default(),
            in_use: Vec::new(),
            ears: Ears::new(now.boot),
            disk: DiskPressure::default(),
            registration: Registration::default(),
            accepted: remembered,
            writing: false,
            failures: 0,
            not_before: BootTime::default(),
            reported_at: None,
            said: None,
            begun: false,
            stepped_at: now.boot,
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
        let mut effects = Vec::new();
        let is_tick = matches!(fact, Fact::Tick);
        // Whoever slept himself has heard nobody.
        if now.boot.since(self.stepped_at) > silence::PATIENCE {
            self.ears.forgive(now.boot);
        }
        self.stepped_at = now.boot;
        self.take(now, fact, &mut effects);
        self.decide(now, is_tick, &mut effects);
        effects
    }

    fn take(&mut self, now: Now, fact: Fact, effects: &mut Vec<Effect>) {
        match fact {
            Fact::Machine(machine) => {
                self.disk.measure(now.boot, &machine.nodefs, &self.config.kubelet);
                self.machine = Some(*machine);
            }
            Fact::Runtime(runtime) => self.runtime.see(now.boot, *runtime),
            Fact::InUse(volumes) => self.in_use = volumes,
            Fact::Addresses(addresses) => self.addresses = Some(addresses),
            Fact::Heard(owner, at) => self.ears.hear(at.min(now.boot), owner),
            Fact::Bus(is_there) => self.ears.bus(now.boot, is_there),
            Fact::Woke => self.not_before = BootTime::default(),
            Fact::Tick => {
                let silent = self.ears.newly_silent(now.boot);
                effects
                    .extend(silent.into_iter().map(|owner| Effect::Record(events::silent(owner, now.unix))));
            }
            Fact::Answered(answer) if self.writing => self.written(now, answer, effects),
            Fact::Answered(answer) => self.registering(now, answer, effects),
            Fact::Seen(node) => self.see(now, *node, effects),
            Fact::SeenGone => {
                if self.registration.is_registered() {
                    self.registration = Registration::Deleted;
                }
            }
        }
    }

    fn see(&mut self, now: Now, node: Node, effects: &mut Vec<Effect>) {
        if !matches!(self.registration, Registration::Registered | Registration::Deleted) {
            return;
        }
        if self.accepted.as_ref().is_some_and(|known| is_older(&node, known)) {
            return;
        }
        effects.extend(events::schedulable(self.accepted.as_ref(), &node, now.unix).map(Effect::Record));
        self.registration = Registration::Registered;
        self.accepted = Some(node);
    }

    fn registering(&mut self, now: Now, answer: Result<Box<Node>, Failure>, effects: &mut Vec<Effect>) {
        let is_stale = answer.as_ref().map(|node| registration::stale(node, &self.config).is_some());
        let was_created = self.registration == Registration::Creating && answer.is_ok();
        let (registration, step) = self.registration.answered(is_stale);
        self.registration = registration;
        self.reported_at = was_created.then_some(now.boot).or(self.reported_at);
        let transitions =
            if let (Ok(node), Step::Done) = (&answer, step) { self.transitions(now, node) } else { vec![] };
        match answer {
            Ok(node) => self.accepted = Some(*node),
            Err(failure) => self.register_again(now, step, failure, effects),
        }
        self.perform(step, effects);
        effects.extend(transitions.into_iter().map(Effect::Record));
    }

    /// Events of what changes with a node that was just registered: seen from the node that we remember, or
    /// from none.
    fn transitions(&self, now: Now, node: &Node) -> Vec<RecordEvent> {
        let was = self.accepted.as_ref().map(conditions_of).unwrap_or_default();
        let is_new = conditions_of(node);
        let wanted = self.wanted(now);
        // A node that existed still shows its old conditions: the patch to come will tell.
        if !conditions::are_said(&wanted, is_new) {
            return Vec::new();
        }
        events::transitions(&self.config, &conditions::transitions(&wanted, was), now.unix)
    }

    fn register_again(&mut self, now: Now, step: Step, failure: Failure, effects: &mut Vec<Effect>) {
        if step == Step::Again {
            self.pause(now, backoff::REGISTRATION, &failure, effects);
            effects.push(Effect::NotRegistered(failure));
        }
    }

    fn perform(&mut self, step: Step, effects: &mut Vec<Effect>) {
        match step {
            Step::Read => effects.push(Effect::Ask(Ask::Read)),
            Step::Reconcile => {
                let patch = self.accepted.as_ref().and_then(|node| registration::stale(node, &self.config));
                effects.extend(patch.map(Ask::Patch).map(Effect::Ask));
            }
            Step::Done => {
                self.failures = 0;
                effects.push(Effect::Registered);
            }
            Step::Create | Step::Again => {}
        }
    }

    fn written(&mut self, now: Now, answer: Result<Box<Node>, Failure>, effects: &mut Vec<Effect>) {
        self.writing = false;
        match answer {
            Ok(node) => {
                let wanted = self.wanted(now);
                let changed = conditions::transitions(&wanted, self.known_conditions());
                effects.extend(
                    events::transitions(&self.config, &changed, now.unix).into_iter().map(Effect::Record),
                );
                let rebooted =
                    self.accepted.as_ref().and_then(|known| events::rebooted(known, &node, now.unix));
                effects.extend(rebooted.map(Effect::Record));
                self.failures = 0;
                self.reported_at = Some(now.boot);
                self.accepted = Some(*node);
            }
            Err(Failure::NotFound) => self.registration = Registration::Deleted,
            Err(failure) => self.pause(now, backoff::WRITES, &failure, effects),
        }
    }

    fn pause(&mut self, now: Now, policy: backoff::Policy, failure: &Failure, effects: &mut Vec<Effect>) {
        self.failures = self.failures.saturating_add(1);
        let pause = policy.pause(self.failures, now.dice, failure);
        self.not_before = now.boot.after(pause);
        effects.push(Effect::WakeAfter(pause));
    }

    /// What follows from all facts together.
    fn decide(&mut self, now: Now, is_tick: bool, effects: &mut Vec<Effect>) {
        let Some(status) = self.status() else { return };
        self.begin(now, effects);
        let wanted = self.wanted(now);
        let composed = conditions::compose(&wanted, self.known_conditions(), now);
        if now.boot >= self.not_before && !self.config.is_standalone() {
            self.write(now, is_tick, &wanted, (&status, &composed), effects);
        }
        self.say(status, composed, effects);
    }

    fn begin(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !self.begun {
            self.begun = true;
            let cgroup_version = self.machine.as_ref().map_or(2, |machine| machine.cgroup_version);
            effects.extend(events::beginning(cgroup_version, now.unix).into_iter().map(Effect::Record));
        }
    }

    fn write(
        &mut self,
        now: Now,
        is_tick: bool,
        wanted: &[conditions::Wanted],
        (status, composed): (&NodeStatus, &[NodeCondition]),
        effects: &mut Vec<Effect>,
    ) {
        match self.registration {
            Registration::Unknown => {
                let (registration, step) = self.registration.begin(self.config.kubelet.register_node);
                self.registration = registration;
                effects.push(Effect::Ask(match step {
                    Step::Create => Ask::Create(Box::new(self.whole(status.clone(), composed.to_vec()))),
                    _ => Ask::Read,
                }));
            }
            Registration::Registered if !self.writing && self.is_due(now, is_tick, wanted, status) => {
                self.writing = true;
                effects.push(Effect::Ask(Ask::PatchStatus(status::patch(status, composed))));
            }
            _ => {}
        }
    }

    /// The status is written at once when a condition flips, or as long as the node was never ready; when
    /// anything else differs at the next look; and every few minutes in any case. The lease, not this, says
    /// that the node lives.
    fn is_due(&self, now: Now, is_tick: bool, wanted: &[conditions::Wanted], status: &NodeStatus) -> bool {
        let known = self.known_conditions();
        let differs = || {
            let accepted = self.accepted.as_ref().and_then(|node| node.status.as_ref());
            !conditions::are_said(wanted, known)
                || !accepted.is_some_and(|accepted| status::is_said(status, accepted))
        };
        let flips = !conditions::transitions(wanted, known).is_empty();
        let hurries = is_tick || self.reported_at.is_none() || !conditions::say_ready(known);
        flips || (hurries && differs()) || (is_tick && self.is_overdue(now))
    }

    /// Spread over half a period, so that nodes that came up together do not report together for ever.
    fn is_overdue(&self, now: Now) -> bool {
        let period = self.config.kubelet.node_status_report_frequency.get();
        let spread = period.mul_f64(now.dice.clamp(0.0, 1.0) / 2.0);
        self.reported_at.is_none_or(|reported_at| now.boot.since(reported_at) + spread >= period)
    }

    fn say(&mut self, status: NodeStatus, composed: Vec<NodeCondition>, effects: &mut Vec<Effect>) {
        let accepted = self.accepted.clone();
        let registered = accepted.is_some();
        let object = accepted.unwrap_or_else(|| self.whole(status, composed));
        let node = Box::new(status_reporter::Node {
            registered,
            standalone: self.config.is_standalone(),
            object: object.into(),
        });
        if self.said.as_ref().is_none_or(|said| says_more(said, &node)) {
            self.said = Some(node.clone());
            effects.push(Effect::Say(node));
        }
    }

    fn whole(&self, status: NodeStatus, conditions: Vec<NodeCondition>) -> Node {
        let mut node = self.facts().map(compose::node).unwrap_or_default();
        node.status = Some(NodeStatus { conditions: Some(conditions), ..status });
        node
    }

    fn status(&self) -> Option<NodeStatus> {
        let mut status = compose::status(self.facts()?);
        let accepted = self.accepted.as_ref().and_then(|node| node.status.as_ref()?.addresses.clone());
        if self.config.external_cloud_provider
            && accepted.as_ref().is_some_and(|addresses| !addresses.is_empty())
        {
            status.addresses = accepted;
        }
        Some(status)
    }

    fn facts(&self) -> Option<Facts<'_>> {
        Some(Facts {
            config: &self.config,
            machine: self.machine.as_ref()?,
            runtime: self.runtime.newest(),
            addresses: self.addresses.as_deref()?,
            in_use: &self.in_use,
        })
    }

    fn wanted(&self, now: Now) -> Vec<conditions::Wanted> {
        let was_ready = conditions::say_ready(self.known_conditions());
        let faults = ready::faults(now.boot, &self.runtime, &self.ears, was_ready);
        let ready = if faults.is_empty() { Ok(()) } else { Err(ready::message(&faults)) };
        conditions::wanted(self.disk.holds(now.boot, &self.config.kubelet), ready)
    }

    /// The conditions as they were last accepted; standalone, as they were last said.
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
