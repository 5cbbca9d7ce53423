//! Kubernetes' feature gates: which there are in 1.36, what they are when nobody says anything, and
//! which can no longer be changed. The list is what the stock kubelet 1.36.3 registers
//! (`pkg/features/kube_features.go` and the libraries that it links).

use super::faults::Fault;
use std::{collections::BTreeMap, sync::LazyLock};

/// One line per gate: name, `on` or `off` by default, `locked` or `free`, stage.
const TABLE: &str = include_str!("gates.txt");

/// A gate as upstream has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gate {
    default: bool,
    locked: bool,
    stage: &'static str,
}

static GATES: LazyLock<BTreeMap<&str, Gate>> = LazyLock::new(|| TABLE.lines().filter_map(line).collect());

fn line(line: &'static str) -> Option<(&'static str, Gate)> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let (default, locked) = (words.next()? == "on", words.next()? == "locked");
    Some((name, Gate { default, locked, stage: words.next()? }))
}

/// Whether a gate is open under these settings. `AllAlpha` and `AllBeta` open what is not named.
/// A gate that 1.36 does not know is shut.
pub(super) fn is_open(settings: &BTreeMap<String, bool>, name: &str) -> bool {
    let Some(gate) = GATES.get(name) else { return false };
    let of_stage = match gate.stage {
        "alpha" => settings.get("AllAlpha"),
        "beta" => settings.get("AllBeta"),
        _ => None,
    };
    match settings.get(name).or(of_stage) {
        Some(open) if !gate.locked => *open,
        _ => gate.default,
    }
}

/// Settings that upstream refuses: unknown gates, and locked ones set to the other side.
pub(super) fn faults(settings: &BTreeMap<String, bool>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, open) in settings {
        let field = format!("featureGates.{name}");
        match GATES.get(name.as_str()) {
            None => faults.push(Fault::new(field, "unknown feature gate")),
            Some(gate) if gate.locked && gate.default != *open => {
                faults.push(Fault::new(field, format!("{open}: is locked to {}", gate.default)));
            }
            Some(_) => {}
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, bool)]) -> BTreeMap<String, bool> {
        pairs.iter().map(|(name, open)| ((*name).to_owned(), *open)).collect()
    }

    #[test]
    fn every_line_of_the_table_is_a_gate() {
        assert_eq!(GATES.len(), TABLE.lines().count());
        assert_eq!(GATES["MemoryQoS"], Gate { default: false, locked: false, stage: "alpha" });
    }

    #[test]
    fn a_gate_is_what_is_said_of_it_its_stage_or_upstream() {
        type Said = [(&'static str, bool)];
        let cases: &[(&str, &Said, &str, bool)] = &[
            ("upstream's default", &[], "KubeletCrashLoopBackOffMax", true),
            (
                "said to be shut",
                &[("KubeletCrashLoopBackOffMax", false)],
                "KubeletCrashLoopBackOffMax",
                false,
            ),
            ("all alphas are opened", &[("AllAlpha", true)], "MemoryQoS", true),
            ("but this one", &[("AllAlpha", true), ("MemoryQoS", false)], "MemoryQoS", false),
            ("betas are no alphas", &[("AllAlpha", false)], "KubeletCrashLoopBackOffMax", true),
            ("a locked one stays", &[("NodeSwap", false)], "NodeSwap", true),
            ("one that nobody knows", &[("Nonsense", true)], "Nonsense", false),
        ];
        for (name, said, gate, open) in cases {
            assert_eq!(is_open(&settings(said), gate), *open, "{name}");
        }
    }

    #[test]
    fn unknown_and_locked_gates_are_refused_by_name() {
        let faults = faults(&settings(&[("Nonsense", true), ("NodeSwap", false), ("MemoryQoS", true)]));
        let told: Vec<String> = faults.iter().map(Fault::to_string).collect();
        assert_eq!(
            told,
            [
                "featureGates.NodeSwap: false: is locked to true",
                "featureGates.Nonsense: unknown feature gate"
            ]
        );
    }
}
