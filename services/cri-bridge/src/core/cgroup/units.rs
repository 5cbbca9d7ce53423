//! A cgroup's sizes as systemd takes them: properties of a slice.
//!
//! What systemd is not told, it sets back to its own defaults when it next looks at the slice: when the first scope
//! in it begins, or at `systemctl daemon-reload`.

use super::{Hierarchy, Sizes, files::weight};

/// Microseconds of CPU in a second that are one hundredth of a CPU. systemd counts quotas in these.
const HUNDREDTH: u64 = 10_000;

/// What a slice of pods counts: everything, or a controller would be missed by limits that come later.
pub const COUNTED: [&str; 4] = ["CPUAccounting", "MemoryAccounting", "IOAccounting", "TasksAccounting"];

/// The properties that set a slice to these sizes. Huge pages are not among them: systemd leaves those files alone.
pub fn properties(sizes: &Sizes, hierarchy: Hierarchy) -> Vec<(&'static str, u64)> {
    let (weighs, holds) = match hierarchy {
        Hierarchy::V1 => ("CPUShares", "MemoryLimit"),
        Hierarchy::V2 => ("CPUWeight", "MemoryMax"),
    };
    let mut properties = Vec::new();
    if let Some(shares) = sizes.shares {
        properties.push((weighs, if hierarchy == Hierarchy::V1 { shares } else { weight(shares) }));
    }
    if let Some((quota, period)) = sizes.quota {
        properties.push(("CPUQuotaPeriodUSec", positive(period)));
        properties.push(("CPUQuotaPerSecUSec", per_second(quota, period)));
    }
    properties.extend(sizes.memory.map(|bytes| (holds, positive(bytes))));
    properties.extend(sizes.pids.map(|pids| ("TasksMax", positive(pids))));
    properties
}

/// The same sizes with a CPU quota that systemd can keep: rounded up, so that containers' own quotas fit into it.
pub fn kept_by_systemd(sizes: &Sizes) -> Sizes {
    let rounded = sizes.quota.map(|(quota, period)| match per_second(quota, period) {
        u64::MAX => (quota, period),
        per_second => {
            let quota = u128::from(per_second) * u128::from(positive(period)) / 1_000_000;
            (i64::try_from(quota).unwrap_or(i64::MAX), period)
        }
    });
    Sizes { quota: rounded, ..sizes.clone() }
}

/// Microseconds of CPU in a second; the greatest number is no limit.
fn per_second(quota: i64, period: i64) -> u64 {
    if quota <= 0 || period <= 0 {
        return u64::MAX;
    }
    let exact = u128::from(positive(quota)) * 1_000_000 / u128::from(positive(period));
    u64::try_from(exact).map_or(u64::MAX, |exact| exact.div_ceil(HUNDREDTH).saturating_mul(HUNDREDTH))
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_become_properties() {
        let sizes = Sizes {
            shares: Some(1024),
            quota: Some((50_000, 100_000)),
            memory: Some(1 << 20),
            pids: Some(99),
            hugepages: [(2 << 20, 0)].into(),
        };
        let quota = [("CPUQuotaPeriodUSec", 100_000), ("CPUQuotaPerSecUSec", 500_000)];
        let with = |weighs, holds, tasks| [&[weighs][..], &quota, &[holds, tasks]].concat();
        assert_eq!(
            properties(&sizes, Hierarchy::V2),
            with(("CPUWeight", 39), ("MemoryMax", 1 << 20), ("TasksMax", 99))
        );
        assert_eq!(
            properties(&sizes, Hierarchy::V1),
            with(("CPUShares", 1024), ("MemoryLimit", 1 << 20), ("TasksMax", 99))
        );
        assert!(properties(&Sizes::default(), Hierarchy::V2).is_empty());
    }

    #[test]
    fn a_quota_is_kept_in_hundredths_of_a_cpu() {
        let cases = [
            ("a whole hundredth stays", (25_000, 100_000), 250_000, (25_000, 100_000)),
            ("what is between is rounded up", (25_100, 100_000), 260_000, (26_000, 100_000)),
            ("of another period too", (1_001, 10_000), 110_000, (1_100, 10_000)),
            ("no limit is none", (-1, 100_000), u64::MAX, (-1, 100_000)),
        ];
        for (sentence, quota, want, kept) in cases {
            let sizes = Sizes { quota: Some(quota), ..Sizes::default() };
            assert_eq!(properties(&sizes, Hierarchy::V2)[1].1, want, "{sentence}");
            assert_eq!(kept_by_systemd(&sizes).quota, Some(kept), "{sentence}");
        }
        assert_eq!(kept_by_systemd(&Sizes::default()), Sizes::default());
    }
}
