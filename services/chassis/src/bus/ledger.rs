//! What a reader knows of one state: which keys, how new, and whether that is all. Pure.
//!
//! A stream is read from its last values onwards, again after each reconnect, and may be empty,
//! because the bus was restarted, while nothing has changed in the world. So a key that is not there
//! is gone only when its owner says so: by a tombstone, or by `complete` after having said everything
//! else.

use super::headers::Stamp;
use crate::recent::Recent;
use messages::{Incarnation, Key};
use std::collections::HashMap;

/// So many tombstones are remembered; one that is read again after that is told again.
const GRAVES: usize = 1024;

/// What is known of one state.
#[derive(Debug)]
pub(super) struct Ledger {
    keys: HashMap<Key, Known>,
    graves: Recent<Key, Known>,
    /// Counts the readings of the stream.
    reading: u64,
    /// The newest life that was heard of.
    newest: Incarnation,
    /// The life whose `complete` was read in this reading and not acted on yet.
    marked: Option<Incarnation>,
    /// The life that the reader was last told to be complete.
    told: Option<Incarnation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    stamp: Stamp,
    reading: u64,
}

/// What follows from something that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// Keys that are gone.
    pub(super) gone: Vec<Key>,
    /// The newest life has said everything, for the first time.
    pub(super) complete: bool,
}

impl Ledger {
    pub(super) fn new() -> Self {
        let (keys, graves) = (HashMap::new(), Recent::new(GRAVES));
        Self { keys, graves, reading: 0, newest: Incarnation::default(), marked: None, told: None }
    }

    /// A reading begins.
    pub(super) fn begin(&mut self) {
        self.reading += 1;
        self.marked = None;
    }

    /// A value was read. Whether it is news.
    pub(super) fn value(&mut self, key: &Key, stamp: Stamp) -> bool {
        if self.is_past(stamp) {
            return false;
        }
        let reading = self.reading;
        let known = self.keys.get(key).max(self.graves.peek(key)).map(|known| known.stamp);
        if known <= Some(stamp) {
            self.keys.insert(key.clone(), Known { stamp, reading });
        }
        known < Some(stamp)
    }

    /// A tombstone was read. Whether it is news, which it also is for a key never heard of: the reader
    /// may have known it in an earlier life.
    pub(super) fn tombstone(&mut self, key: &Key, stamp: Stamp) -> bool {
        if self.is_past(stamp) || self.keys.get(key).is_some_and(|known| known.stamp >= stamp) {
            return false;
        }
        self.keys.remove(key);
        let known = self.graves.peek(key).map(|grave| grave.stamp);
        if known <= Some(stamp) {
            let grave = Known { stamp, reading: self.reading };
            *self.graves.get(key, || grave) = grave;
        }
        known < Some(stamp)
    }

    /// The marker was read that a life has said everything.
    pub(super) fn complete(&mut self, stamp: Stamp) {
        if !self.is_past(stamp) {
            self.marked = Some(stamp.incarnation);
        }
    }

    /// Whether the newest life's word on a key was read in this reading.
    pub(super) fn has_read(&self, key: &Key) -> bool {
        let known = [self.keys.get(key), self.graves.peek(key)];
        known.into_iter().flatten().any(|known| self.is_said(known))
    }

    fn is_said(&self, known: &Known) -> bool {
        known.stamp.incarnation == self.newest && known.reading == self.reading
    }

    /// Whether [`Self::all_read`] would tell anything.
    pub(super) fn is_unsettled(&self) -> bool {
        self.marked == Some(self.newest)
    }

    /// All that the stream holds was read, so that absence can be acted on. The marker alone is not enough: a value that
    /// was replaced before it could be read stands after it.
    pub(super) fn all_read(&mut self) -> Settled {
        if !self.is_unsettled() {
            return Settled::default();
        }
        self.marked = None;
        let unsaid = self.keys.iter().filter(|(_, known)| !self.is_said(known));
        let gone: Vec<Key> = unsaid.map(|(key, _)| key.clone()).collect();
        for key in &gone {
            self.keys.remove(key);
        }
        let complete = self.told.replace(self.newest) != Some(self.newest);
        Settled { gone, complete }
    }

