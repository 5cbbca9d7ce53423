//! A token bucket: so many per second on average, and a burst of them at once.

use messages::BootTime;
use std::time::Duration;

/// A bucket that fills steadily, and out of which each deed takes one token.
#[derive(Debug, Clone)]
pub struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled_at: BootTime,
}

impl Bucket {
    /// A full one: tokens per second, and how many it holds. One that holds none lets nothing through, as
    /// the limiters of Kubernetes do with a burst of 0; "no limit" is no bucket.
    pub fn new(per_second: f64, burst: u32, now: BootTime) -> Self {
        let burst = f64::from(burst);
        Self { per_second, burst, tokens: burst, filled_at: now }
    }

    /// Takes a token; `false` when there is none.
    pub fn take(&mut self, now: BootTime) -> bool {
        let won = self.per_second * now.since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + won).min(self.burst);
        self.filled_at = now;
        let has_one = self.tokens >= 1.0;
        if has_one {
            self.tokens -= 1.0;
        }
        has_one
    }

    /// Puts one back that was not used.
    pub fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.burst);
    }

    /// When there will be a token, if none is taken before.
    pub fn next_token(&self) -> BootTime {
        let lacking = (1.0 - self.tokens).max(0.0) / self.per_second;
        Duration::try_from_secs_f64(lacking).map_or(BootTime(u64::MAX), |pause| self.filled_at.after(pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> BootTime {
        BootTime(milliseconds * 1_000_000)
    }

    #[test]
    fn a_burst_goes_through_and_then_so_many_each_second() {
        let mut bucket = Bucket::new(10.0, 2, at(0));
        let mut taken = |now| (0..9).filter(|_| bucket.take(now)).count();
        assert_eq!(taken(at(0)), 2, "the burst");
        assert_eq!(taken(at(50)), 0, "too soon");
        assert_eq!(taken(at(100)), 1, "a tenth of a second's worth");
        assert_eq!(taken(at(100_000)), 2, "no more than the burst, however long it was quiet");
    }

    #[test]
    fn an_empty_bucket_tells_when_there_is_one_again() {
        let mut bucket = Bucket::new(10.0, 1, at(0));
        assert!(bucket.take(at(0)));
        assert_eq!(bucket.next_token(), at(100));
        bucket.give_back();
        assert_eq!(bucket.next_token(), at(0), "one was put back");
    }

    #[test]
    fn without_a_burst_nothing_goes_through() {
        let mut bucket = Bucket::new(10.0, 0, at(0));
        assert!(!bucket.take(at(100_000)));
    }

    #[test]
    fn what_is_never_filled_again_says_so() {
        let mut bucket = Bucket::new(0.0, 1, at(0));
        assert!(bucket.take(at(0)));
        assert_eq!(bucket.next_token(), BootTime(u64::MAX));
    }
}
