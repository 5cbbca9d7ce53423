//! How long to wait after a failed try.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(122);
const LONGEST_AWAY: Duration = Duration::from_secs(4);

/// The wait after so many failures in a row: 500 ms, doubling up to 2 m 2 s, as the kubelet's
/// volume operations do (`pkg/util/goroutinemap/exponentialbackoff`).
pub fn after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

/// The wait while something outside, such as the API server, is out of reach: the same, but never more than
/// 4 s, so that a node has caught up within ten seconds of its return.
pub fn while_away(failures: u32) -> Duration {
    after(failures).min(LONGEST_AWAY)
}

/// Waits of a search for an object that a fresh pod refers to: 5, 10, 20 … ms. The authorizer's
/// graph lags behind a binding, so that for a moment the node may not see what it needs.
pub fn while_fresh(tries: u32) -> Duration {
    Duration::from_millis(5).saturating_mul(1 << tries.min(7))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let seconds: Vec<f64> = [1, 2, 3, 8, 9, 10, u32::MAX].map(|n| after(n).as_secs_f64()).into();
        assert_eq!(seconds, [0.5, 1.0, 2.0, 64.0, 122.0, 122.0, 122.0]);
        let away: Vec<f64> = [1, 4, 5, u32::MAX].map(|n| while_away(n).as_secs_f64()).into();
        assert_eq!(away, [0.5, 4.0, 4.0, 4.0]);
        let millis: Vec<u128> = [0, 1, 2, 7, 100].map(|n| while_fresh(n).as_millis()).into();
        assert_eq!(millis, [5, 10, 20, 640, 640]);
    }
}
