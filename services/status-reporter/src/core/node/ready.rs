//! Whether the node can run pods, and if not, why: the message of its Ready condition.

use super::silence::{self, Ears};
use messages::{
    BootTime,
    cri_bridge::{Condition, Runtime},
};
use std::time::Duration;

/// How long the runtime may be unreachable (`maxWaitForContainerRuntime` upstream).
const RUNTIME_PATIENCE: Duration = Duration::from_secs(30);

/// The runtime, and since when it is not as it should be.
#[derive(Debug, Clone, Default)]
pub(crate) struct RuntimeSeen {
    newest: Option<Runtime>,
    unreachable_since: Option<BootTime>,
    unwell_since: Option<BootTime>,
}

impl RuntimeSeen {
    /// Takes in what cri-bridge says.
    pub(crate) fn see(&mut self, now: BootTime, runtime: Runtime) {
        let since = |bad: bool, since: Option<BootTime>| bad.then(|| since.unwrap_or(now));
        self.unreachable_since = since(!runtime.reachable, self.unreachable_since);
        self.unwell_since = since(!not_holding(&runtime).is_empty(), self.unwell_since);
        self.newest = Some(runtime);
    }

    /// The runtime as last said.
    pub(crate) fn newest(&self) -> Option<&Runtime> {
        self.newest.as_ref()
    }

    /// What is wrong with it. A node that was ready is given time, because a runtime that restarts is
    /// away, and then without its network, for a moment; one that was not is not.
    fn faults(&self, now: BootTime, was_ready: bool) -> Vec<String> {
        let lasts = |since: Option<BootTime>, patience: Duration| {
            since.is_some_and(|since| !was_ready || now.since(since) > patience)
        };
        match &self.newest {
            None => vec!["the container runtime was not heard of yet".to_owned()],
            Some(_) if lasts(self.unreachable_since, RUNTIME_PATIENCE) => {
                vec!["container runtime is down".to_owned()]
            }
            Some(runtime) if lasts(self.unwell_since, silence::PATIENCE) => not_holding(runtime),
            Some(_) => Vec::new(),
        }
    }
}

/// The conditions that count, and how people call what they are about. A runtime may have others, such as
/// containerd's about deprecated settings.
const NEEDED: [(&str, &str); 2] =
    [("RuntimeReady", "container runtime"), ("NetworkReady", "container runtime network")];

fn not_holding(runtime: &Runtime) -> Vec<String> {
    let fault = |(kind, what): (&str, &str)| match runtime.conditions.iter().find(|one| one.kind == kind) {
        Some(condition) if condition.holds => None,
        Some(Condition { reason, message, .. }) => {
            Some(format!("{what} not ready: {kind}=false reason:{reason} message:{message}"))
        }
        None => Some(format!("{what} not ready: it says nothing of {kind}")),
    };
    NEEDED.into_iter().filter_map(fault).collect()
}

/// Everything that keeps the node from being ready; empty when it is.
pub(crate) fn faults(now: BootTime, runtime: &RuntimeSeen, ears: &Ears, was_ready: bool) -> Vec<String> {
    let mut faults = ears.faults(now);
    if !was_ready && faults.is_empty() && !ears.all_have_spoken() {
        faults.push("not every compartment has begun".to_owned());
    }
    if was_ready && runtime.newest.is_none() {
        // This process has just begun, and the node was well before: nothing speaks against it yet.
        return faults;
    }
    faults.extend(runtime.faults(now, was_ready));
    faults
}

/// Several faults as one message, in the form in which Go joins errors.
pub(crate) fn message(faults: &[String]) -> String {
    match faults {
        [] => "kubelet is posting ready status".to_owned(),
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::Owner;

    fn at(seconds: u64) -> BootTime {
        BootTime(seconds * 1_000_000_000)
    }

    fn runtime(reachable: bool, network: bool) -> Runtime {
        let condition = |kind: &str, holds| Condition {
            kind: kind.to_owned(),
            holds,
            reason: "NetworkPluginNotReady".to_owned(),
            message: "no CNI configuration".to_owned(),
        };
        Runtime {
            reachable,
            error: String::new(),
            name: "containerd".to_owned(),
            version: "2.4.2".to_owned(),
            conditions: vec![
                condition("RuntimeReady", true),
                condition("NetworkReady", network),
                condition("ContainerdHasNoDeprecationWarnings", false),
            ],
            handlers: Vec::new(),
            supplemental_groups_policy: true,
            events: true,
            cgroup_driver: "cgroupfs".to_owned(),
        }
    }

    const NO_NETWORK: &str = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady \
                           message:no CNI configuration";

    /// What is told at a second, when the runtime said this at those seconds and everyone else is well.
    fn told(said: &[(u64, bool, bool)], second: u64, was_ready: bool) -> String {
        let (mut seen, mut ears) = (RuntimeSeen::default(), Ears::new(at(0)));
        for (second, reachable, network) in said {
            seen.see(at(*second), runtime(*reachable, *network));
        }
        for owner in [Owner::CriBridge, Owner::PodLifecycle, Owner::VolumeMounter] {
            ears.hear(at(second), owner);
        }
        message(&faults(at(second), &seen, &ears, was_ready))
    }

    /// A sentence; by the second whether the runtime was reachable and had its network; a second, whether the
    /// node was ready, and what is told.
    type Row<'a> = (&'a str, &'a [(u64, bool, bool)], u64, bool, &'a str);

    #[test]
    fn the_node_is_ready_when_its_runtime_is() {
        const READY: &str = "kubelet is posting ready status";
        let cases: &[Row] = &[
            ("all is well", &[(0, true, true)], 1, false, READY),
            ("nothing is known yet", &[], 1, false, "the container runtime was not heard of yet"),
            ("nothing speaks against a node that was ready", &[], 1, true, READY),
            ("no network", &[(0, true, false)], 1, false, NO_NETWORK),
            ("a network that went is given time", &[(0, true, true), (10, true, false)], 30, true, READY),
            ("but not for ever", &[(0, true, true), (10, true, false)], 31, true, NO_NETWORK),
            (
                "the time counts from the first word of it",
                &[(0, true, false), (10, true, false)],
                21,
                true,
                NO_NETWORK,
            ),
            ("a runtime that restarts is given time", &[(0, false, true)], 30, true, READY),
            ("until it counts as down", &[(0, false, true)], 31, true, "container runtime is down"),
            (
                "a node that was not ready waits for no one",
                &[(0, false, true)],
                1,
                false,
                "container runtime is down",
            ),
        ];
        for (name, said, second, was_ready, want) in cases {
            assert_eq!(told(said, *second, *was_ready), *want, "{name}");
        }
    }

    #[test]
    fn only_two_of_a_runtimes_conditions_count_and_both_are_needed() {
        let mut other = runtime(true, true);
        assert!(not_holding(&other).is_empty());
        other.conditions.remove(1);
        assert_eq!(
            not_holding(&other),
            ["container runtime network not ready: it says nothing of NetworkReady"]
        );
    }

    #[test]
    fn several_faults_are_told_together() {
        let ears = Ears::new(at(0));
        let told = message(&faults(at(25), &RuntimeSeen::default(), &ears, false));
        assert!(
            told.starts_with("[cri-bridge has not been heard") && told.ends_with("was not heard of yet]"),
            "{told}"
        );
    }

    #[test]
    fn a_new_node_waits_until_its_compartments_have_spoken() {
        let mut seen = RuntimeSeen::default();
        seen.see(at(0), runtime(true, true));
        let told = message(&faults(at(1), &seen, &Ears::new(at(0)), false));
        assert_eq!(told, "not every compartment has begun");
    }
}
