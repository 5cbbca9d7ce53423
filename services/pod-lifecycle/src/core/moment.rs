//! Points in time as the core sees them: nanoseconds since the Unix epoch, given from outside.
//!
//! The runtime, the API server and files all tell time on the wall clock, so the core compares on
//! it too, as the stock kubelet does. The core never asks a clock: a moment comes with each fact.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub i64);

impl Moment {
    /// The moment this long after.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        Self(self.0.saturating_add(nanos(later)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// As the API writes it: whole seconds, the rest cut off.
    pub fn to_time(self) -> Time {
        let seconds = self.0.div_euclid(1_000_000_000);
        Time(Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// As annotation `kubernetes.io/config.seen` has it: RFC 3339 with nanoseconds.
    pub fn to_rfc3339(self) -> String {
        Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
    }
}

impl From<&Time> for Moment {
    fn from(time: &Time) -> Self {
        Self(i64::try_from(time.0.as_nanosecond()).unwrap_or(i64::MAX))
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// A duration as Go prints it, which is how back-offs stand in the kubelet's messages.
pub fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_time_has_whole_seconds() {
        let cases = [(0, "1970-01-01T00:00:00Z"), (1_999_999_999, "1970-01-01T00:00:01Z")];
        for (nanos, text) in cases {
            assert_eq!(Moment(nanos).to_time().0.to_string(), text);
        }
    }

    #[test]
    fn durations_read_as_go_prints_them() {
        let cases = [(10, "10s"), (80, "1m20s"), (300, "5m0s"), (3600, "1h0m0s")];
        for (seconds, text) in cases {
            assert_eq!(go_duration(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn time_before_another_is_no_time() {
        assert_eq!(Moment(5).since(Moment(9)), Duration::ZERO);
        assert_eq!(Moment(9).since(Moment(5)), Duration::from_nanos(4));
    }
}
