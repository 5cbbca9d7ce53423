//! Whether the API server counts as there, and when it is tried again.
//!
//! While it is away nothing is queued for it: peers are told at once when to come again, and the gate
//! alone tries, with back-off, so that a returning API server is not met by everyone's impatience.

use messages::BootTime;
use std::time::Duration;

/// The pause after the first failure; doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: half of the ten seconds in which a node has to catch up after an outage.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The state of the connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Link {
    /// Nothing is known yet; requests are passed on.
    #[default]
    New,
    /// Requests are passed on.
    Up,
    /// Nothing is passed on until a try succeeds.
    Down {
        /// Tries that failed in a row, the broken request included.
        failures: u32,
        /// When the next try is made.
        next: BootTime,
    },
}

/// What became of a request or a try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fact {
    /// An answer came, whatever it says.
    Answered,
    /// A request of a peer could not be sent, or its connection broke. `jitter` is random, in 0..1.
    Lost {
        /// Random, in 0..1.
        jitter: f64,
    },
    /// The gate's own try failed.
    TryFailed {
        /// Random, in 0..1.
        jitter: f64,
    },
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Try at this time.
    TryAt(BootTime),
    /// Tell everyone that it is there.
    SayBack,
    /// Tell everyone that it is away.
    SayAway,
}

impl Link {
    /// Takes a fact in.
    pub(crate) fn step(self, now: BootTime, fact: Fact) -> (Self, Vec<Effect>) {
        match (self, fact) {
            (Self::Up, Fact::Answered) => (self, vec![]),
            (Self::New | Self::Down { .. }, Fact::Answered) => (Self::Up, vec![Effect::SayBack]),
            (Self::New | Self::Up, Fact::Lost { jitter } | Fact::TryFailed { jitter }) => {
                let (link, try_at) = Self::down(1, now, jitter);
                (link, vec![Effect::SayAway, try_at])
            }
            // Many requests break together with one connection: one of them counts.
            (Self::Down { .. }, Fact::Lost { .. }) => (self, vec![]),
            (Self::Down { failures, .. }, Fact::TryFailed { jitter }) => {
                let (link, try_at) = Self::down(failures.saturating_add(1), now, jitter);
                (link, vec![try_at])
            }
        }
    }

    /// How long a peer should wait before it comes again; `None` while requests are passed on.
    pub(crate) fn retry_after(self, now: BootTime) -> Option<Duration> {
        match self {
            Self::New | Self::Up => None,
            Self::Down { next, .. } => Some(next.since(now)),
        }
    }

    fn down(failures: u32, now: BootTime, jitter: f64) -> (Self, Effect) {
        let next = now.after(pause(failures, jitter));
        (Self::Down { failures, next }, Effect::TryAt(next))
    }
}

/// Between a half and the whole of the doubled pause, so that many nodes do not come back in step.
fn pause(failures: u32, jitter: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    whole.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> BootTime {
        BootTime(milliseconds * 1_000_000)
    }

    fn down(failures: u32, milliseconds: u64) -> Link {
        Link::Down { failures, next: at(milliseconds) }
    }

    #[test]
    fn the_api_server_goes_away_once_and_comes_back_once() {
        let (lost, failed) = (Fact::Lost { jitter: 1.0 }, Fact::TryFailed { jitter: 1.0 });
        let cases: &[(&str, Link, Fact, Link, &[Effect])] = &[
            ("the first answer", Link::New, Fact::Answered, Link::Up, &[Effect::SayBack]),
            (
                "nobody is there",
                Link::New,
                failed,
                down(1, 1100),
                &[Effect::SayAway, Effect::TryAt(at(1100))],
            ),
            ("an answer is nothing new", Link::Up, Fact::Answered, Link::Up, &[]),
            ("a broken request", Link::Up, lost, down(1, 1100), &[Effect::SayAway, Effect::TryAt(at(1100))]),
            ("another one at the same time", down(1, 1100), lost, down(1, 1100), &[]),
            (
                "a failed try doubles the pause",
                down(1, 1000),
                failed,
                down(2, 1200),
                &[Effect::TryAt(at(1200))],
            ),
            ("up to five seconds", down(60, 1000), failed, down(61, 6000), &[Effect::TryAt(at(6000))]),
            (
                "jitter takes up to half of it",
                down(60, 1000),
                Fact::TryFailed { jitter: 0.0 },
                down(61, 3500),
                &[Effect::TryAt(at(3500))],
            ),
            ("an answer ends it", down(7, 1000), Fact::Answered, Link::Up, &[Effect::SayBack]),
        ];
        for (name, link, fact, then, effects) in cases {
            assert_eq!(link.step(at(1000), *fact), (*then, effects.to_vec()), "{name}");
        }
    }

    #[test]
    fn peers_are_told_when_to_come_again() {
        assert_eq!(Link::Up.retry_after(at(0)), None);
        assert_eq!(down(1, 1500).retry_after(at(1000)), Some(Duration::from_millis(500)));
        assert_eq!(down(1, 1500).retry_after(at(2000)), Some(Duration::ZERO), "a try is under way");
    }
}
