//! Moments as facts bring them, and as API objects write them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use messages::BootTime;

/// A moment on both clocks: intervals are measured on the first, which never steps; objects bear the
/// second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Now {
    /// For intervals.
    pub(crate) boot: BootTime,
    /// Nanoseconds since the Unix epoch.
    pub(crate) unix: i64,
    /// Random, in 0..1, for spreading what would else happen together.
    pub(crate) dice: f64,
}

/// Nanoseconds since the Unix epoch as the API writes times: whole seconds.
pub(crate) fn seconds(unix: i64) -> Time {
    Time(Timestamp::from_second(unix.div_euclid(1_000_000_000)).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// The same in microseconds, as leases have it.
pub(crate) fn micros(unix: i64) -> MicroTime {
    MicroTime(Timestamp::from_microsecond(unix.div_euclid(1000)).unwrap_or(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_lose_what_the_api_does_not_keep() {
        let time = 1_700_000_000_123_456_789;
        assert_eq!(seconds(time).0.to_string(), "2023-11-14T22:13:20Z");
        assert_eq!(micros(time).0.to_string(), "2023-11-14T22:13:20.123456Z");
    }
}
