//! Whether a reading may have missed something. Pure.
//!
//! Each message of a stream has a sequence. A gap is mostly a value that a newer one has replaced. But
//! nats-server (2.9.10, of Debian) was seen to pass over values that its stream holds, with pods coming and
//! going by tens; the reader's own count of messages does not show it. What nobody hears would leave a pod
//! waiting for ever, so what looks like a gap has the stream read once more.

use std::time::Duration;
use tokio::time::Instant;

/// So long after a gap, and after the last message, it is looked whether anything is missing.
const SOON: Duration = Duration::from_secs(2);
/// A reading lasts so long at least before its stream is read once more, since nearly every burst has gaps.
const LEAST: Duration = Duration::from_secs(10);
/// It is looked so often while nothing happens.
const NOW_AND_THEN: Duration = Duration::from_secs(30);

/// What is known of one reading.
#[derive(Debug)]
pub(super) struct Doubt {
    newest: u64,
    has_gap: bool,
    earliest: Instant,
    look: Instant,
}

impl Doubt {
    /// A reading begins: of what was said before, up to this sequence, the last values alone are left, or nothing.
    pub(super) fn new(last: u64, now: Instant) -> Self {
        let earliest = now + LEAST;
        Self { newest: last, has_gap: false, earliest, look: earliest }
    }

    /// A message was read.
    pub(super) fn read(&mut self, sequence: u64, now: Instant) {
        if sequence <= self.newest {
            return;
        }
        // What follows a gap does not put the look off.
        if !self.has_gap {
            self.look = self.earliest.max(now + SOON);
        }
        self.has_gap |= sequence > self.newest + 1;
        self.newest = sequence;
    }

    /// When to look next.
    pub(super) fn look(&self) -> Instant {
        self.look
    }

    /// There was a gap: the stream is to be read once more, without another look.
    pub(super) fn has_gap(&self) -> bool {
        self.has_gap
    }

    /// It was looked at the stream's last sequence: whether that should have been read.
    pub(super) fn is_behind(&mut self, last: u64, now: Instant) -> bool {
        self.look = now + NOW_AND_THEN;
        last > self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sentence, seconds and sequences of what was read, the stream's last sequence, and what is thought of it:
    /// a gap, behind the end, and the second of the next look.
    type Row<'a> = (&'a str, &'a [(u64, u64)], u64, (bool, bool, u64));

    #[test]
    fn a_gap_and_an_unread_end_have_the_stream_read_once_more() {
        let begin = Instant::now();
        let second = |seconds| begin + Duration::from_secs(seconds);
        let cases: &[Row] = &[
            ("nothing came", &[], 9, (false, false, 10)),
            ("what was there has gaps", &[(1, 3), (1, 9)], 9, (false, false, 10)),
            ("one after the other", &[(11, 10), (12, 11)], 11, (false, false, 14)),
            ("the same again", &[(11, 10), (15, 10)], 10, (false, false, 13)),
            ("one was passed over", &[(11, 11), (12, 12), (13, 13)], 13, (true, false, 13)),
            ("one was passed over early", &[(1, 11)], 11, (true, false, 10)),
            ("the last was passed over", &[(11, 10)], 11, (false, true, 13)),
        ];
        for (sentence, reads, last, (has_gap, is_behind, look)) in cases {
            let mut doubt = Doubt::new(9, begin);
            reads.iter().for_each(|(time, sequence)| doubt.read(*sequence, second(*time)));
            assert_eq!(doubt.look(), second(*look), "{sentence}");
            assert_eq!(doubt.has_gap(), *has_gap, "{sentence}");
            assert_eq!(doubt.is_behind(*last, second(20)), *is_behind, "{sentence}");
            assert_eq!(doubt.look(), second(50), "{sentence}");
        }
    }
}
