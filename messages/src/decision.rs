//! Clocks and counters that order what is said: boot time, incarnations and decisions.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};

/// One life of a process. Raised in the owner's journal at each start, so that a later life
/// always has the greater number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which decision of pod-lifecycle a command carries out. A receiver refuses a decision older
/// than the newest that it has seen for the same pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Decision {
    /// The life of pod-lifecycle that decided.
    pub incarnation: Incarnation,
    /// The pod's revision within that life; grows by one with each decision.
    pub revision: u64,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.incarnation, self.revision)
    }
}

/// A text that is not `<incarnation>.<revision>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a decision is two numbers joined by a dot")]
pub struct BadDecision;

impl FromStr for Decision {
    type Err = BadDecision;
    fn from_str(text: &str) -> Result<Self, BadDecision> {
        let (incarnation, revision) = text.split_once('.').ok_or(BadDecision)?;
        let number = |part: &str| part.parse().map_err(|_| BadDecision);
        Ok(Self { incarnation: Incarnation(number(incarnation)?), revision: number(revision)? })
    }
}

/// A moment on `CLOCK_BOOTTIME`, in nanoseconds since the machine booted. All processes of a
/// node share that clock, it never steps, and it goes on through a suspend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootTime(pub u64);

impl BootTime {
    /// The moment `later` after this one.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(later.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to this moment; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_read_as_it_is_written() {
        let decision = Decision { incarnation: Incarnation(7), revision: 42 };
        assert_eq!(decision.to_string().parse(), Ok(decision));
        for bad in ["", "7", "7.", "a.b", "7.42.1"] {
            assert_eq!(bad.parse::<Decision>(), Err(BadDecision), "{bad:?}");
        }
    }

    #[test]
    fn a_later_life_outranks_every_revision_of_an_earlier_one() {
        let old = Decision { incarnation: Incarnation(1), revision: 99 };
        let new = Decision { incarnation: Incarnation(2), revision: 0 };
        assert!(new > old);
    }
}
