//! What is written next, and what comes of it. A change that the kernel refuses leads to the whole table; a whole table
//! that it refuses is tried once more, and then without the services at fault.
//!
//! ```text
//!               ┌── taken ──┐
//!               ▼           │ refused twice
//!   InForce ─ refused ─► Unknown ─────────────► Narrowing ─ found ─► Unknown (they are left out)
//!      ▲                    │  ▲                    │
//!      └────── taken ───────┘  └──── nobody's ──────┘  (after a pause, which grows)
//! ```

use super::{
    name::ServiceName,
    narrowing::{Finding, Narrowing},
};
use std::{collections::BTreeSet, time::Duration};

/// How often a whole table is refused before it is asked why.
const TOLERATED: u32 = 2;
/// The pause between those.
const AGAIN: Duration = Duration::from_millis(50);
/// Pauses while nothing helps, the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
/// Pauses before a service that was left out is tried again, the first and the longest.
const PAROLES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// What a try came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is in force, or would be.
    Taken,
    /// The kernel finds fault with it. Nothing was changed.
    Refused,
    /// It could not be tried; what is in the kernel is not known.
    Failed,
}

/// What to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Write what differs from what is in force.
    Change,
    /// Write the whole table, so long after the last try.
    Whole(Duration),
    /// Ask whether the whole table would be accepted without these.
    Ask(BTreeSet<ServiceName>),
}

/// Where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conduct {
    stage: Stage,
    /// Services that were redone since the last table that was accepted.
    suspects: BTreeSet<ServiceName>,
    /// How often nothing helped.
    rounds: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// What is in the kernel is known.
    InForce,
    /// It is not; a whole table was refused so often.
    Unknown(u32),
    /// The kernel is asked whom it refuses.
    Narrowing(Narrowing),
}

impl Default for Conduct {
    fn default() -> Self {
        Self { stage: Stage::Unknown(0), suspects: BTreeSet::new(), rounds: 0 }
    }
}

impl Conduct {
    /// These services were redone.
    pub fn redone(&mut self, names: BTreeSet<ServiceName>) {
        self.suspects.extend(names);
    }

    /// What is in the kernel is not ours any more.
    pub fn lost(&mut self) {
        self.stage = Stage::Unknown(0);
    }

    /// Whether what is in the kernel is known.
    pub fn is_in_force(&self) -> bool {
        self.stage == Stage::InForce
    }

    /// Whether the last tries did not help.
    pub fn is_in_trouble(&self) -> bool {
        self.rounds > 0
    }

    /// What to try.
    pub fn next(&self) -> Next {
        match &self.stage {
            Stage::InForce => Next::Change,
            Stage::Unknown(0) => Next::Whole(doubled(PAUSES, self.rounds)),
            Stage::Unknown(_) => Next::Whole(AGAIN.max(doubled(PAUSES, self.rounds))),
            Stage::Narrowing(narrowing) => Next::Ask(narrowing.trial()),
        }
    }

    /// Takes what that came to; `placed` are all services that have a part in the table. Returns those that are to be left
    /// out besides, if they were found.
    pub fn learn(
        &mut self,
        verdict: Verdict,
        placed: impl FnOnce() -> BTreeSet<ServiceName>,
    ) -> Option<BTreeSet<ServiceName>> {
        if verdict == Verdict::Failed {
            self.fail();
            return None;
        }
        let is_taken = verdict == Verdict::Taken;
        match &mut self.stage {
            Stage::Narrowing(narrowing) => {
                let found = narrowing.learn(is_taken)?;
                return self.find(found, placed);
            }
            _ if is_taken => *self = Self { stage: Stage::InForce, ..Self::default() },
            Stage::InForce => self.stage = Stage::Unknown(0),
            Stage::Unknown(refused) if *refused + 1 < TOLERATED => *refused += 1,
            Stage::Unknown(_) => {
                if self.suspects.is_empty() {
                    self.suspects = placed();
                }
                self.stage = Stage::Narrowing(Narrowing::of(&self.suspects));
            }
        }
        None
    }

