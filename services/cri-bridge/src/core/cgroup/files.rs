//! Which file of a cgroup gets which text.

use super::{MAX_SHARES, MIN_SHARES, Sizes, sizes::page_size};

/// The shape of the host's cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hierarchy {
    /// One tree per controller.
    V1,
    /// One tree for all.
    V2,
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The controller that must be there for it; in v1 also the tree.
    pub controller: &'static str,
    /// The file's name.
    pub file: String,
    /// What goes in.
    pub value: String,
}

/// The writes that set a cgroup to these sizes, in order.
pub fn writes(sizes: &Sizes, hierarchy: Hierarchy) -> Vec<Write> {
    match hierarchy {
        Hierarchy::V1 => v1(sizes),
        Hierarchy::V2 => v2(sizes),
    }
}

fn v1(sizes: &Sizes) -> Vec<Write> {
    let mut writes = Vec::new();
    let mut put = |controller, file: &str, value: String| {
        writes.push(Write { controller, file: file.to_owned(), value });
    };
    if let Some(shares) = sizes.shares {
        put("cpu", "cpu.shares", shares.to_string());
    }
    if let Some((quota, period)) = sizes.quota {
        put("cpu", "cpu.cfs_period_us", period.to_string());
        put("cpu", "cpu.cfs_quota_us", if quota > 0 { quota } else { -1 }.to_string());
    }
    if let Some(memory) = sizes.memory {
        put("memory", "memory.limit_in_bytes", memory.to_string());
    }
    if let Some(pids) = sizes.pids {
        put("pids", "pids.max", pids.to_string());
    }
    for (size, bytes) in &sizes.hugepages {
        put("hugetlb", &format!("hugetlb.{}.limit_in_bytes", kernel_size(*size)), bytes.to_string());
    }
    writes
}

fn v2(sizes: &Sizes) -> Vec<Write> {
    let mut writes = Vec::new();
    let mut put = |controller, file: &str, value: String| {
        writes.push(Write { controller, file: file.to_owned(), value });
    };
    if let Some(shares) = sizes.shares {
        put("cpu", "cpu.weight", weight(shares).to_string());
    }
    if let Some((quota, period)) = sizes.quota {
        let quota = if quota > 0 { quota.to_string() } else { "max".to_owned() };
        put("cpu", "cpu.max", format!("{quota} {period}"));
    }
    if let Some(memory) = sizes.memory {
        put("memory", "memory.max", memory.to_string());
    }
    if let Some(pids) = sizes.pids {
        put("pids", "pids.max", pids.to_string());
    }
    for (size, bytes) in &sizes.hugepages {
        put("hugetlb", &format!("hugetlb.{}.max", kernel_size(*size)), bytes.to_string());
    }
    writes
}

/// `cpu.weight` for `cpu.shares`: [2, 262144] laid onto [1, 10000] (KEP-2254).
pub(crate) fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(MIN_SHARES, MAX_SHARES) - 2) * 9999 / 262_142
}

/// A page size as the kernel and the runtime write it: `2MB`.
pub(crate) fn kernel_size(size: u64) -> String {
    page_size(size, ["KB", "MB", "GB"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(hierarchy: Hierarchy, sizes: &Sizes) -> Vec<String> {
        let line = |write: &Write| format!("{}={}", write.file, write.value);
        writes(sizes, hierarchy).iter().map(line).collect()
    }

    #[test]
    fn sizes_become_files() {
        let sizes = Sizes {
            shares: Some(1024),
            quota: Some((50_000, 100_000)),
            memory: Some(1 << 20),
            pids: Some(99),
            hugepages: [(2 << 20, 0)].into(),
        };
        assert_eq!(
            written(Hierarchy::V1, &sizes),
            [
                "cpu.shares=1024",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=50000",
                "memory.limit_in_bytes=1048576",
                "pids.max=99",
                "hugetlb.2MB.limit_in_bytes=0",
            ]
        );
        assert_eq!(
            written(Hierarchy::V2, &sizes),
            [
                "cpu.weight=39",
                "cpu.max=50000 100000",
                "memory.max=1048576",
                "pids.max=99",
                "hugetlb.2MB.max=0"
            ]
        );
    }

    #[test]
    fn no_quota_is_said_so() {
        let sizes = Sizes { quota: Some((-1, 100_000)), ..Sizes::default() };
        assert_eq!(written(Hierarchy::V1, &sizes), ["cpu.cfs_period_us=100000", "cpu.cfs_quota_us=-1"]);
        assert_eq!(written(Hierarchy::V2, &sizes), ["cpu.max=max 100000"]);
    }

    #[test]
    fn nothing_asked_for_is_nothing_written() {
        assert!(written(Hierarchy::V1, &Sizes::default()).is_empty());
        assert!(written(Hierarchy::V2, &Sizes::default()).is_empty());
    }

    #[test]
    fn weights_keep_the_ends_of_the_scale() {
        assert_eq!([0, 2, 1024, 262_144, u64::MAX].map(weight), [1, 1, 39, 10_000, 10_000]);
    }
}
