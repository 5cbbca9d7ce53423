//! How often images may be pulled: `registryPullQPS` on average, `registryBurst` at once.

use messages::BootTime;

/// A bucket that fills steadily, and out of which each pull takes one.
#[derive(Debug, Clone)]
pub struct Bucket {
    per_second: u64,
    most: u64,
    /// Billionths of a pull.
    level: u64,
    filled_at: BootTime,
}

const WHOLE: u64 = 1_000_000_000;

impl Bucket {
    /// A full bucket.
    pub fn new(per_second: u32, burst: u32, now: BootTime) -> Self {
        let most = u64::from(burst) * WHOLE;
        Self { per_second: per_second.into(), most, level: most, filled_at: now }
    }

    /// Takes one; `false` when there is none.
    pub fn take(&mut self, now: BootTime) -> bool {
        let gone = u64::try_from(now.since(self.filled_at).as_nanos()).unwrap_or(u64::MAX);
        self.level = self.level.saturating_add(gone.saturating_mul(self.per_second)).min(self.most);
        self.filled_at = now;
        let has_one = self.level >= WHOLE;
        if has_one {
            self.level -= WHOLE;
        }
        has_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_through_and_then_so_many_each_second() {
        let second = |seconds: u64| BootTime(seconds * WHOLE);
        let mut bucket = Bucket::new(2, 3, second(0));
        let mut taken = |now| (0..9).filter(|_| bucket.take(now)).count();
        assert_eq!(taken(second(0)), 3, "the burst");
        assert_eq!(taken(BootTime(WHOLE / 4)), 0, "too soon");
        assert_eq!(taken(second(1)), 2, "a second's worth");
        assert_eq!(taken(second(1000)), 3, "no more than the burst, however long it was quiet");
    }
}
