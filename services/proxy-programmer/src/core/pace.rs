//! How soon after one transaction the next one begins. The first change goes out at once; only a burst is gathered.

use std::time::Duration;

/// What comes within this of the last transaction's end goes out together. Far below what a pod's start takes, and enough
/// for a controller that writes one slice after another.
const GAP: Duration = Duration::from_millis(5);

/// The longest that anything is gathered for, however long transactions take.
const LONGEST: Duration = Duration::from_millis(100);

/// How long to wait, so much time after the last transaction ended, which took so long itself: no more than half of the
/// time is spent on writing.
pub fn pause(since: Option<Duration>, took: Duration) -> Duration {
    since.map_or(Duration::ZERO, |since| took.clamp(GAP, LONGEST).saturating_sub(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_burst_is_gathered() {
        let ms = Duration::from_millis;
        // (sentence, since the last one ended, it took, pause)
        let cases = [
            ("the first goes out at once", None, ms(0), ms(0)),
            ("so does one that comes later", Some(ms(5)), ms(1), ms(0)),
            ("and one long after", Some(ms(60_000)), ms(400), ms(0)),
            ("right behind another, it waits", Some(ms(0)), ms(1), ms(5)),
            ("for what is left of the gap", Some(ms(3)), ms(1), ms(2)),
            ("longer behind a long one", Some(ms(10)), ms(40), ms(30)),
            ("but never very long", Some(ms(0)), ms(3_000), ms(100)),
        ];
        for (sentence, since, took, want) in cases {
            assert_eq!(pause(since, took), want, "{sentence}");
        }
    }
}
