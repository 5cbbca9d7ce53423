//! What a reader knows of one state: which keys, how new, and whether that is all. Pure.
//!
//! A stream is read from its last values onwards, again after each reconnect, and may be empty,
//! because the bus was restarted, while nothing has changed in the world. So a key that is not there
//! is gone only when its owner says so: by a tombstone, or by `complete` after having said everything
//! else.

use super::headers::Stamp;
use messages::{Incarnation, Key};
use std::collections::HashMap;

/// What is known of one state.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    keys: HashMap<Key, Known>,
    /// Counts the readings of the stream.
    reading: u64,
    /// The values that were there when this reading began have all been read.
    caught_up: bool,
    /// The newest life that was heard of.
    newest: Incarnation,
    /// The life whose `complete` stands in the stream, as far as it was read.
    marked: Option<Incarnation>,
    /// The life that the reader was last told to be complete.
    told: Option<Incarnation>,
}

#[derive(Debug, Clone, Copy)]
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
    /// A reading begins: with nothing in the stream, it has caught up already.
    pub(super) fn begin(&mut self, nothing_there: bool) {
        self.reading += 1;
        self.caught_up = nothing_there;
        self.marked = None;
    }

    /// A value was read. Whether it is news.
    pub(super) fn value(&mut self, key: &Key, stamp: Stamp) -> bool {
        if self.is_past(stamp) {
            return false;
        }
        let reading = self.reading;
        let known = self.keys.get(key).map(|known| known.stamp);
        if known <= Some(stamp) {
            self.keys.insert(key.clone(), Known { stamp, reading });
        }
        known < Some(stamp)
    }

    /// A tombstone was read. Whether it is news, which it also is for a key never heard of: the reader
    /// may have known it in an earlier life.
    pub(super) fn tombstone(&mut self, key: &Key, stamp: Stamp) -> bool {
        let news = !self.is_past(stamp) && self.keys.get(key).is_none_or(|known| known.stamp < stamp);
        if news {
            self.keys.remove(key);
        }
        news
    }

    /// The marker was read that a life has said everything.
    pub(super) fn complete(&mut self, stamp: Stamp) -> Settled {
        if self.is_past(stamp) {
            return Settled::default();
        }
        self.marked = Some(stamp.incarnation);
        self.settle()
    }

    /// All values that were there when this reading began have been read.
    pub(super) fn catch_up(&mut self) -> Settled {
        if std::mem::replace(&mut self.caught_up, true) { Settled::default() } else { self.settle() }
    }

    /// Whether something comes from a life that is over; notes a new one.
    fn is_past(&mut self, stamp: Stamp) -> bool {
        self.newest = self.newest.max(stamp.incarnation);
        self.told > Some(stamp.incarnation)
    }

    /// Acts on absence once nothing that stands in the stream can still be unread. The marker may stand
    /// before values that were said after it.
    fn settle(&mut self) -> Settled {
        if !self.caught_up || self.marked != Some(self.newest) {
            return Settled::default();
        }
        let (newest, reading) = (self.newest, self.reading);
        let said = |known: &Known| known.stamp.incarnation == newest && known.reading == reading;
        let gone: Vec<Key> = self.keys.extract_if(|_, known| !said(known)).map(|(key, _)| key).collect();
        let complete = self.told.replace(newest) != Some(newest);
        Settled { gone, complete }
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
        Begin { empty: bool },
        Value(&'static str, u64, u64),
        Tombstone(&'static str, u64, u64),
        Complete(u64),
        CaughtUp,
    }
    use Read::{Begin, CaughtUp, Complete, Tombstone, Value};

    /// Plays what is read and writes down what is told: `+a` a value, `-a` gone, `!` complete.
    fn told(reads: &[Read]) -> String {
        let mut ledger = Ledger::default();
        let mut told = Vec::new();
        for read in reads {
            let stamp = |incarnation, revision| Stamp { incarnation: Incarnation(incarnation), revision };
            let mut settled = Settled::default();
            match *read {
                Begin { empty } => ledger.begin(empty),
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
                Complete(life) => settled = ledger.complete(stamp(life, 0)),
                CaughtUp => settled = ledger.catch_up(),
            }
            settled.gone.sort_unstable();
            told.extend(settled.gone.iter().map(|key| format!("-{key}")));
            told.extend(settled.complete.then(|| "!".to_owned()));
        }
        told.join(" ")
    }

    #[test]
    fn a_reader_is_told_of_absence_only_when_it_is_certain() {
        let begin = || Begin { empty: false };
        let cases: &[(&str, &[Read], &str)] = &[
            ("values, then all of them", &[begin(), Value("a", 1, 1), Complete(1), CaughtUp], "+a !"),
            (
                "a value said after the marker is no absence",
                &[begin(), Value("a", 1, 1), Complete(1), Value("b", 1, 2), CaughtUp],
                "+a +b !",
            ),
            ("a tombstone says it outright", &[begin(), Value("a", 1, 1), Tombstone("a", 1, 2)], "+a -a"),
            ("also to one who was not there before", &[begin(), Tombstone("a", 1, 2)], "-a"),
            (
                "a new life that does not say a key again has lost it",
                &[begin(), Value("a", 1, 1), Value("b", 1, 2), CaughtUp, Value("b", 2, 1), Complete(2)],
                "+a +b +b -a !",
            ),
            (
                "but not before it has said everything",
                &[begin(), Value("a", 1, 1), Complete(1), CaughtUp, Value("b", 2, 1)],
                "+a ! +b",
            ),
            (
                "an earlier life's marker says nothing about a newer one",
                &[begin(), Value("a", 1, 1), Complete(1), Value("b", 2, 1), CaughtUp],
                "+a +b",
            ),
            (
                "a bus that restarts empty takes nothing away, and nothing is told twice",
                &[
                    begin(),
                    Value("a", 1, 1),
                    Complete(1),
                    CaughtUp,
                    Begin { empty: true },
                    Value("a", 1, 1),
                    Complete(1),
                ],
                "+a !",
            ),
            (
                "what was retracted while the bus was away is gone once everything was said again",
                &[
                    begin(),
                    Value("a", 1, 1),
                    Value("b", 1, 2),
                    Complete(1),
                    CaughtUp,
                    Begin { empty: true },
                    Value("b", 1, 2),
                    Complete(1),
                ],
                "+a +b ! -a",
            ),
            (
                "reading again what is still there tells only what changed",
                &[
                    begin(),
                    Value("a", 1, 1),
                    Complete(1),
                    Value("b", 1, 2),
                    CaughtUp,
                    begin(),
                    Complete(1),
                    Value("b", 1, 2),
                    Value("a", 1, 3),
                    CaughtUp,
                ],
                "+a +b ! +a",
            ),
            (
                "a replayed older value is no news",
                &[begin(), Value("a", 1, 5), Value("a", 1, 4), Tombstone("a", 1, 3)],
                "+a",
            ),
            (
                "once a new life is complete, the old one is not listened to",
                &[Begin { empty: true }, Value("a", 2, 1), Complete(2), Value("b", 1, 9), Complete(1)],
                "+a !",
            ),
        ];
        for (name, reads, wanted) in cases {
            assert_eq!(told(reads), *wanted, "{name}");
        }
    }
}
