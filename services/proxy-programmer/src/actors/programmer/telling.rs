//! What the programmer tells: what it waits for, how much is programmed, what is wrong with objects.

use super::{NEEDED, Programmer};
use crate::core::fault::Fault;
use chassis::clock;
use messages::{
    proxy_programmer::Table,
    status_reporter::{About, RecordEvent, Severity},
};
use std::time::Duration;
use tokio::time::Instant;
use tracing::warn;

/// How often at most it is said how much is programmed: counting goes through the whole table.
const SAY: Duration = Duration::from_secs(1);
/// Faults of one sync that are told as events; the log has all.
const EVENTS: usize = 8;

/// What was said of what is programmed.
#[derive(Default)]
pub(super) struct Said {
    /// Nanoseconds of Unix time; nothing before the first.
    pub(super) committed_at: i64,
    pub(super) is_news: bool,
    last: Option<Instant>,
}

impl Programmer {
    pub(super) fn tell_health(&self) {
        let unread = NEEDED.iter().filter(|what| !self.listed.contains(*what));
        let mut waiting_for: Vec<_> = unread
            .map(|what| match self.broken.get(what) {
                Some(why) => format!("{what} ({why})"),
                None => what.to_string(),
            })
            .collect();
        if waiting_for.is_empty() && (self.conduct.is_in_trouble() || self.said.committed_at == 0) {
            waiting_for.push(match self.trouble.as_str() {
                "" => "its first transaction".to_owned(),
                why => format!("the kernel to take the rules ({why})"),
            });
        }
        self.told.health(waiting_for);
    }

    pub(super) fn say(&mut self) {
        let is_soon = self.said.last.is_some_and(|last| last.elapsed() < SAY);
        if !self.said.is_news || is_soon {
            return;
        }
        let (ports, endpoints) = self.model.table().counts();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.told.table(Table {
            mode: "nftables".to_owned(),
            service_ports: count(ports),
            endpoints: count(endpoints),
            committed_at: self.said.committed_at,
        });
        self.said = Said { is_news: false, last: Some(Instant::now()), ..self.said };
    }

    pub(super) fn report(&self, faults: &[Fault]) {
        for fault in faults {
            warn!(object = %fault.object, field = fault.field, fault = fault.what, remedy = fault.remedy, "part of an object is left out");
        }
        faults.iter().take(EVENTS).for_each(|fault| self.warn("InvalidService", fault.to_string()));
    }

    pub(super) fn warn(&self, reason: &str, message: String) {
        self.told.event(RecordEvent {
            about: About::Node,
            severity: Severity::Warning,
            reason: reason.to_owned(),
            message,
            at: clock::now_unix(),
        });
    }
}
