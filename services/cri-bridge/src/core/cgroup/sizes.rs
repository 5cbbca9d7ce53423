//! How big a cgroup is made.

use crate::core::{
    qos::QosClass,
    resources::{Amounts, PodDemand},
};
use messages::Amount;
use std::collections::BTreeMap;

/// The least `cpu.shares` that the kernel takes.
pub const MIN_SHARES: u64 = 2;
/// The most.
pub const MAX_SHARES: u64 = 262_144;
/// The least CPU quota that the kernel takes, in microseconds.
const MIN_QUOTA: i64 = 1000;
/// Bytes of huge pages that are no limit.
const UNBOUNDED: u64 = 1 << 62;

/// `cpu.shares` for thousandths of a CPU.
pub fn shares(milli: i64) -> u64 {
    u64::try_from(milli.saturating_mul(1024) / 1000).unwrap_or(0).clamp(MIN_SHARES, MAX_SHARES)
}

/// Whether and how CPU limits are enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuQuota {
    /// `cpuCFSQuota`.
    pub is_enforced: bool,
    /// `cpuCFSQuotaPeriod` in microseconds.
    pub period: i64,
}

/// The CPU quota in microseconds for thousandths of a CPU; 0 (no limit) for none.
pub fn quota(milli: i64, period: i64) -> i64 {
    if milli == 0 { 0 } else { (milli.saturating_mul(period) / 1000).max(MIN_QUOTA) }
}

/// What a cgroup is to be set to. What is `None` is left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sizes {
    /// CPU weight on cgroup v1's scale.
    pub shares: Option<u64>,
    /// CPU quota and period in microseconds; a quota below 1 is none.
    pub quota: Option<(i64, i64)>,
    /// Bytes of memory.
    pub memory: Option<i64>,
    /// Processes and threads.
    pub pids: Option<i64>,
    /// Bytes of huge pages by page size in bytes.
    pub hugepages: BTreeMap<u64, u64>,
}

impl Sizes {
    /// A pod's cgroup: shares by what it requests; limits where all of its containers have one.
    pub fn of_pod(demand: &PodDemand, cpu: CpuQuota, pids: Option<i64>, page_sizes: &[u64]) -> Self {
        let class = QosClass::of(demand);
        let requests = demand.requests_with_overhead();
        let limits = demand.limits_with_overhead();
        let milli = |list: &Amounts| list.get("cpu").map(|cpu| cpu.milli_value()).unwrap_or_default();
        let cpu_quota = if cpu.is_enforced { quota(milli(&limits), cpu.period) } else { -1 };
        let memory = limits.get("memory").map(|memory| memory.value()).unwrap_or_default();
        let is_limited = |resource| match class {
            QosClass::Guaranteed => true,
            QosClass::Burstable => demand.is_limited(resource),
            QosClass::BestEffort => false,
        };
        let pages = |size: &u64| (*size, hugepages(&requests, *size));
        Self {
            shares: Some(if class == QosClass::BestEffort { MIN_SHARES } else { shares(milli(&requests)) }),
            quota: is_limited("cpu").then_some((cpu_quota, cpu.period)),
            memory: (is_limited("memory") && memory > 0).then_some(memory),
            pids,
            hugepages: page_sizes.iter().map(pages).collect(),
        }
    }

    /// The cgroup of a class; `burstable` is what all burstable pods request, in thousandths of a
    /// CPU. Guaranteed pods have no class of their own, and nothing is set there.
    pub fn of_class(class: QosClass, burstable: i64, page_sizes: &[u64]) -> Self {
        let class_shares = match class {
            QosClass::Guaranteed => return Self::default(),
            QosClass::Burstable => shares(burstable),
            QosClass::BestEffort => MIN_SHARES,
        };
        let hugepages = page_sizes.iter().map(|size| (*size, UNBOUNDED)).collect();
        Self { shares: Some(class_shares), hugepages, ..Self::default() }
    }

    /// The cgroup of all pods: the machine's capacity less what is reserved. The eviction reserve
    /// is not taken off: the Node object shows less than is enforced here.
    pub fn of_all_pods(capacity: &Amounts, reserved: &Amounts, page_sizes: &[u64]) -> Self {
        let left = |name: &str| {
            let capacity = *capacity.get(name)?;
            let reserved = reserved.get(name).copied().unwrap_or_default();
            Some((capacity - reserved).max(Amount::default()))
        };
        let pages = |size: &u64| {
            let bytes = left(&resource_name(*size)).map(Amount::value).unwrap_or_default();
            (*size, u64::try_from(bytes).unwrap_or_default())
        };
        Self {
            shares: left("cpu").map(|cpu| shares(cpu.milli_value())),
            quota: None,
            memory: left("memory").map(Amount::value).filter(|memory| *memory > 0),
            pids: left("pid").map(Amount::value).filter(|pids| *pids > 0),
            hugepages: page_sizes.iter().map(pages).collect(),
        }
    }
}

