//! The order in which a pod's containers stop, and how long each is given.
//!
//! All at once, except that sidecars outlive the containers that they serve and go in the reverse
//! of the order in which they came (KEP-753, `kuberuntime_termination_order.go`). preStop hooks run
//! at once for all; waiting and hooks eat into the grace period.

use super::spec;
use k8s_openapi::api::core::v1 as core;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What a container gets between SIGTERM and SIGKILL at least, in seconds.
pub const LEAST_GRACE: u64 = 2;

/// Seconds for a container of which nothing is known any more.
pub const ORPHAN_GRACE: u64 = 1;

/// For each running container, those that must have ended before it is told to. Containers that
/// wait for nobody are left out.
pub fn order(pod: &core::Pod, running: &BTreeSet<&str>) -> BTreeMap<String, BTreeSet<String>> {
    let Some(spec) = &pod.spec else { return BTreeMap::new() };
    let regular = spec.containers.iter().map(|container| container.name.as_str());
    let mut before: BTreeSet<String> =
        regular.filter(|name| running.contains(name)).map(Into::into).collect();
    let mut order = BTreeMap::new();
    let sidecars = spec::init_containers(spec).rev().filter(|container| spec::is_sidecar(container));
    for sidecar in sidecars.filter(|sidecar| running.contains(sidecar.name.as_str())) {
        if !before.is_empty() {
            order.insert(sidecar.name.clone(), before.clone());
        }
        before.insert(sidecar.name.clone());
    }
    order
}

/// Seconds that are left after some time has gone; begun seconds do not count.
pub fn left(grace: u64, gone: Duration) -> u64 {
    grace.saturating_sub(gone.as_secs())
}

/// The seconds to tell the runtime: never so few that a well-behaved process is killed.
pub fn for_runtime(left: u64) -> u64 {
    left.max(LEAST_GRACE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::samples;
    use serde_json::json;

    fn waits(running: &[&str]) -> Vec<String> {
        let pod = samples::pod(json!({
            "containers": [{"name": "app"}, {"name": "web"}],
            "initContainers": [
                {"name": "setup"},
                {"name": "mesh", "restartPolicy": "Always"},
                {"name": "logs", "restartPolicy": "Always"},
                {"name": "last", "restartPolicy": "Always"},
            ],
        }));
        let order = order(&pod, &running.iter().copied().collect());
        let join = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join("+");
        order.iter().map(|(name, before)| format!("{name} after {}", join(before))).collect()
    }

    #[test]
    fn sidecars_wait_for_what_they_serve_and_for_later_sidecars() {
        let cases: [(&str, &[&str], &[&str]); 5] = [
            ("nobody waits without sidecars", &["app", "web", "setup"], &[]),
            ("a sidecar waits for all running containers", &["app", "web", "last"], &["last after app+web"]),
            ("not for those that do not run", &["app", "last"], &["last after app"]),
            (
                "an earlier one waits for all later ones, although one of them is gone",
                &["app", "mesh", "last"],
                &["last after app", "mesh after app+last"],
            ),
            ("sidecars alone go one by one", &["mesh", "logs"], &["mesh after logs"]),
        ];
        for (sentence, running, want) in cases {
            assert_eq!(waits(running), want, "{sentence}");
        }
    }

    #[test]
    fn the_grace_is_eaten_in_whole_seconds_and_never_below_two() {
        let cases =
            [(30, 0, 30, 30), (30, 1999, 29, 29), (30, 29_000, 1, 2), (30, 90_000, 0, 2), (0, 0, 0, 2)];
        for (grace, millis, want, told) in cases {
            let left = left(grace, Duration::from_millis(millis));
            assert_eq!((left, for_runtime(left)), (want, told), "{grace} s after {millis} ms");
        }
    }
}
