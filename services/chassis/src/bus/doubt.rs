//! What a reading may have missed. Pure.
//!
//! Each message of a stream has a sequence. A gap is mostly a value that a newer one has replaced. But
//! nats-server (2.9.10, of Debian) was seen to pass over values that its stream holds, with pods coming and
//! going by tens; the reader's own count of messages does not show it. What nobody hears would leave a pod
//! waiting for ever, so what a gap still holds is asked for.

use std::{mem, ops::Range, time::Duration};
use tokio::time::Instant;

/// So long after a gap, and after the last message, it is looked whether anything is missing.
const SOON: Duration = Duration::from_secs(1);
/// It is looked so often while nothing happens.
const NOW_AND_THEN: Duration = Duration::from_secs(30);
/// So many gaps are told apart; the last one takes in what follows.
const GAPS: usize = 64;

/// What is known of one reading.
#[derive(Debug)]
pub(super) struct Doubt {
    newest: u64,
    gaps: Vec<Range<u64>>,
    look: Instant,
}

impl Doubt {
    /// A reading begins: of what was said before, up to this sequence, the last values alone are left, or nothing.
    pub(super) fn new(last: u64, now: Instant) -> Self {
        Self { newest: last, gaps: Vec::new(), look: now + SOON }
    }

    /// A message was read.
    pub(super) fn read(&mut self, sequence: u64, now: Instant) {
        if sequence <= self.newest {
            return;
        }
        // What follows a gap does not put the look off.
        if self.gaps.is_empty() {
            self.look = now + SOON;
        }
        self.note(self.newest + 1..sequence);
        self.newest = sequence;
    }

    fn note(&mut self, gap: Range<u64>) {
        match self.gaps.get_mut(GAPS - 1) {
            _ if gap.is_empty() => {}
            Some(last) => last.end = gap.end,
            None => self.gaps.push(gap),
        }
    }

    /// When to look next.
    pub(super) fn look(&self) -> Instant {
        self.look
    }

    /// It was looked at the stream's last sequence: the sequences that were not read, each to be asked for once.
    pub(super) fn gaps(&mut self, last: u64, now: Instant) -> Vec<Range<u64>> {
        self.note(self.newest + 1..last + 1);
        self.newest = self.newest.max(last);
        self.look = now + NOW_AND_THEN;
        mem::take(&mut self.gaps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sentence, seconds and sequences of what was read, the stream's last sequence, the second of the look,
    /// and what was not read.
    type Row<'a> = (&'a str, &'a [(u64, u64)], u64, u64, &'a [(u64, u64)]);

    #[test]
    fn gaps_and_an_unread_end_are_asked_for() {
        let begin = Instant::now();
        let second = |seconds| begin + Duration::from_secs(seconds);
        let cases: &[Row] = &[
            ("nothing came", &[], 9, 1, &[]),
            ("what was there has gaps", &[(1, 3), (1, 9)], 9, 1, &[]),
            ("one after the other", &[(11, 10), (12, 11)], 11, 13, &[]),
            ("the same again", &[(11, 10), (15, 10)], 10, 12, &[]),
            ("one was passed over", &[(11, 11), (12, 12), (13, 13)], 13, 12, &[(10, 11)]),
            ("two were passed over", &[(11, 11), (12, 15)], 15, 12, &[(10, 11), (12, 15)]),
            ("the last was passed over", &[(11, 10)], 11, 12, &[(11, 12)]),
            ("the answer is older than what was read", &[(11, 10)], 9, 12, &[]),
        ];
        for (sentence, reads, last, look, gaps) in cases {
            let mut doubt = Doubt::new(9, begin);
            reads.iter().for_each(|(time, sequence)| doubt.read(*sequence, second(*time)));
            assert_eq!(doubt.look(), second(*look), "{sentence}");
            let asked = doubt.gaps(*last, second(20));
            assert_eq!(asked.iter().map(|gap| (gap.start, gap.end)).collect::<Vec<_>>(), *gaps, "{sentence}");
            assert_eq!(doubt.gaps(*last, second(20)), [], "once: {sentence}");
            assert_eq!(doubt.look(), second(50), "{sentence}");
        }
    }

    #[test]
    fn gaps_without_number_become_one() {
        let mut doubt = Doubt::new(0, Instant::now());
        (1..=1000).for_each(|half| doubt.read(half * 2, Instant::now()));
        let gaps = doubt.gaps(2000, Instant::now());
        assert_eq!((gaps.len(), gaps.last().cloned()), (GAPS, Some(127..2000)));
    }
}