fn hugepages(list: &Amounts, size: u64) -> u64 {
    let bytes = list.get(&resource_name(size)).map(|bytes| bytes.value()).unwrap_or_default();
    u64::try_from(bytes).unwrap_or_default()
}

/// `hugepages-2Mi` for pages of 2 MiB.
pub(crate) fn resource_name(size: u64) -> String {
    format!("hugepages-{}", page_size(size, ["Ki", "Mi", "Gi"]))
}

/// A page size with the greatest unit that leaves a whole number.
pub(super) fn page_size(size: u64, units: [&str; 3]) -> String {
    let (shift, unit) = match size {
        size if size.is_multiple_of(1 << 30) => (30, units[2]),
        size if size.is_multiple_of(1 << 20) => (20, units[1]),
        _ => (10, units[0]),
    };
    format!("{}{unit}", size >> shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const CPU: CpuQuota = CpuQuota { is_enforced: true, period: 100_000 };

    fn of_pod(cpu: CpuQuota, spec: Value) -> Sizes {
        let pod = serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap();
        Sizes::of_pod(&PodDemand::of(&pod).unwrap(), cpu, None, &[])
    }

    fn one(resources: Value) -> Value {
        json!({"containers": [{"name": "a", "resources": resources}]})
    }

    #[test]
    fn shares_and_quota_stay_within_what_the_kernel_takes() {
        assert_eq!([0, 1, 100, 1000, 999_999_999].map(shares), [2, 2, 102, 1024, 262_144]);
        let quotas = [0, 1, 5, 500, 1500].map(|milli| quota(milli, 100_000));
        assert_eq!(quotas, [0, 1000, 1000, 50_000, 150_000]);
    }

    #[test]
    fn a_pods_cgroup_is_as_big_as_its_class_allows() {
        let asking = |requests: Value, limits: Value| one(json!({"requests": requests, "limits": limits}));
        let sizes = |shares, quota, memory| Sizes { shares: Some(shares), quota, memory, ..Sizes::default() };
        let cases = [
            ("best effort gets the least weight", one(json!({})), sizes(2, None, None)),
            (
                "guaranteed is limited",
                asking(json!({"cpu": "500m", "memory": "64Mi"}), json!({"cpu": "500m", "memory": "64Mi"})),
                sizes(512, Some((50_000, 100_000)), Some(64 << 20)),
            ),
            (
                "burstable without limits is not",
                asking(json!({"cpu": "1"}), json!({})),
                sizes(1024, None, None),
            ),
            (
                "burstable with a memory limit is limited there",
                asking(json!({}), json!({"memory": "64Mi"})),
                sizes(2, None, Some(64 << 20)),
            ),
            (
                "a container without a limit lifts the pod's",
                json!({"containers": [{"name": "a", "resources": {"limits": {"memory": "64Mi"}}}, {"name": "b"}]}),
                sizes(2, None, None),
            ),
        ];
        for (sentence, spec, want) in cases {
            assert_eq!(of_pod(CPU, spec), want, "{sentence}");
        }
    }

    #[test]
    fn an_unenforced_quota_is_lifted() {
        let spec =
            one(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}));
        let sizes = of_pod(CpuQuota { is_enforced: false, ..CPU }, spec);
        assert_eq!(sizes.quota, Some((-1, 100_000)));
    }

    #[test]
    fn all_pods_get_what_is_not_reserved() {
        let amounts = |list: &[(&str, i64)]| {
            list.iter().map(|(name, ones)| ((*name).to_owned(), Amount::whole(*ones))).collect::<Amounts>()
        };
        let capacity = amounts(&[("cpu", 4), ("memory", 1000), ("pid", 100), ("hugepages-2Mi", 8 << 20)]);
        let reserved = amounts(&[("cpu", 1), ("memory", 5000), ("pid", 30)]);
        let sizes = Sizes::of_all_pods(&capacity, &reserved, &[2 << 20]);
        let no_limit_rather_than_one_of_nothing = None;
        assert_eq!(
            (sizes.shares, sizes.memory, sizes.pids),
            (Some(3072), no_limit_rather_than_one_of_nothing, Some(70))
        );
        assert_eq!(sizes.hugepages, [(2 << 20, 8 << 20)].into());
    }

    #[test]
    fn classes_weigh_by_what_their_pods_request() {
        let sizes = |class| Sizes::of_class(class, 1500, &[]).shares;
        assert_eq!(sizes(QosClass::Burstable), Some(1536));
        assert_eq!(sizes(QosClass::BestEffort), Some(2));
        assert_eq!(sizes(QosClass::Guaranteed), None);
    }

    #[test]
    fn page_sizes_are_named() {
        assert_eq!(resource_name(2 << 20), "hugepages-2Mi");
        assert_eq!(page_size(1 << 30, ["KB", "MB", "GB"]), "1GB");
        assert_eq!(page_size(64 << 10, ["KB", "MB", "GB"]), "64KB");
    }
}
