//! Kubernetes events on their way to the API server: what happens again is counted, what happens too
//! often is held back, and what cannot be sent yet waits in a bounded queue.
//!
//! The rules are client-go's correlator (`staging/src/k8s.io/client-go/tools/record/events_cache.go`), so
//! that what people see is what they are used to.

mod object;
mod similar;

use super::{backoff, failure::Failure, time::Now};
use chassis::recent::Recent;
use k8s_openapi::api::core::v1::Event;
use messages::{BootTime, NodeName, status_reporter::RecordEvent};
use object::{Counted, Identity};
use serde_json::Value;
use similar::{Similar, Spam};
use std::{collections::VecDeque, time::Duration};

/// Events that wait; about 1 MiB at worst.
const WAITING: usize = 1000;
/// Events remembered, to count them when they happen again.
const REMEMBERED: usize = 2048;

/// What the recorder is told.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    /// The request under way was answered.
    Answered(Result<(), Failure>),
    /// A pause is over, or the API server is back.
    Woke,
}

/// A request about an event. There is one under way at most.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    /// POST it.
    Create(Box<Event>),
    /// PATCH the one that was sent before.
    Patch { namespace: String, name: String, patch: Value },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Ask the API server.
    Ask(Ask),
    /// Say `Woke` after this time; replaces what was asked for before.
    WakeAfter(Duration),
    /// It was refused and is not sent again.
    Refused(Failure),
}

/// How an event was taken.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Taken {
    /// It is in the queue, or was folded into one that is, or into none because there are too many of it.
    Yes(Vec<Effect>),
    /// The queue is full.
    Full,
    /// Its object has no name that Kubernetes would allow.
    Malformed,
}

/// The recorder of one node.
#[derive(Debug)]
pub(crate) struct Recorder {
    node: NodeName,
    waiting: VecDeque<Identity>,
    /// How often each event happened, and as which object it was sent.
    counted: Recent<Identity, Counted>,
    similar: Similar,
    spam: Spam,
    /// Requests per second and at once; `None` for no limit.
    rate: Option<(f64, f64)>,
    tokens: f64,
    filled_at: BootTime,
    under_way: Option<(Identity, u32)>,
    failures: u32,
    not_before: BootTime,
    last_name: i64,
}

impl Recorder {
    /// `per_second` and `burst` are `eventRecordQPS`, where 0 is no limit, and `eventBurst`.
    pub(crate) fn new(node: NodeName, (per_second, burst): (u32, u32), now: Now) -> Self {
        let burst = f64::from(burst.max(1));
        Self {
            node,
            waiting: VecDeque::new(),
            counted: Recent::new(REMEMBERED),
            similar: Similar::new(),
            spam: Spam::new(),
            rate: (per_second > 0).then(|| (f64::from(per_second), burst)),
            tokens: burst,
            filled_at: now.boot,
            under_way: None,
            failures: 0,
            not_before: BootTime::default(),
            last_name: 0,
        }
    }

    /// Takes an event.
    pub(crate) fn record(&mut self, now: Now, event: RecordEvent) -> Taken {
        if !object::is_nameable(&event.about) {
            return Taken::Malformed;
        }
        let (event, combined) = self.similar.combine(now.boot, event);
        let identity = Identity::of(&event, combined);
        if !self.spam.allows(now.boot, &identity.about, event.severity) {
            return Taken::Yes(Vec::new());
        }
        let is_waiting = self.waiting.contains(&identity);
        if !is_waiting && self.waiting.len() >= WAITING {
            return Taken::Full;
        }
        self.counted.get(&identity, || Counted::new(event.at)).count(event);
        if !is_waiting {
            self.waiting.push_back(identity);
        }
        Taken::Yes(self.send(now))
    }

    /// Takes a fact in.
    pub(crate) fn step(&mut self, now: Now, fact: Fact) -> Vec<Effect> {
        let mut effects = Vec::new();
        match fact {
            Fact::Answered(answer) => self.answered(now, answer, &mut effects),
            Fact::Woke => self.not_before = BootTime::default(),
        }
        effects.extend(self.send(now));
        effects
    }

    fn answered(&mut self, now: Now, answer: Result<(), Failure>, effects: &mut Vec<Effect>) {
        let Some((identity, count)) = self.under_way.take() else { return };
        match answer {
            Ok(()) | Err(Failure::AlreadyExists) => {
                self.failures = 0;
                self.counted.get(&identity, || Counted::new(now.unix)).sent(count);
            }
            // Events live for an hour: the one that was counted on is gone, and begins anew.
            Err(Failure::NotFound) if self.counted.get(&identity, || Counted::new(now.unix)).sent > 0 => {
                self.counted.get(&identity, || Counted::new(now.unix)).begin_anew();
                self.waiting.push_front(identity);
            }
            Err(failure @ (Failure::Later(_) | Failure::Unknown(_))) => {
                self.failures = self.failures.saturating_add(1);
                self.not_before = now.boot.after(backoff::WRITES.pause(self.failures, now.dice, &failure));
                self.waiting.push_front(identity);
            }
            Err(failure) => {
                self.counted.forget(&identity);
                effects.push(Effect::Refused(failure));
            }
        }
    }

    /// The next request, or when there can be one.
    fn send(&mut self, now: Now) -> Vec<Effect> {
        if self.under_way.is_some() || self.waiting.is_empty() {
            return Vec::new();
        }
        let wait = self.wait(now);
        if !wait.is_zero() {
            return vec![Effect::WakeAfter(wait)];
        }
        let Some(identity) = self.waiting.pop_front() else { return Vec::new() };
        self.tokens -= 1.0;
        vec![self.request(identity)]
    }

    fn wait(&mut self, now: Now) -> Duration {
        let pause = self.not_before.since(now.boot);
        let Some((rate, burst)) = self.rate else { return pause };
        self.tokens = (self.tokens + rate * now.boot.since(self.filled_at).as_secs_f64()).min(burst);
        self.filled_at = now.boot;
        let missing = (1.0 - self.tokens).max(0.0);
        pause.max(Duration::from_secs_f64(missing / rate))
    }

    fn request(&mut self, identity: Identity) -> Effect {
        let counted = self.counted.get(&identity, || Counted::new(self.last_name));
        let request = if counted.sent == 0 {
            self.last_name = counted.first.max(self.last_name + 1);
            counted.named_at = self.last_name;
            Ask::Create(Box::new(object::event(&identity, counted, &self.node)))
        } else {
            let namespace = object::namespace(&identity.about).to_owned();
            let name = object::name(&identity.about, &self.node, counted.named_at);
            Ask::Patch { namespace, name, patch: object::patch(&identity, counted) }
        };
        let count = counted.count;
        self.under_way = Some((identity, count));
        Effect::Ask(request)
    }
}

#[cfg(test)]
mod tests;
