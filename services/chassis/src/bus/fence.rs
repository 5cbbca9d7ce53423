//! Keeps late commands out: the newest decision seen for each pod, and no older one.
//!
//! Pure. Shared by all commands of a process, so that a `start-container` that was under way when the
//! `stop-pod` came is refused although it came by another subscription.

use crate::recent::Recent;
use messages::{Decision, Key};

/// Pods remembered: several times what a node runs.
const LIMIT: usize = 2048;

/// The newest decisions seen.
#[derive(Debug)]
pub(super) struct Fence {
    newest: Recent<Key, Decision>,
}

impl Default for Fence {
    fn default() -> Self {
        Self { newest: Recent::new(LIMIT) }
    }
}

impl Fence {
    /// Whether a command of this decision may be acted on, and remembers it if so. Several commands
    /// may carry out one decision.
    pub(super) fn admits(&mut self, pod: &Key, decision: Decision) -> bool {
        let newest = self.newest.get(pod, || decision);
        *newest = decision.max(*newest);
        *newest == decision
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::{Incarnation, Token};

    fn pod(number: usize) -> Key {
        Key::from(format!("u-{number}").parse::<Token>().unwrap())
    }

    fn decision(incarnation: u64, revision: u64) -> Decision {
        Decision { incarnation: Incarnation(incarnation), revision }
    }

    #[test]
    fn no_decision_older_than_the_newest_passes() {
        let cases: &[(&str, Decision, bool)] = &[
            ("the first of a pod", decision(1, 5), true),
            ("another command of the same decision", decision(1, 5), true),
            ("an older revision", decision(1, 4), false),
            ("a newer revision", decision(1, 6), true),
            ("a later life begins to count again", decision(2, 1), true),
            ("an earlier life is over, whatever its revision", decision(1, 99), false),
        ];
        let mut fence = Fence::default();
        for (name, decision, admitted) in cases {
            assert_eq!(fence.admits(&pod(1), *decision), *admitted, "{name}");
        }
        assert!(fence.admits(&pod(2), decision(1, 1)), "pods do not hinder each other");
    }

    #[test]
    fn a_recent_pod_is_remembered_among_many() {
        let mut fence = Fence::default();
        for number in 0..LIMIT * 3 {
            assert!(fence.admits(&pod(number), decision(1, 2)));
        }
        assert!(!fence.admits(&pod(LIMIT * 3 - 1), decision(1, 1)), "a recent one");
    }
}
