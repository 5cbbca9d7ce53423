//! A pod's quality of service: which class it is in, and how soon its processes are killed when
//! memory runs out.

use super::resources::{Amounts, ContainerDemand, Demand, PodDemand};
use k8s_openapi::api::core::v1 as core;
use messages::Amount;

/// `status.qosClass`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QosClass {
    /// Every container limits cpu and memory, and requests as much.
    Guaranteed,
    /// Anything in between.
    Burstable,
    /// Nothing is requested or limited.
    BestEffort,
}

impl QosClass {
    /// The class (`pkg/apis/core/v1/helper/qos`): by the pod's own numbers where it has any, else
    /// by those of all its containers. Only cpu and memory count.
    pub fn of(demand: &PodDemand) -> Self {
        let all: Vec<&Demand> = match &demand.own {
            Some(own) => vec![own],
            None => demand.regular.iter().chain(&demand.init).map(|container| &container.demand).collect(),
        };
        let requests = total(all.iter().map(|demand| &demand.requests));
        let limits = total(all.iter().map(|demand| &demand.limits));
        if requests.is_zero() && limits.is_zero() {
            return Self::BestEffort;
        }
        let limited = |demand: &&Demand| ["cpu", "memory"].iter().all(|name| has(&demand.limits, name));
        let is_guaranteed = all.iter().all(limited) && requests == limits;
        if is_guaranteed { Self::Guaranteed } else { Self::Burstable }
    }
}

/// Sums of cpu and memory.
#[derive(PartialEq)]
struct Computed {
    cpu: Amount,
    memory: Amount,
}

impl Computed {
    fn is_zero(&self) -> bool {
        self.cpu.is_zero() && self.memory.is_zero()
    }
}

fn total<'a>(lists: impl Iterator<Item = &'a Amounts> + Clone) -> Computed {
    let sum = |name: &str| lists.clone().filter_map(|list| list.get(name).copied()).sum();
    Computed { cpu: sum("cpu"), memory: sum("memory") }
}

fn has(limits: &Amounts, name: &str) -> bool {
    limits.get(name).is_some_and(|limit| !limit.is_zero())
}

/// `oom_score_adj` of a pod that must be killed last.
const LAST: i64 = -997;
/// `oom_score_adj` of a pod that must be killed first.
const FIRST: i64 = 1000;

/// Priority from which on a pod is critical to the system.
const CRITICAL: i32 = 2_000_000_000;

/// `oom_score_adj` of a container's processes (`pkg/kubelet/qos/policy.go`): the more of the
/// machine's memory a burstable container requests, the later it is killed.
pub fn oom_score_adj(pod: &core::Pod, demand: &PodDemand, container: &str, machine_memory: u64) -> i64 {
    if is_node_critical(pod) {
        return LAST;
    }
    match QosClass::of(demand) {
        QosClass::Guaranteed => LAST,
        QosClass::BestEffort => FIRST,
        QosClass::Burstable => burstable(demand, container, machine_memory),
    }
}

fn is_node_critical(pod: &core::Pod) -> bool {
    // Set by pod-lifecycle on every pod, whatever its author wrote there.
    let source = pod.metadata.annotations.as_ref().and_then(|all| all.get("kubernetes.io/config.source"));
    let is_static = source.is_some_and(|source| source != "api");
    pod.spec.as_ref().is_some_and(|spec| {
        let is_critical = is_static || spec.priority.is_some_and(|priority| priority >= CRITICAL);
        is_critical && spec.priority_class_name.as_deref() == Some("system-node-critical")
    })
}

fn burstable(demand: &PodDemand, container: &str, machine_memory: u64) -> i64 {
    let share = unallocated_per_container(demand);
    let score = |request: i64| {
        let memory = i128::from(machine_memory.max(1));
        let score = 1000 - 1000 * i128::from(request + share) / memory;
        i64::try_from(score).unwrap_or(i64::MIN)
    };
    let found = demand.container(container);
    let own = score(found.map(memory_request).unwrap_or_default());
    let least = demand.regular.iter().map(memory_request).min();
    let score = match (found.is_some_and(|found| found.is_sidecar), least) {
        // A sidecar outlives the containers that it serves.
        (true, Some(least)) => own.min(score(least)),
        _ => own,
    };
    score.clamp(1000 + LAST, FIRST - 1)
}

