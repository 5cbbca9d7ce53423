//! The first second of an instance, in which nobody expects it to answer yet.
//!
//! The kubelet sees a container run up to a second after it began, and most servers listen by then. This
//! prober knows at once. Probing once, too early, and then a whole period later would make it the
//! slower one; so a young instance is looked at a few times. A look that succeeds counts as any
//! probe; one that does not counts as none, and nobody is told.

use messages::BootTime;
use std::time::Duration;

/// After so much time an instance is looked at again; the first look is at once.
const LOOKS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(300)];
/// How long it lasts; then probes count.
const LENGTH: Duration = Duration::from_secs(1);

/// When an instance came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Infancy {
    since: BootTime,
}

impl Infancy {
    /// An instance that has come up now.
    pub fn from(since: BootTime) -> Self {
        Self { since }
    }

    /// A probe that begins now is but a look.
    pub fn is_young(self, now: BootTime) -> bool {
        now < self.since.after(LENGTH)
    }

    /// When to probe next after a look that did not succeed.
    pub fn next(self, now: BootTime) -> BootTime {
        let looks = LOOKS.into_iter().chain([LENGTH]).map(|age| self.since.after(age));
        looks.into_iter().find(|at| *at > now).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_few_and_end_with_the_first_second() {
        let at = |millis: u64| BootTime(5_000_000_000 + millis * 1_000_000);
        let infancy = Infancy::from(at(0));
        let cases = [
            ("after the first look", 3, 100),
            ("after the second", 105, 300),
            ("after the third", 301, 1000),
            ("after a look that took long", 250, 300),
            ("after one that took longer than it all", 1700, 1700),
        ];
        for (name, now, want) in cases {
            assert_eq!(infancy.next(at(now)), at(want), "{name}");
        }
        assert!(infancy.is_young(at(999)) && !infancy.is_young(at(1000)));
    }
}