    /// Whether something comes from a life that is over; notes a new one.
    fn is_past(&mut self, stamp: Stamp) -> bool {
        self.newest = self.newest.max(stamp.incarnation);
        self.told > Some(stamp.incarnation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::Token;

    fn key(text: &str) -> Key {
        Key::from(text.parse::<Token>().unwrap())
    }

    /// What can be read, and what the reader is to be told because of it.
    enum Read {
        Begin,
        Value(&'static str, u64, u64),
        Tombstone(&'static str, u64, u64),
        Complete(u64),
        CaughtUp,
    }
    use Read::{Begin, CaughtUp, Complete, Tombstone, Value};

    /// Plays what is read and writes down what is told: `+a` a value, `-a` gone, `!` complete.
    fn told(reads: &[Read]) -> String {
        let mut ledger = Ledger::new();
        let mut told = Vec::new();
        for read in reads {
            let stamp = |incarnation, revision| Stamp { incarnation: Incarnation(incarnation), revision };
            let mut settled = Settled::default();
            match *read {
                Begin => ledger.begin(),
                Value(name, life, revision) => {
                    if ledger.value(&key(name), stamp(life, revision)) {
                        told.push(format!("+{name}"));
                    }
                }
                Tombstone(name, life, revision) => {
                    if ledger.tombstone(&key(name), stamp(life, revision)) {
                        told.push(format!("-{name}"));
                    }
                }
                Complete(life) => ledger.complete(stamp(life, 0)),
                CaughtUp => settled = ledger.all_read(),
            }
            settled.gone.sort_unstable();
            told.extend(settled.gone.iter().map(|key| format!("-{key}")));
            told.extend(settled.complete.then(|| "!".to_owned()));
        }
        told.join(" ")
    }

    #[test]
    fn a_reader_is_told_of_absence_only_when_it_is_certain() {
        let cases: &[(&str, &[Read], &str)] = &[
            ("values, then all of them", &[Begin, Value("a", 1, 1), Complete(1), CaughtUp], "+a !"),
            (
                "a value said after the marker is no absence",
                &[Begin, Value("a", 1, 1), Complete(1), Value("b", 1, 2), CaughtUp],
                "+a +b !",
            ),
            ("a tombstone says it outright", &[Begin, Value("a", 1, 1), Tombstone("a", 1, 2)], "+a -a"),
            ("also to one who was not there before", &[Begin, Tombstone("a", 1, 2)], "-a"),
            (
                "a new life that does not say a key again has lost it",
                &[
                    Begin,
                    Value("a", 1, 1),
                    Value("b", 1, 2),
                    CaughtUp,
                    Value("b", 2, 1),
                    Complete(2),
                    CaughtUp,
                ],
                "+a +b +b -a !",
            ),
            (
                "but not before it has said everything",
                &[Begin, Value("a", 1, 1), Complete(1), CaughtUp, Value("b", 2, 1)],
                "+a ! +b",
            ),
            (
                "an earlier life's marker says nothing about a newer one",
                &[Begin, Value("a", 1, 1), Complete(1), Value("b", 2, 1), CaughtUp],
                "+a +b",
            ),
            (
                "a bus that restarts empty takes nothing away, and nothing is told twice",
                &[
                    Begin,
                    Value("a", 1, 1),
                    Complete(1),
                    CaughtUp,
                    Begin,
                    Value("a", 1, 1),
                    Complete(1),
                    CaughtUp,
                ],
                "+a !",
            ),
            (
                "a value that was replaced before it could be read stands after the marker",
                &[
                    Begin,
                    Value("a", 1, 1),
                    Complete(1),
                    CaughtUp,
                    Value("b", 2, 1),
                    Complete(2),
                    Value("a", 2, 3),
                    CaughtUp,
                ],
                "+a ! +b +a !",
            ),
            (
                "what was retracted while the bus was away is gone once everything was said again",
                &[
                    Begin,
                    Value("a", 1, 1),
                    Value("b", 1, 2),
                    Complete(1),
                    CaughtUp,
                    Begin,
                    Value("b", 1, 2),
                    Complete(1),
                    CaughtUp,
                ],
                "+a +b ! -a",
            ),
            (
                "reading again what is still there tells only what changed",
                &[
                    Begin,
                    Value("a", 1, 1),
                    Complete(1),
                    Value("b", 1, 2),
                    CaughtUp,
                    Begin,
                    Complete(1),
                    Value("b", 1, 2),
                    Value("a", 1, 3),
                    CaughtUp,
                ],
                "+a +b ! +a",
            ),
            (
                "a replayed older value is no news",
                &[Begin, Value("a", 1, 5), Value("a", 1, 4), Tombstone("a", 1, 3)],
                "+a",
            ),
            (
                "nor is one from before a tombstone, or the tombstone once more",
                &[
                    Begin,
                    Tombstone("a", 1, 5),
                    Value("a", 1, 4),
                    Begin,
                    Tombstone("a", 1, 5),
                    Value("a", 1, 6),
                ],
                "-a +a",
            ),
            (
                "once a new life is complete, the old one is not listened to",
                &[Begin, Value("a", 2, 1), Complete(2), CaughtUp, Value("b", 1, 9), Complete(1), CaughtUp],
                "+a !",
            ),
        ];
        for (name, reads, wanted) in cases {
            assert_eq!(told(reads), *wanted, "{name}");
        }
    }
}
