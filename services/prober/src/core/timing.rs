//! When to probe and how often, read from `core/v1` Probe with Kubernetes' defaults.

use k8s_openapi::api::core::v1 as core;
use std::time::Duration;

/// A probe's timing and thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// `initialDelaySeconds`, counted from the container's `startedAt`.
    pub initial_delay: Duration,
    /// `periodSeconds`.
    pub period: Duration,
    /// `timeoutSeconds`.
    pub timeout: Duration,
    /// Successes in a row that settle on success.
    pub success_threshold: u32,
    /// Failures in a row that settle on failure.
    pub failure_threshold: u32,
}

impl Timing {
    /// What a probe says, with the defaults that the API server would have filled in. Static pods
    /// come without them. A number that makes no sense (zero, negative) counts as absent.
    pub fn of(probe: &core::Probe) -> Self {
        let seconds = |given: Option<i32>, default: u64| Duration::from_secs(positive(given, default));
        Self {
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            success_threshold: threshold(probe.success_threshold, 1),
            failure_threshold: threshold(probe.failure_threshold, 3),
        }
    }
}

fn positive(given: Option<i32>, default: u64) -> u64 {
    given.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(default)
}

fn threshold(given: Option<i32>, default: u32) -> u32 {
    given.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_or_senseless_gets_the_default() {
        let default = Timing {
            initial_delay: Duration::ZERO,
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            success_threshold: 1,
            failure_threshold: 3,
        };
        let senseless = core::Probe {
            initial_delay_seconds: Some(-5),
            period_seconds: Some(0),
            timeout_seconds: Some(-1),
            success_threshold: Some(0),
            failure_threshold: Some(i32::MIN),
            ..Default::default()
        };
        let given = core::Probe { period_seconds: Some(2), failure_threshold: Some(1), ..Default::default() };
        let cases = [
            ("an empty probe", core::Probe::default(), default),
            ("senseless numbers", senseless, default),
            (
                "numbers that are given",
                given,
                Timing { period: Duration::from_secs(2), failure_threshold: 1, ..default },
            ),
        ];
        for (name, probe, want) in cases {
            assert_eq!(Timing::of(&probe), want, "{name}");
        }
    }
}
