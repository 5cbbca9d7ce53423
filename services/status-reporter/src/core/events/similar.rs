//! What is too much: many messages of one kind become one event, and an object that has too many events
//! is heard only now and then.

use chassis::{bucket::Bucket, recent::Recent};
use messages::{
    BootTime,
    status_reporter::{About, RecordEvent, Severity},
};
use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// Objects and kinds of events remembered.
const REMEMBERED: usize = 1024;
/// Different messages of one kind within [`PERIOD`] that stay events of their own.
const MESSAGES: usize = 10;
const PERIOD: Duration = Duration::from_secs(600);
/// What an event that stands for many begins with; people and tools look for it.
const COMBINED: &str = "(combined from similar events): ";
/// Events of one object at once, and how often one more.
const AT_ONCE: u32 = 25;
const ONE_MORE: Duration = Duration::from_secs(300);

/// Kinds of events, by what their messages are about.
#[derive(Debug)]
pub(super) struct Similar {
    kinds: Recent<(About, Severity, String), Kind>,
    seed: RandomState,
}

#[derive(Debug)]
struct Kind {
    /// Hashes of them.
    messages: Vec<u64>,
    last: BootTime,
}

impl Similar {
    pub(super) fn new() -> Self {
        Self { kinds: Recent::new(REMEMBERED), seed: RandomState::new() }
    }

    /// The event, or the one that stands for it and others that differ only in their messages, and
    /// whether it is such.
    pub(super) fn combine(&mut self, now: BootTime, mut event: RecordEvent) -> (RecordEvent, bool) {
        let key = (event.about.clone(), event.severity, event.reason.clone());
        let kind = self.kinds.get(&key, || Kind { messages: Vec::new(), last: now });
        if now.since(kind.last) > PERIOD {
            kind.messages.clear();
        }
        kind.last = now;
        let message = self.seed.hash_one(&event.message);
        if kind.messages.contains(&message) {
            return (event, false);
        }
        if kind.messages.len() < MESSAGES {
            kind.messages.push(message);
            return (event, false);
        }
        event.message.insert_str(0, COMBINED);
        (event, true)
    }
}

/// How much is heard of each object, warnings apart from the rest (client-go 0.36,
/// `tools/record/events_cache.go`).
#[derive(Debug)]
pub(super) struct Spam {
    objects: Recent<(About, Severity), Bucket>,
}

impl Spam {
    pub(super) fn new() -> Self {
        Self { objects: Recent::new(REMEMBERED) }
    }

    /// Whether one more event of an object is heard.
    pub(super) fn allows(&mut self, now: BootTime, about: &About, severity: Severity) -> bool {
        let full = || Bucket::new(1.0 / ONE_MORE.as_secs_f64(), AT_ONCE, now);
        self.objects.get(&(whole(about), severity), full).take(now)
    }
}

/// A container's events count as its pod's.
fn whole(about: &About) -> About {
    match about.clone() {
        About::Pod { pod, namespace, name, .. } => {
            About::Pod { pod, namespace, name, field_path: String::new() }
        }
        About::Node => About::Node,
    }
}
