//! Services that the kernel refuses, and when each is tried again.

use crate::core::{conduct, name::ServiceName};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct LeftOut(BTreeMap<ServiceName, Parole>);

#[derive(Debug)]
struct Parole {
    /// How often it was refused.
    times: u32,
    due: Instant,
}

impl LeftOut {
    /// Their names.
    pub(super) fn names(&self) -> BTreeSet<ServiceName> {
        self.0.keys().cloned().collect()
    }

    /// One more, or one once more; returns how long it stays out.
    pub(super) fn refuse(&mut self, name: &ServiceName) -> Duration {
        let now = Instant::now();
        let parole = self.0.entry(name.clone()).or_insert(Parole { times: 0, due: now });
        parole.times = parole.times.saturating_add(1);
        let pause = conduct::parole(parole.times);
        parole.due = now + pause;
        pause
    }

    /// It is in force again.
    pub(super) fn admit(&mut self, name: &ServiceName) {
        self.0.remove(name);
    }

    /// These were changed, so that there is reason to try them again at once.
    pub(super) fn hurry(&mut self, names: &BTreeSet<ServiceName>) {
        let now = Instant::now();
        self.0.iter_mut().filter(|(name, _)| names.contains(*name)).for_each(|(_, parole)| parole.due = now);
    }

    /// One that is to be tried now.
    pub(super) fn due(&self) -> Option<ServiceName> {
        let now = Instant::now();
        self.0.iter().find(|(_, parole)| parole.due <= now).map(|(name, _)| name.clone())
    }
}
