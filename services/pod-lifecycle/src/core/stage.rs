//! The one way that a pod goes: running, terminating, terminated. Never back.
//!
//! | from        | to          | when                                                             |
//! |-------------|-------------|------------------------------------------------------------------|
//! | Running     | Terminating | deletion, removal from its source, failed by the node, or done   |
//! | Terminating | Terminating | with a shorter grace                                             |
//! | Terminating | Terminated  | the runtime shows that nothing of it runs                        |

use super::moment::Moment;
use messages::pod_lifecycle;
use serde::{Deserialize, Serialize};

/// Where on the way a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "kebab-case")]
pub enum Stage {
    /// Its containers should be as the spec says.
    Running,
    /// Its containers are being stopped.
    Terminating {
        /// Seconds that they are given.
        grace_seconds: u64,
        /// Since when, so that a restart of this process does not begin the grace again.
        since: Moment,
    },
    /// Nothing of it runs.
    Terminated,
}

impl Stage {
    /// The stage after being told to end within this grace: never back, and never a longer grace.
    #[must_use]
    pub fn told_to_end(self, grace_seconds: u64, now: Moment) -> Self {
        let grace_seconds = grace_seconds.max(1);
        match self {
            Self::Running => Self::Terminating { grace_seconds, since: now },
            Self::Terminating { grace_seconds: known, .. } if grace_seconds < known => {
                Self::Terminating { grace_seconds, since: now }
            }
            unchanged => unchanged,
        }
    }

    /// The stage once nothing of the pod runs.
    #[must_use]
    pub fn stopped(self) -> Self {
        match self {
            Self::Terminating { .. } => Self::Terminated,
            unchanged => unchanged,
        }
    }

    /// The seconds of grace that are left; at least one.
    pub fn grace_left(self, now: Moment) -> u64 {
        match self {
            Self::Terminating { grace_seconds, since } => {
                grace_seconds.saturating_sub(now.since(since).as_secs()).max(1)
            }
            _ => 1,
        }
    }

    /// As the contract says it.
    pub fn to_message(self) -> pod_lifecycle::Stage {
        match self {
            Self::Running => pod_lifecycle::Stage::Running,
            Self::Terminating { grace_seconds, .. } => pod_lifecycle::Stage::Terminating { grace_seconds },
            Self::Terminated => pod_lifecycle::Stage::Terminated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Moment = Moment(50);

    fn terminating(grace_seconds: u64, since: i64) -> Stage {
        Stage::Terminating { grace_seconds, since: Moment(since) }
    }

    #[test]
    fn a_pod_never_goes_back_and_its_grace_only_shrinks() {
        let cases = [
            ("running, told to end", Stage::Running, 30, terminating(30, 50)),
            ("a shorter grace begins now", terminating(30, 0), 5, terminating(5, 50)),
            ("a longer one changes nothing", terminating(5, 0), 30, terminating(5, 0)),
            ("no grace at all is a second", Stage::Running, 0, terminating(1, 50)),
            ("terminated stays so", Stage::Terminated, 30, Stage::Terminated),
        ];
        for (sentence, from, grace, want) in cases {
            assert_eq!(from.told_to_end(grace, NOW), want, "{sentence}");
        }
    }

    #[test]
    fn only_a_terminating_pod_becomes_terminated() {
        assert_eq!(Stage::Running.stopped(), Stage::Running);
        assert_eq!(terminating(30, 0).stopped(), Stage::Terminated);
    }

    #[test]
    fn a_restart_of_this_process_does_not_begin_the_grace_again() {
        let later = |seconds| Moment(0).after(Duration::from_secs(seconds));
        assert_eq!(terminating(30, 0).grace_left(later(0)), 30);
        assert_eq!(terminating(30, 0).grace_left(later(12)), 18);
        assert_eq!(terminating(30, 0).grace_left(later(99)), 1);
    }
}
