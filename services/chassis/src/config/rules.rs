//! What a `KubeletConfiguration` must hold to be usable: upstream's rules
//! (`pkg/kubelet/apis/config/validation`), and those that the stock kubelet only finds out while it
//! starts (thresholds, reserved resources). All broken rules are told, each with field and value.
//!
//! What a type already rules out (ranges of numbers, words of a choice) is not repeated here.

mod access;
mod collecting;
mod machine;
mod resources;

use super::{KubeletConfiguration, faults::Fault, gates};
use messages::Amount;
use std::fmt::Display;

/// What the machine is, as far as rules depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Its cgroups are of version 2.
    pub cgroup_v2: bool,
}

/// Everything that is wrong with a configuration on a machine.
pub(super) fn broken(configuration: &KubeletConfiguration, machine: Machine) -> Vec<Fault> {
    let mut check = Check { configuration, faults: gates::faults(&configuration.feature_gates) };
    access::check(&mut check);
    collecting::check(&mut check);
    resources::check(&mut check);
    machine::check(&mut check, machine);
    check.faults
}

/// A configuration and what was found wrong with it so far.
struct Check<'a> {
    configuration: &'a KubeletConfiguration,
    faults: Vec<Fault>,
}

impl Check<'_> {
    /// Notes a fault unless the rule holds.
    fn must(&mut self, holds: bool, field: &str, value: impl Display, rule: &str) {
        if !holds {
            self.faults.push(Fault::new(field, format!("{value}: {rule}")));
        }
    }

    /// Whether a feature gate is open.
    fn gate(&self, name: &str) -> bool {
        gates::is_open(&self.configuration.feature_gates, name)
    }
}

/// What a text that is no quantity is told.
const QUANTITY_RULE: &str = "must be a quantity such as 100Mi or 1.5";

/// The amount that a text spells; `None` when it is no quantity.
fn amount(text: &str) -> Option<Amount> {
    text.parse().ok()
}

/// What tests of the rules share: a configuration that differs from the default, and its faults.
#[cfg(test)]
fn told(change: impl FnOnce(&mut KubeletConfiguration)) -> Vec<String> {
    let mut configuration = KubeletConfiguration::default();
    change(&mut configuration);
    broken(&configuration, Machine { cgroup_v2: true }).iter().map(Fault::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_break_no_rule() {
        assert_eq!(told(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn every_broken_rule_is_told() {
        let faults = told(|configuration| {
            configuration.port = 0;
            configuration.container_log_max_files = 1;
        });
        assert_eq!(
            faults,
            ["port: 0: must be between 1 and 65535", "containerLogMaxFiles: 1: must be greater than 1"]
        );
    }
}