    fn find(
        &mut self,
        found: Finding,
        placed: impl FnOnce() -> BTreeSet<ServiceName>,
    ) -> Option<BTreeSet<ServiceName>> {
        if let Finding::Guilty(guilty) = found {
            self.stage = Stage::Unknown(0);
            return Some(guilty);
        }
        let all = placed();
        if all.is_subset(&self.suspects) {
            self.fail();
        } else {
            self.suspects.extend(all);
            self.stage = Stage::Narrowing(Narrowing::of(&self.suspects));
        }
        None
    }

    fn fail(&mut self) {
        self.rounds = self.rounds.saturating_add(1);
        self.stage = Stage::Unknown(0);
    }
}

/// How long a service that was left out so often (once at least) stays so.
pub fn parole(times: u32) -> Duration {
    doubled(PAROLES, times.max(1))
}

/// Nothing, then the first pause, and the double each time.
fn doubled((first, longest): (Duration, Duration), times: u32) -> Duration {
    match times.checked_sub(1) {
        None => Duration::ZERO,
        Some(times) => first.saturating_mul(1 << times.min(16)).min(longest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Failed, Refused, Taken};

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn names(names: &[&str]) -> BTreeSet<ServiceName> {
        names.iter().filter_map(|name| ServiceName::new(Some("default"), Some(name))).collect()
    }

    fn after(verdicts: &[Verdict]) -> Conduct {
        let mut conduct = Conduct::default();
        for verdict in verdicts {
            let found = conduct.learn(*verdict, || names(&["a", "b"]));
            assert_eq!(found, None, "{verdicts:?}");
        }
        conduct
    }

    #[test]
    fn what_comes_next_depends_on_what_came_of_the_last() {
        let cases: &[(&str, &[Verdict], Next)] = &[
            ("first the whole table", &[], Next::Whole(MS(0))),
            ("then changes", &[Taken], Next::Change),
            ("and more changes", &[Taken, Taken], Next::Change),
            ("a refused change is the whole table at once", &[Taken, Refused], Next::Whole(MS(0))),
            ("which heals it", &[Taken, Refused, Taken], Next::Change),
            ("a refused table is tried once more", &[Refused], Next::Whole(MS(50))),
            ("and then narrowed", &[Refused, Refused], Next::Ask(names(&["a", "b"]))),
            (
                "to half of them, if without all it is accepted",
                &[Refused, Refused, Taken],
                Next::Ask(names(&["b"])),
            ),
            ("nobody is at fault: a pause", &[Refused, Refused, Refused], Next::Whole(MS(200))),
            ("which grows", &[Refused, Refused, Refused, Refused, Refused, Refused], Next::Whole(MS(400))),
            ("what fails is tried again", &[Failed], Next::Whole(MS(200))),
            ("later each time", &[Failed, Failed, Failed], Next::Whole(MS(800))),
            ("but never very late", &[Failed; 40], Next::Whole(MS(30_000))),
            ("and then it is forgotten", &[Failed, Failed, Taken, Failed], Next::Whole(MS(200))),
            ("a failure among questions ends them", &[Refused, Refused, Failed], Next::Whole(MS(200))),
        ];
        for (sentence, verdicts, want) in cases {
            assert_eq!(after(verdicts).next(), *want, "{sentence}");
        }
    }

    #[test]
    fn those_that_changed_are_suspected_first_and_then_all() {
        let mut conduct = after(&[Taken]);
        conduct.redone(names(&["b"]));
        let all = || names(&["a", "b", "c"]);
        for _ in 0..3 {
            assert_eq!(conduct.learn(Refused, all), None);
        }
        assert_eq!(conduct.next(), Next::Ask(names(&["b"])));
        assert_eq!(conduct.clone().learn(Taken, all), Some(names(&["b"])), "that one is at fault");
        assert_eq!(conduct.learn(Refused, all), None);
        assert_eq!(conduct.next(), Next::Ask(all()), "it is somebody else");
    }

    #[test]
    fn whoever_is_left_out_is_tried_again_later_each_time() {
        let seconds: Vec<u64> = (1..9).map(|times| parole(times).as_secs()).collect();
        assert_eq!(seconds, [10, 20, 40, 80, 160, 320, 600, 600]);
    }
}