/// What the pod requests beyond its containers' sum, shared out among them.
fn unallocated_per_container(demand: &PodDemand) -> i64 {
    let own = demand.own.as_ref().and_then(|own| own.requests.get("memory")).filter(|own| !own.is_zero());
    let containers = demand.regular.len() + demand.init.len();
    let (Some(own), Ok(containers @ 1..)) = (own, i64::try_from(containers)) else { return 0 };
    let allocated = demand.container_requests().get("memory").copied().unwrap_or_default();
    (own.value() - allocated.value()) / containers
}

fn memory_request(container: &ContainerDemand) -> i64 {
    container.demand.requests.get("memory").map(|memory| memory.value()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const GIB: u64 = 1 << 30;

    fn pod(spec: Value) -> (core::Pod, PodDemand) {
        let pod = serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap();
        let demand = PodDemand::of(&pod).unwrap();
        (pod, demand)
    }

    fn both(cpu: &str, memory: &str) -> Value {
        json!({"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu, "memory": memory}})
    }

    #[test]
    fn the_class_follows_from_requests_and_limits() {
        use QosClass::{BestEffort, Burstable, Guaranteed};
        let one = |resources: Value| json!({"containers": [{"name": "a", "resources": resources}]});
        let cases = [
            ("nothing asked for", one(json!({})), BestEffort),
            ("only other resources", one(json!({"requests": {"ephemeral-storage": "1Gi"}})), BestEffort),
            ("requests of nothing", one(json!({"requests": {"cpu": "0"}})), BestEffort),
            ("both limited and requested alike", one(both("1", "1Gi")), Guaranteed),
            (
                "500m and 0.5 are alike",
                one(json!({"requests": {"cpu": "500m", "memory": "1Gi"},
                "limits": {"cpu": "0.5", "memory": "1024Mi"}})),
                Guaranteed,
            ),
            (
                "memory alone",
                one(json!({"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}})),
                Burstable,
            ),
            (
                "a smaller request",
                one(json!({"requests": {"cpu": "1", "memory": "1Mi"},
                "limits": {"cpu": "1", "memory": "1Gi"}})),
                Burstable,
            ),
            (
                "one container without",
                json!({"containers": [{"name": "a", "resources": both("1", "1Gi")},
                {"name": "b"}]}),
                Burstable,
            ),
            (
                "an init container without",
                json!({"containers": [{"name": "a", "resources": both("1", "1Gi")}],
                "initContainers": [{"name": "i"}]}),
                Burstable,
            ),
            (
                "the pod's own numbers alone decide",
                json!({"resources": both("1", "1Gi"),
                "containers": [{"name": "a"}]}),
                Guaranteed,
            ),
        ];
        for (sentence, spec, want) in cases {
            assert_eq!(QosClass::of(&pod(spec).1), want, "{sentence}");
        }
    }

    #[test]
    fn who_requests_more_memory_is_killed_later() {
        let asking = |memory: &str| json!({"requests": {"memory": memory}});
        let one = |resources: Value| json!({"containers": [{"name": "a", "resources": resources}]});
        let cases = [
            ("best effort first", one(json!({})), 1000),
            ("guaranteed last", one(both("1", "1Gi")), -997),
            ("a tenth of the machine", one(asking("429496730")), 900),
            ("next to nothing is still before best effort", one(asking("1")), 999),
            ("all of the machine is still after guaranteed", one(asking("4Gi")), 3),
            ("more than the machine", one(asking("400Gi")), 3),
            (
                "a node-critical pod last",
                json!({"priority": 2_000_001_000, "priorityClassName": "system-node-critical",
                "containers": [{"name": "a"}]}),
                -997,
            ),
            (
                "a sidecar no earlier than the container it serves",
                json!({
                "containers": [{"name": "b", "resources": asking("2Gi")}],
                "initContainers": [{"name": "a", "restartPolicy": "Always", "resources": asking("1Mi")}]}),
                500,
            ),
            (
                "what the pod requests beyond is shared out",
                json!({"resources": asking("3Gi"),
                "containers": [{"name": "a", "resources": asking("1Gi")}, {"name": "b"}]}),
                500,
            ),
        ];
        for (sentence, spec, want) in cases {
            let (pod, demand) = pod(spec);
            assert_eq!(oom_score_adj(&pod, &demand, "a", 4 * GIB), want, "{sentence}");
        }
    }
}
