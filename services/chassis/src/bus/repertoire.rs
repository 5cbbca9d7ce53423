//! Everything that this process has said and would say again: the last value of each key, tombstones
//! for a while, and which states are complete. Pure.
//!
//! The stream on the bus is a cache of this. Whatever goes wrong with a state there — the stream is
//! missing, a message was not stored, the connection was lost — the remedy is the same: say that
//! state once more from the beginning.
//!
//! The marker follows when the server has answered for every value. Published right behind them it
//! could be stored where they were not, in a stream that was made in between, and a reader who begins
//! there would take all of them for gone.

use super::headers::Stamp;
use bytes::Bytes;
use messages::{BootTime, Incarnation, Key};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// How long a tombstone is kept. Readers that are there hear it at once, and one that was away for
/// longer learns of the absence by `complete`. Each pod leaves half a dozen of them, which the server
/// and both sides hold in memory: ten minutes' worth would be most of a busy node's messages.
const TOMBSTONES: Duration = Duration::from_secs(20);

/// Everything that one process has said.
#[derive(Debug)]
pub(super) struct Repertoire {
    incarnation: Incarnation,
    revision: u64,
    states: BTreeMap<&'static str, Said>,
}

/// One state's sayings.
#[derive(Debug, Default)]
struct Said {
    version: u16,
    lines: HashMap<Key, Line>,
    /// The marker's revision.
    complete: Option<u64>,
    /// The marker is yet to be said, after the values.
    owes_marker: bool,
    /// Sequence of the first message stored since the state was last said from the beginning. What the
    /// stream holds before it is an earlier life's.
    first_stored: Option<u64>,
    /// When to say it once more, and how often that was necessary in a row.
    again: Option<BootTime>,
    failures: u32,
}

/// The last word on one key.
#[derive(Debug, Clone)]
struct Line {
    revision: u64,
    /// `None`: there is no such thing any more.
    body: Option<Bytes>,
    traceparent: Option<String>,
    since: BootTime,
    fate: Fate,
}

/// What the server said of a line since the state was last said from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    /// Stored at this sequence.
    Stored(u64),
    /// It won't be stored, however often it is said: nothing is to wait for it.
    Refused,
}

/// A message to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Saying {
    pub(super) name: &'static str,
    pub(super) version: u16,
    /// `None` for the marker that everything was said.
    pub(super) key: Option<Key>,
    pub(super) stamp: Stamp,
    pub(super) body: Option<Bytes>,
    pub(super) traceparent: Option<String>,
    /// When it was said first.
    pub(super) said: Option<BootTime>,
}

/// What the stream is to forget: everything before a sequence greater than 1, of one key or of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forget {
    pub(super) name: &'static str,
    pub(super) key: Option<Key>,
    pub(super) before: u64,
}

impl Repertoire {
    pub(super) fn new(incarnation: Incarnation) -> Self {
        Self { incarnation, revision: 0, states: BTreeMap::new() }
    }

