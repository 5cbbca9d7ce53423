//! When a service account's token is asked for anew (`pkg/kubelet/token/token_manager.go`).

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A token older than this is renewed however long it lives.
const OLDEST: Duration = Duration::from_secs(24 * 3600);
/// Renewals are spread over so much time.
pub const JITTER: Duration = Duration::from_secs(10);

/// What is known of a token that stands in a volume; the token itself is nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// When it ends, nanoseconds since the Unix epoch.
    pub expires_at: i64,
    /// When to ask for the next one, likewise.
    pub renew_at: i64,
}

impl Lease {
    /// A token that was given for `lifetime` and ends at `expires_at`: renewed once four fifths
    /// of its life or 24 hours have passed, up to `jitter` earlier.
    pub fn new(expires_at: i64, lifetime: Duration, jitter: Duration) -> Self {
        let lifetime_nanos = nanos(lifetime);
        let issued_at = expires_at.saturating_sub(lifetime_nanos);
        let fifth = lifetime_nanos / 5;
        let latest = expires_at.saturating_sub(fifth).min(issued_at.saturating_add(nanos(OLDEST)));
        Self { expires_at, renew_at: latest.saturating_sub(nanos(jitter)) }
    }

    /// It is time to ask for the next one.
    pub fn is_due(self, now: i64) -> bool {
        now >= self.renew_at
    }

    /// It can still be used.
    pub fn is_valid(self, now: i64) -> bool {
        now < self.expires_at
    }

    /// Time until the next one is asked for.
    pub fn wait(self, now: i64) -> Duration {
        Duration::from_nanos(u64::try_from(self.renew_at.saturating_sub(now)).unwrap_or(0))
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const HOUR: i64 = 3600 * SECOND;

    #[test]
    fn a_token_is_renewed_in_time() {
        let cases = [
            ("an hour's token, after 48 minutes", 3600, 0, 48 * 60 * SECOND),
            ("the same, jittered", 3600, 10, (48 * 60 - 10) * SECOND),
            ("a week's token, after a day", 7 * 24 * 3600, 0, 24 * HOUR),
            ("ten minutes' token", 600, 0, 480 * SECOND),
        ];
        for (name, lifetime, jitter, want) in cases {
            let lease = Lease::new(
                lifetime * SECOND,
                Duration::from_secs(lifetime as u64),
                Duration::from_secs(jitter),
            );
            assert_eq!(lease.renew_at, want, "{name}");
            assert!(!lease.is_due(want - 1) && lease.is_due(want), "{name}");
        }
    }

    #[test]
    fn an_old_token_serves_until_it_expires() {
        let lease = Lease { expires_at: 100, renew_at: 80 };
        assert!(lease.is_valid(99) && !lease.is_valid(100));
        assert_eq!((lease.wait(30), lease.wait(90)), (Duration::from_nanos(50), Duration::ZERO));
    }
}
