//! The only place that reads clocks, so that a core never does and a reader knows where time comes
//! from.

use messages::BootTime;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;

/// Now on `CLOCK_BOOTTIME`: never steps, goes on through a suspend, the same for all processes.
pub fn now_boot() -> BootTime {
    BootTime(u64::try_from(nanoseconds(clock_gettime(ClockId::Boottime))).unwrap_or_default())
}

/// Now on the wall clock, in nanoseconds since the Unix epoch.
pub fn now_unix() -> i64 {
    nanoseconds(clock_gettime(ClockId::Realtime))
}

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(SECOND).saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_go_forward() {
        let earlier = now_boot();
        assert!(now_boot() >= earlier);
        assert!(now_unix() > 1_700_000_000 * SECOND);
    }
}
