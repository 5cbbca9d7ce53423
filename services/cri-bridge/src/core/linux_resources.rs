//! Resources as the runtime is told them (`kuberuntime_container_linux.go`).

use super::{
    cgroup::{self, CpuQuota},
    qos::{self, QosClass},
    resources::{Amounts, Demand, PodDemand},
};
use k8s_openapi::api::core::v1 as core;
use messages::Amount;
use proto::runtime::v1::{HugepageLimit, LinuxContainerResources};

/// What the numbers depend on besides the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of swap.
    pub swap: u64,
    /// Sizes of huge pages in bytes.
    pub page_sizes: Vec<u64>,
    /// cgroup v1 or v2.
    pub hierarchy: cgroup::Hierarchy,
    /// Whether containers' swap can be limited at all.
    pub has_swap_controller: bool,
    /// `cpuCFSQuota` and its period.
    pub cpu: CpuQuota,
    /// `memorySwap.swapBehavior` is `LimitedSwap`.
    pub allows_swap: bool,
    /// An OOM kill takes the container's processes one by one, and not all together
    /// (`singleProcessOOMKill`; cgroup v1 knows nothing else).
    pub kills_single_processes: bool,
}

impl Machine {
    /// A container's resources.
    pub fn container(&self, pod: &core::Pod, demand: &PodDemand, container: &str) -> LinuxContainerResources {
        let none = Demand::default();
        let own = demand.container(container).map_or(&none, |container| &container.demand);
        let mut resources = self.plain(&own.requests, &self.effective_limits(own, demand));
        resources.oom_score_adj = qos::oom_score_adj(pod, demand, container, self.memory);
        resources.hugepage_limits = self.hugepages(own, demand);
        if self.has_swap_controller {
            self.limit_swap(&mut resources, demand, own);
        }
        resources
    }

    /// What the pod asks for as a whole, for runtimes that size their sandbox by it.
    pub fn sandbox(&self, demand: &PodDemand) -> LinuxContainerResources {
        self.plain(&demand.requests(), &demand.limits())
    }

    /// The pod's overhead, likewise.
    pub fn overhead(&self, demand: &PodDemand) -> LinuxContainerResources {
        if demand.overhead.is_empty() {
            return LinuxContainerResources::default();
        }
        self.plain(&demand.overhead, &demand.overhead)
    }

    /// The pod's own limit stands in for one that a container lacks.
    fn effective_limits(&self, own: &Demand, demand: &PodDemand) -> Amounts {
        let of_pod = demand.own.iter().flat_map(|pod| pod.limits.clone());
        let set = own.limits.clone().into_iter().filter(|(_, limit)| !limit.is_zero());
        of_pod.chain(set).collect()
    }

    fn plain(&self, requests: &Amounts, limits: &Amounts) -> LinuxContainerResources {
        let limit = limits.get("cpu").map(|cpu| cpu.milli_value()).unwrap_or_default();
        let request = requests.get("cpu").map_or(limit, |cpu| cpu.milli_value());
        let shares = i64::try_from(cgroup::shares(request)).unwrap_or(i64::MAX);
        let mut resources = LinuxContainerResources {
            cpu_shares: shares,
            memory_limit_in_bytes: limits.get("memory").map(|memory| memory.value()).unwrap_or_default(),
            ..Default::default()
        };
        if self.cpu.is_enforced {
            resources.cpu_period = self.cpu.period;
            resources.cpu_quota = cgroup::quota(limit, self.cpu.period);
        }
        if self.hierarchy == cgroup::Hierarchy::V2 && !self.kills_single_processes {
            resources.unified.insert("memory.oom.group".to_owned(), "1".to_owned());
        }
        resources
    }

    /// Every size of the machine, 0 where none are asked for.
    fn hugepages(&self, own: &Demand, demand: &PodDemand) -> Vec<HugepageLimit> {
        let limits = self.effective_limits(own, demand);
        let limit = |size: &u64| {
            let bytes =
                limits.get(&cgroup::resource_name(*size)).map(|bytes| bytes.value()).unwrap_or_default();
            HugepageLimit {
                page_size: cgroup::kernel_size(*size),
                limit: u64::try_from(bytes).unwrap_or_default(),
            }
        };
        self.page_sizes.iter().map(limit).collect()
    }

    fn limit_swap(&self, resources: &mut LinuxContainerResources, demand: &PodDemand, own: &Demand) {
        if self.hierarchy == cgroup::Hierarchy::V1 {
            // Memory and swap together no more than memory alone: no swap.
            resources.memory_swap_limit_in_bytes = resources.memory_limit_in_bytes;
            return;
        }
        let swap = if self.allows_swap { self.swap_share(demand, own) } else { 0 };
        resources.unified.insert("memory.swap.max".to_owned(), swap.to_string());
    }

