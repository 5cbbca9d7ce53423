//! Which dead containers and sandboxes of a pod are removed while the pod lives: all but the newest of
//! each, whose exit code and log are still asked for (`kuberuntime_gc.go`).

use messages::cri_bridge::{Container, ContainerState, Sandbox};
use std::collections::BTreeMap;

/// What is to be removed, by CRI id; containers first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Containers.
    pub containers: Vec<String>,
    /// Sandboxes that no container of is left.
    pub sandboxes: Vec<String>,
}

impl Garbage {
    /// Whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.sandboxes.is_empty()
    }
}

/// The garbage of a pod.
pub fn of(sandboxes: &[Sandbox], containers: &[Container]) -> Garbage {
    let mut newest: BTreeMap<&str, u32> = BTreeMap::new();
    for container in containers.iter().filter(|container| is_dead(container)) {
        let attempt = newest.entry(container.name.as_str()).or_default();
        *attempt = container.attempt.max(*attempt);
    }
    let superfluous =
        |container: &&Container| is_dead(container) && container.attempt < newest[container.name.as_str()];
    let dead: Vec<String> = containers.iter().filter(superfluous).map(|c| c.id.clone()).collect();
    let youngest = sandboxes.iter().map(|sandbox| sandbox.attempt).max();
    let is_empty = |sandbox: &Sandbox| {
        !containers.iter().any(|container| container.sandbox == sandbox.id && !dead.contains(&container.id))
    };
    let old = |sandbox: &&Sandbox| !sandbox.ready && Some(sandbox.attempt) < youngest && is_empty(sandbox);
    let sandboxes = sandboxes.iter().filter(old).map(|sandbox| sandbox.id.clone()).collect();
    Garbage { containers: dead, sandboxes }
}

fn is_dead(container: &Container) -> bool {
    matches!(container.state, ContainerState::Exited | ContainerState::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::samples;

    fn container(id: &str, attempt: u32, sandbox: &str, state: ContainerState) -> Container {
        let name = id.trim_end_matches(|c: char| c.is_ascii_digit()).parse().unwrap();
        Container { id: id.into(), name, attempt, sandbox: sandbox.into(), state, ..samples::container() }
    }

    fn sandbox(id: &str, attempt: u32, ready: bool) -> Sandbox {
        Sandbox { id: id.into(), attempt, ready, created_at: 0, host_network: false, ips: Vec::new() }
    }

    #[test]
    fn one_dead_instance_of_each_container_is_kept() {
        use ContainerState::{Created, Exited, Running, Unknown};
        let containers = [
            container("app0", 0, "s0", Exited),
            container("app1", 1, "s1", Unknown),
            container("app2", 2, "s1", Exited),
            container("app3", 3, "s1", Running),
            container("side0", 0, "s1", Exited),
            container("new0", 0, "s1", Created),
        ];
        let garbage = of(&[sandbox("s1", 1, true), sandbox("s0", 0, false)], &containers);
        assert_eq!(garbage.containers, ["app0", "app1"]);
        assert_eq!(garbage.sandboxes, ["s0"], "its last container is among the garbage");
    }

    #[test]
    fn a_sandbox_stays_while_it_is_the_newest_or_ready_or_holds_what_is_kept() {
        let cases = [
            ("the newest", vec![sandbox("a", 0, false)], vec![]),
            (
                "an older ready one is to be stopped first",
                vec![sandbox("b", 1, true), sandbox("a", 0, true)],
                vec![],
            ),
            (
                "one with a kept container",
                vec![sandbox("b", 1, true), sandbox("a", 0, false)],
                vec![container("app0", 0, "a", ContainerState::Exited)],
            ),
        ];
        for (sentence, sandboxes, containers) in cases {
            assert!(of(&sandboxes, &containers).is_empty(), "{sentence}");
        }
    }
}
