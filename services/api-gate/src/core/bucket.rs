//! A token bucket: so many requests per second on average, and a burst of them at once.

use messages::BootTime;
use std::time::Duration;

/// How many requests per second, 0 for no limit, and how many at once.
pub(crate) type Rate = (u32, u32);

/// A bucket that fills steadily, and out of which each request takes one.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// Tokens per second; `None` for no limit.
    rate: Option<f64>,
    burst: f64,
    tokens: f64,
    filled_at: BootTime,
}

impl Bucket {
    /// A full one.
    pub(crate) fn new((per_second, burst): Rate, now: BootTime) -> Self {
        let burst = f64::from(burst.max(1));
        Self { rate: (per_second > 0).then(|| f64::from(per_second)), burst, tokens: burst, filled_at: now }
    }

    /// Lets in what has trickled since it was last asked to.
    pub(crate) fn fill(&mut self, now: BootTime) {
        let rate = self.rate.unwrap_or_default();
        self.tokens = (self.tokens + rate * now.since(self.filled_at).as_secs_f64()).min(self.burst);
        self.filled_at = now;
    }

    /// Takes a token; `false` when there is none.
    pub(crate) fn take(&mut self) -> bool {
        let has_one = self.rate.is_none() || self.tokens >= 1.0;
        if has_one && self.rate.is_some() {
            self.tokens -= 1.0;
        }
        has_one
    }

    /// Puts one back that was not used.
    pub(crate) fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.burst);
    }

    /// When there will be a token, reckoned from the last filling.
    pub(crate) fn next_token(&self) -> BootTime {
        match self.rate {
            Some(rate) if self.tokens < 1.0 => {
                self.filled_at.after(Duration::from_secs_f64((1.0 - self.tokens) / rate))
            }
            _ => self.filled_at,
        }
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
        let mut bucket = Bucket::new((10, 2), at(0));
        let mut taken = |now| {
            bucket.fill(now);
            (0..9).filter(|_| bucket.take()).count()
        };
        assert_eq!(taken(at(0)), 2, "the burst");
        assert_eq!(taken(at(50)), 0, "too soon");
        assert_eq!(taken(at(100)), 1, "a tenth of a second's worth");
        assert_eq!(taken(at(100_000)), 2, "no more than the burst, however long it was quiet");
    }

    #[test]
    fn an_empty_bucket_tells_when_there_is_one_again() {
        let mut bucket = Bucket::new((10, 1), at(0));
        assert!(bucket.take());
        assert_eq!(bucket.next_token(), at(100));
        bucket.give_back();
        assert_eq!(bucket.next_token(), at(0), "one was put back");
    }

    #[test]
    fn without_a_rate_there_is_no_limit() {
        let mut bucket = Bucket::new((0, 0), at(0));
        assert!((0..1000).all(|_| bucket.take()));
    }
}