    /// A new last word on a key: a value, or (without body) a tombstone.
    pub(super) fn say(
        &mut self,
        (name, version): (&'static str, u16),
        key: Key,
        (body, traceparent): (Option<Bytes>, Option<String>),
        now: BootTime,
    ) -> Saying {
        let revision = self.next_revision();
        let line = Line { revision, body, traceparent, since: now, fate: Fate::Open };
        let said = self.states.entry(name).or_default();
        said.version = version;
        said.lines.insert(key.clone(), line.clone());
        saying(self.incarnation, name, version, Some((key, &line)), revision)
    }

    /// Every key of the state has been said; [`Self::markers`] tells when to say so.
    pub(super) fn complete(&mut self, (name, version): (&'static str, u16)) {
        let revision = self.next_revision();
        let said = self.states.entry(name).or_default();
        said.version = version;
        (said.complete, said.owes_marker) = (Some(revision), true);
    }

    /// The markers whose time has come.
    pub(super) fn markers(&mut self) -> Vec<Saying> {
        let is_due =
            |said: &Said| said.owes_marker && said.lines.values().all(|line| line.fate != Fate::Open);
        let due = self.states.iter_mut().filter(|(_, said)| is_due(said));
        due.filter_map(|(name, said)| {
            said.owes_marker = false;
            Some(saying(self.incarnation, name, said.version, None, said.complete?))
        })
        .collect()
    }

    /// Everything, from the beginning, as after a reconnect.
    pub(super) fn all_again(&mut self) -> Vec<Saying> {
        let names: Vec<&'static str> = self.states.keys().copied().collect();
        names.into_iter().flat_map(|name| self.again(name)).collect()
    }

    /// The states whose time has come to be said once more.
    pub(super) fn due(&mut self, now: BootTime) -> Vec<Saying> {
        let is_due = |said: &Said| said.again.is_some_and(|again| again <= now);
        let names: Vec<&'static str> =
            self.states.iter().filter(|(_, said)| is_due(said)).map(|(name, _)| *name).collect();
        names.into_iter().flat_map(|name| self.again(name)).collect()
    }

    /// When [`Self::due`] next has something.
    pub(super) fn next_due(&self) -> Option<BootTime> {
        self.states.values().filter_map(|said| said.again).min()
    }

    /// One state from the beginning: values in the order in which they were first said; the marker will
    /// follow.
    fn again(&mut self, name: &'static str) -> Vec<Saying> {
        let Some(said) = self.states.get_mut(name) else { return Vec::new() };
        (said.again, said.first_stored) = (None, None);
        said.owes_marker = said.complete.is_some();
        said.lines.values_mut().for_each(|line| line.fate = Fate::Open);
        let mut lines: Vec<(&Key, &Line)> = said.lines.iter().collect();
        lines.sort_unstable_by_key(|(_, line)| line.revision);
        let again = |(key, line): (&Key, &Line)| {
            saying(self.incarnation, name, said.version, Some((key.clone(), line)), line.revision)
        };
        lines.into_iter().map(again).collect()
    }

    /// A message was stored. What the stream may now forget: once the marker is there, all from before.
    pub(super) fn stored(&mut self, saying: &Saying, sequence: u64) -> Option<Forget> {
        let said = self.states.get_mut(saying.name)?;
        said.failures = 0;
        // The least, lest an answer from before the stream was lost forget what came after.
        let first = said.first_stored.map_or(sequence, |first| first.min(sequence));
        said.first_stored = Some(first);
        match &saying.key {
            // The server takes "before 1" for "everything".
            None => (first > 1).then_some(Forget { name: saying.name, key: None, before: first }),
            Some(_) => {
                self.settle(saying, Fate::Stored(sequence));
                None
            }
        }
    }

    /// A message was refused for what it is: it is said once more like any other that was not stored,
    /// but the marker does not wait for it.
    pub(super) fn refused(&mut self, saying: &Saying, now: BootTime) {
        self.settle(saying, Fate::Refused);
        self.failed(saying.name, now);
    }

    fn settle(&mut self, saying: &Saying, fate: Fate) {
        let said = self.states.get_mut(saying.name);
        let line = said.zip(saying.key.as_ref()).and_then(|(said, key)| said.lines.get_mut(key));
        if let Some(line) = line.filter(|line| line.revision == saying.stamp.revision) {
            line.fate = fate;
        }
    }

    /// A message was not stored: the state is said once more after a pause, which grows with each
    /// failure in a row.
    pub(super) fn failed(&mut self, name: &'static str, now: BootTime) {
        let Some(said) = self.states.get_mut(name).filter(|said| said.again.is_none()) else { return };
        said.again = Some(now.after(pause(said.failures)));
        said.failures = said.failures.saturating_add(1);
    }

    /// Drops tombstones that have stood long enough, and tells what the stream is to forget for it.
    pub(super) fn forget_tombstones(&mut self, now: BootTime) -> Vec<Forget> {
        let old = |line: &Line| line.body.is_none() && now.since(line.since) >= TOMBSTONES;
        let mut forgotten = Vec::new();
        for (name, said) in &mut self.states {
            for (key, line) in said.lines.extract_if(|_, line| old(line)) {
                if let Fate::Stored(sequence) = line.fate {
                    forgotten.push(Forget { name, key: Some(key), before: sequence + 1 });
                }
            }
        }
        forgotten
    }

    fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }
}

fn saying(
    incarnation: Incarnation,
    name: &'static str,
    version: u16,
    line: Option<(Key, &Line)>,
    revision: u64,
) -> Saying {
    let stamp = Stamp { incarnation, revision };
    match line {
        Some((key, line)) => Saying {
            name,
            version,
            key: Some(key),
            stamp,
            body: line.body.clone(),
            traceparent: line.traceparent.clone(),
            said: Some(line.since),
        },
        None => Saying { name, version, key: None, stamp, body: None, traceparent: None, said: None },
    }
}

/// 20 ms, 40 ms … 5 s: a stream is usually missing only for as long as its maker needs.
fn pause(failures: u32) -> Duration {
    Duration::from_millis(20 << failures.min(8)).min(Duration::from_secs(5))
}

#[cfg(test)]
mod tests;
