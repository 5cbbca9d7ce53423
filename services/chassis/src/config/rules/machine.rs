//! Rules on cgroups, memory and processes of the machine.

use super::{Check, Machine};
use crate::config::{GoDuration, MemoryReservationPolicy};

pub(super) fn check(check: &mut Check, machine: Machine) {
    let c = check.configuration;
    let rule = "must be false on a machine with cgroup v1";
    check.must(machine.cgroup_v2 || !c.fail_cgroup_v1, "failCgroupV1", c.fail_cgroup_v1, rule);
    let single = c.single_process_oom_kill;
    let rule = "must not be false on a machine with cgroup v1";
    check.must(machine.cgroup_v2 || single != Some(false), "singleProcessOOMKill", false, rule);
    check.must(
        (-1000..=1000).contains(&c.oom_score_adj),
        "oomScoreAdj",
        c.oom_score_adj,
        "must be between -1000 and 1000",
    );
    for (field, bit) in
        [("iptablesMasqueradeBit", c.iptables_masquerade_bit), ("iptablesDropBit", c.iptables_drop_bit)]
    {
        check.must(bit <= 31, field, bit, "must be between 0 and 31");
    }
    period(check);
    memory(check);
    ids(check);
}

fn period(check: &mut Check) {
    let period = check.configuration.cpu_cfs_quota_period;
    let usual = GoDuration::milliseconds(100);
    let within = (GoDuration::milliseconds(1)..=GoDuration::seconds(1)).contains(&period);
    check.must(within, "cpuCFSQuotaPeriod", period, "must be between 1ms and 1s");
    let open = period == usual || check.gate("CustomCPUCFSQuotaPeriod");
    check.must(open, "cpuCFSQuotaPeriod", period, "needs the feature gate CustomCPUCFSQuotaPeriod");
}

fn memory(check: &mut Check) {
    let c = check.configuration;
    let factor = c.memory_throttling_factor;
    let rule = "must be greater than 0 and at most 1";
    check.must(factor > 0.0 && factor <= 1.0, "memoryThrottlingFactor", factor, rule);
    let policy = c.memory_reservation_policy;
    let open = policy == MemoryReservationPolicy::None || check.gate("MemoryQoS");
    check.must(open, "memoryReservationPolicy", policy, "needs the feature gate MemoryQoS");
}

fn ids(check: &mut Check) {
    const UNIT: i64 = 65536;
    let Some(namespaces) = &check.configuration.user_namespaces else { return };
    let ids = namespaces.ids_per_pod;
    let fine = ids >= UNIT && ids % UNIT == 0 && ids <= i64::from(u32::MAX);
    check.must(fine, "userNamespaces.idsPerPod", ids, "must be a multiple of 65536 below 4294967296");
}

#[cfg(test)]
mod tests {
    use super::super::{broken, told};
    use super::*;
    use crate::config::{KubeletConfiguration, UserNamespaces};

    #[test]
    fn a_machine_with_cgroup_v1_needs_leave() {
        let old = Machine { cgroup_v2: false };
        let strict = KubeletConfiguration::default();
        let told: Vec<String> = broken(&strict, old).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["failCgroupV1: true: must be false on a machine with cgroup v1"]);
        let lenient = KubeletConfiguration { fail_cgroup_v1: false, ..strict };
        assert_eq!(broken(&lenient, old), []);
    }

    #[test]
    fn each_rule_names_field_value_and_rule() {
        type Change = fn(&mut KubeletConfiguration);
        let cases: &[(Change, &str)] = &[
            (|c| c.oom_score_adj = -1001, "oomScoreAdj: -1001: must be between -1000 and 1000"),
            (|c| c.iptables_drop_bit = 32, "iptablesDropBit: 32: must be between 0 and 31"),
            (
                |c| c.cpu_cfs_quota_period = GoDuration::seconds(2),
                "cpuCFSQuotaPeriod: 2s: must be between 1ms and 1s",
            ),
            (
                |c| c.memory_throttling_factor = 0.0,
                "memoryThrottlingFactor: 0: must be greater than 0 and at most 1",
            ),
            (
                |c| c.memory_reservation_policy = MemoryReservationPolicy::TieredReservation,
                "memoryReservationPolicy: TieredReservation: needs the feature gate MemoryQoS",
            ),
            (
                |c| c.user_namespaces = Some(UserNamespaces { ids_per_pod: 1000 }),
                "userNamespaces.idsPerPod: 1000: must be a multiple of 65536 below 4294967296",
            ),
        ];
        for (change, expected) in cases {
            assert_eq!(told(*change), [*expected]);
        }
    }
}
