//! Keeps late commands out: the newest decision seen for each pod, and no older one.
//!
//! Pure. Shared by all commands of a process, so that a `start-container` that was under way when the
//! `stop-pod` came is refused although it came by another subscription.

use messages::{Decision, Key};
use std::collections::HashMap;

/// Pods remembered. Several times what a node runs; beyond it, those that were heard of least
/// recently are forgotten.
const LIMIT: usize = 2048;

/// The newest decisions seen.
#[derive(Debug, Default)]
pub(super) struct Fence {
    newest: HashMap<Key, Seen>,
    tick: u64,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    decision: Decision,
    tick: u64,
}

impl Fence {
    /// Whether a command of this decision may be acted on, and remembers it if so. Several commands
    /// may carry out one decision.
    pub(super) fn admits(&mut self, pod: &Key, decision: Decision) -> bool {
        if self.newest.get(pod).is_some_and(|seen| seen.decision > decision) {
            return false;
        }
        self.tick += 1;
        self.newest.insert(pod.clone(), Seen { decision, tick: self.tick });
        self.forget_some();
        true
    }

    /// Forgets the older half at once, so that the search is paid for by a thousand commands.
    fn forget_some(&mut self) {
        if self.newest.len() > LIMIT {
            let mut ticks: Vec<u64> = self.newest.values().map(|seen| seen.tick).collect();
            let (_, median, _) = ticks.select_nth_unstable(LIMIT / 2);
            let median = *median;
            self.newest.retain(|_, seen| seen.tick >= median);
        }
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
    fn many_pods_are_remembered_but_not_for_ever() {
        let mut fence = Fence::default();
        for number in 0..LIMIT * 3 {
            assert!(fence.admits(&pod(number), decision(1, 2)));
            assert!(fence.newest.len() <= LIMIT);
        }
        assert!(!fence.admits(&pod(LIMIT * 3 - 1), decision(1, 1)), "a recent one");
    }
}
