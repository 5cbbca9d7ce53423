//! Who stands still: a process that runs, and whose thread does not turn any more.
//!
//! Every service shows on its lifeline every [`chassis::BEAT`] that it turns. One that has shown it and then does not
//! for [`STILL`] is named, once each time that passes. Who never showed it is not judged: nats-server has no such sign.

use crate::process::Process;
use std::{collections::BTreeMap, time::Duration};

/// How long a process may stand still. More than any outage that nobody is to notice (20 s), less than the time after
/// which a node that does not report is taken for lost (40 s, kube-controller-manager's node-monitor-grace-period
/// before 1.32; 50 s since).
pub(crate) const STILL: Duration = Duration::from_secs(30);

/// The most that counts between two turns: a supervisor that was itself stopped, with all the others, has seen nothing.
const LONGEST_TURN: Duration = Duration::from_secs(2);

/// For how long nothing was heard of whom.
#[derive(Debug, Default)]
pub(crate) struct Pulses {
    /// By process and its id, of those that were heard at least once.
    unheard: BTreeMap<(Process, u32), Duration>,
    last: Duration,
}

impl Pulses {
    /// Takes in who runs and whether they were heard since the last turn; returns who stands still.
    pub(crate) fn turn(
        &mut self,
        now: Duration,
        lives: impl Iterator<Item = (Process, u32, bool)>,
    ) -> Vec<(Process, u32)> {
        let passed = now.saturating_sub(self.last).min(LONGEST_TURN);
        self.last = now;
        let mut before = std::mem::take(&mut self.unheard);
        let mut still = Vec::new();
        for (process, pid, heard) in lives {
            let life = (process, pid);
            let unheard = match before.remove(&life) {
                _ if heard => Duration::ZERO,
                Some(unheard) => unheard + passed,
                None => continue,
            };
            if unheard >= STILL {
                still.push(life);
            }
            self.unheard.insert(life, if unheard >= STILL { Duration::ZERO } else { unheard });
        }
        still
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::Owner;

    const PROBER: Process = Process::Service(Owner::Prober);

    /// Which life runs, and whether it was heard.
    type Turn = (u32, bool);

    /// Takes turns of a second each; the seconds at which one stood still.
    fn named(turns: impl IntoIterator<Item = Turn>) -> Vec<u64> {
        let mut pulses = Pulses::default();
        let mut named = Vec::new();
        for (second, (pid, heard)) in (1..).zip(turns) {
            let still = pulses.turn(Duration::from_secs(second), std::iter::once((PROBER, pid, heard)));
            named.extend(still.iter().map(|_| second));
        }
        named
    }

    fn beats(every: usize) -> impl Iterator<Item = Turn> {
        (0..).map(move |second| (1, second % every == 0))
    }

    #[test]
    fn who_was_heard_and_then_is_not_stands_still() {
        let silence = || std::iter::repeat_n((1, false), 70);
        let cases: [(&str, Vec<Turn>, Vec<u64>); 5] = [
            ("it beats", beats(5).take(100).collect(), vec![]),
            ("it beats just in time", beats(30).take(100).collect(), vec![]),
            ("it stopped", beats(5).take(1).chain(silence()).collect(), vec![31, 61]),
            ("it never beat", silence().collect(), vec![]),
            ("another life", beats(5).take(1).chain(silence().map(|(_, it)| (2, it))).collect(), vec![]),
        ];
        for (name, turns, wanted) in cases {
            assert_eq!(named(turns), wanted, "{name}");
        }
    }

    #[test]
    fn a_supervisor_that_was_stopped_itself_blames_nobody() {
        let mut pulses = Pulses::default();
        let life = |heard| std::iter::once((PROBER, 1, heard));
        assert_eq!(pulses.turn(Duration::from_secs(1), life(true)), []);
        assert_eq!(pulses.turn(Duration::from_secs(3600), life(false)), []);
    }
}