    /// KEP-2400: a burstable container may swap in the proportion in which it requests memory,
    /// unless its request and limit are one.
    fn swap_share(&self, demand: &PodDemand, own: &Demand) -> u64 {
        let memory = |list: &Amounts| list.get("memory").copied().unwrap_or_default();
        let (request, limit) = (memory(&own.requests), memory(&own.limits));
        if QosClass::of(demand) != QosClass::Burstable || request == limit || request <= Amount::default() {
            return 0;
        }
        let share = u128::from(request.value().unsigned_abs()) * u128::from(self.swap);
        u64::try_from(share / u128::from(self.memory.max(1))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cgroup::Hierarchy::{V1, V2};
    use serde_json::{Value, json};

    fn machine(hierarchy: cgroup::Hierarchy) -> Machine {
        Machine {
            memory: 1 << 30,
            swap: 1 << 29,
            page_sizes: vec![2 << 20, 1 << 30],
            hierarchy,
            has_swap_controller: true,
            cpu: CpuQuota { is_enforced: true, period: 100_000 },
            allows_swap: false,
            kills_single_processes: false,
        }
    }

    fn container(machine: &Machine, resources: Value) -> LinuxContainerResources {
        let spec = json!({"containers": [{"name": "a", "resources": resources}]});
        let pod = serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap();
        machine.container(&pod, &PodDemand::of(&pod).unwrap(), "a")
    }

    #[test]
    fn cpu_and_memory() {
        let cases = [
            ("nothing asked for is the least weight and no limit", json!({}), (2, 0, 0)),
            ("a request weighs", json!({"requests": {"cpu": "250m"}}), (256, 0, 0)),
            ("a limit alone weighs as a request", json!({"limits": {"cpu": "500m"}}), (512, 50_000, 0)),
            ("memory", json!({"limits": {"memory": "1Mi"}}), (2, 0, 1 << 20)),
            ("the least quota", json!({"limits": {"cpu": "1m"}}), (2, 1000, 0)),
        ];
        for (sentence, resources, want) in cases {
            let got = container(&machine(V1), resources);
            assert_eq!((got.cpu_shares, got.cpu_quota, got.memory_limit_in_bytes), want, "{sentence}");
            assert_eq!(got.cpu_period, 100_000, "{sentence}");
        }
    }

    #[test]
    fn an_unenforced_quota_is_not_told() {
        let machine = Machine { cpu: CpuQuota { is_enforced: false, period: 100_000 }, ..machine(V1) };
        let got = container(&machine, json!({"limits": {"cpu": "1"}}));
        assert_eq!((got.cpu_quota, got.cpu_period), (0, 0));
    }

    #[test]
    fn every_size_of_huge_page_is_limited() {
        let got = container(&machine(V1), json!({"limits": {"hugepages-2Mi": "4Mi"}}));
        let limits: Vec<_> = got.hugepage_limits.iter().map(|l| (l.page_size.as_str(), l.limit)).collect();
        assert_eq!(limits, [("2MB", 4 << 20), ("1GB", 0)]);
    }

    #[test]
    fn an_oom_kill_takes_the_whole_container_on_cgroup_v2() {
        let unified =
            |machine: &Machine| container(machine, json!({})).unified.get("memory.oom.group").cloned();
        assert_eq!(unified(&machine(V2)).as_deref(), Some("1"));
        assert_eq!(unified(&machine(V1)), None);
        assert_eq!(unified(&Machine { kills_single_processes: true, ..machine(V2) }), None);
    }

    #[test]
    fn swap_is_for_burstable_containers_of_nodes_that_allow_it() {
        let quarter = json!({"requests": {"memory": "256Mi"}});
        let whole = json!({"requests": {"memory": "256Mi"}, "limits": {"memory": "256Mi"}});
        let cases = [
            ("not allowed", false, quarter.clone(), "0"),
            ("a quarter of memory, a quarter of swap", true, quarter, "134217728"),
            ("request and limit are one", true, whole, "0"),
            ("best effort", true, json!({}), "0"),
        ];
        for (sentence, allows_swap, resources, want) in cases {
            let machine = Machine { allows_swap, ..machine(V2) };
            assert_eq!(container(&machine, resources).unified["memory.swap.max"], want, "{sentence}");
        }
        let v1 = container(&machine(V1), json!({"limits": {"memory": "1Mi"}}));
        assert_eq!(v1.memory_swap_limit_in_bytes, 1 << 20);
    }

    #[test]
    fn a_sandbox_is_told_of_the_whole_pod_and_its_overhead() {
        let spec = json!({
            "overhead": {"cpu": "250m", "memory": "2Mi"},
            "containers": [{"name": "a", "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "500m"}}},
                           {"name": "b", "resources": {"requests": {"cpu": "500m"}}}],
        });
        let demand =
            PodDemand::of(&serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap()).unwrap();
        let machine = machine(V1);
        let (sandbox, overhead) = (machine.sandbox(&demand), machine.overhead(&demand));
        assert_eq!((sandbox.cpu_shares, sandbox.cpu_quota), (1024, 100_000));
        assert_eq!((overhead.cpu_quota, overhead.memory_limit_in_bytes), (25_000, 2 << 20));
        assert_eq!(machine.overhead(&PodDemand::default()), LinuxContainerResources::default());
    }
}
