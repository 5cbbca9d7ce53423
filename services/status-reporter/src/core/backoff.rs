//! Pauses between tries: doubled after each failure, and spread by chance, so that what failed together
//! does not come back together.

use super::failure::Failure;
use std::time::Duration;

/// The first and the longest pause.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

/// Registration, as upstream has it (`kubelet_node_status.go`).
pub(crate) const REGISTRATION: Policy =
    Policy { first: Duration::from_millis(100), longest: Duration::from_secs(7) };

/// Everything else. The longest is half of the ten seconds in which a node has to catch up.
pub(crate) const WRITES: Policy =
    Policy { first: Duration::from_millis(200), longest: Duration::from_secs(5) };

impl Policy {
    /// The pause after so many failures in a row, the first of which is 1; never shorter than the API
    /// server asked for. `dice` is random, in 0..1.
    pub(crate) fn pause(self, failures: u32, dice: f64, failure: &Failure) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        whole.mul_f64(0.5 + dice.clamp(0.0, 1.0) / 2.0).max(failure.retry_after())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_spread() {
        let other = Failure::Unknown(String::new());
        let asked = Failure::Later(Some(Duration::from_secs(9)));
        let cases = [
            ("the first", 1, 1.0, &other, 200),
            ("the second", 2, 1.0, &other, 400),
            ("chance takes up to half", 2, 0.0, &other, 200),
            ("the longest", 50, 1.0, &other, 5000),
            ("the API server asked for more", 1, 1.0, &asked, 9000),
        ];
        for (name, failures, dice, failure, milliseconds) in cases {
            assert_eq!(WRITES.pause(failures, dice, failure), Duration::from_millis(milliseconds), "{name}");
        }
    }
}
