//! Rules on what pods do not get: reserved resources, and where that is enforced.

use super::{Check, amount};
use crate::config::{AllocatableEnforcement as Level, kubelet::Texts};
use messages::Amount;
use std::collections::BTreeSet;

pub(super) fn check(check: &mut Check) {
    let c = check.configuration;
    reserved(check, "systemReserved", &c.system_reserved);
    reserved(check, "kubeReserved", &c.kube_reserved);
    levels(check);
    cpus(check);
    memory(check);
    for (resource, share) in &c.qos_reserved {
        let percent = share.strip_suffix('%').and_then(|share| share.parse::<u8>().ok());
        let fine = resource == "memory" && percent.is_some_and(|percent| percent <= 100);
        check.must(fine, &format!("qosReserved.{resource}"), share, "must be memory and a percentage");
    }
    let needs_root = !c.system_cgroups.is_empty() && c.cgroup_root.is_empty();
    check.must(!needs_root, "systemCgroups", &c.system_cgroups, "needs cgroupRoot");
}

fn reserved(check: &mut Check, name: &str, resources: &Texts) {
    const KNOWN: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "pid"];
    for (resource, quantity) in resources {
        let field = format!("{name}.{resource}");
        let rule = "only cpu, memory, ephemeral-storage and pid can be reserved";
        check.must(KNOWN.contains(&resource.as_str()), &field, quantity, rule);
        let fine = amount(quantity).is_some_and(|amount| amount >= Amount::default());
        check.must(fine, &field, quantity, "must be a quantity that is not negative");
    }
}

fn levels(check: &mut Check) {
    const FIELD: &str = "enforceNodeAllocatable";
    let c = check.configuration;
    let levels: BTreeSet<&str> = c.enforce_node_allocatable.iter().map(|level| level.word()).collect();
    let has = |level: Level| levels.contains(level.word());
    check.must(levels.len() == c.enforce_node_allocatable.len(), FIELD, "a level", "must not stand twice");
    for (whole, part) in [
        (Level::SystemReserved, Level::SystemReservedCompressible),
        (Level::KubeReserved, Level::KubeReservedCompressible),
    ] {
        check.must(!(has(whole) && has(part)), FIELD, part, &format!("must not stand beside {whole}"));
    }
    if has(Level::None) {
        check.must(levels.len() == 1, FIELD, Level::None, "must stand alone");
    } else {
        let rule = "must be true unless enforceNodeAllocatable is [none] or empty";
        check.must(levels.is_empty() || c.cgroups_per_qos, "cgroupsPerQOS", c.cgroups_per_qos, rule);
    }
    let system = has(Level::SystemReserved) || has(Level::SystemReservedCompressible);
    check.must(
        !system || !c.system_reserved_cgroup.is_empty(),
        FIELD,
        Level::SystemReserved,
        "needs systemReservedCgroup",
    );
    let kube = has(Level::KubeReserved) || has(Level::KubeReservedCompressible);
    check.must(
        !kube || !c.kube_reserved_cgroup.is_empty(),
        FIELD,
        Level::KubeReserved,
        "needs kubeReservedCgroup",
    );
}

fn cpus(check: &mut Check) {
    let c = check.configuration;
    let list = &c.reserved_system_cpus;
    let alone = c.system_reserved_cgroup.is_empty() && c.kube_reserved_cgroup.is_empty();
    let rule = "must not be set beside systemReservedCgroup or kubeReservedCgroup";
    check.must(list.is_empty() || alone, "reservedSystemCPUs", list, rule);
    check.must(is_cpu_list(list), "reservedSystemCPUs", list, "must be a CPU list such as 0,2-3");
}

/// `0,2-3`, or nothing.
fn is_cpu_list(list: &str) -> bool {
    let is_range = |range: &str| match range.split_once('-') {
        None => range.parse::<u32>().is_ok(),
        Some((first, last)) => match (first.parse::<u32>(), last.parse::<u32>()) {
            (Ok(first), Ok(last)) => first <= last,
            _ => false,
        },
    };
    list.is_empty() || list.split(',').all(is_range)
}

fn memory(check: &mut Check) {
    let mut seen = BTreeSet::new();
    for (at, reservation) in check.configuration.reserved_memory.iter().enumerate() {
        for (kind, quantity) in &reservation.limits {
            let field = format!("reservedMemory[{at}].limits.{kind}");
            let known = kind == "memory" || kind.starts_with("hugepages-");
            check.must(known, &field, kind, "must be memory or hugepages-<size>");
            let positive = amount(quantity).is_some_and(|amount| amount > Amount::default());
            check.must(positive, &field, quantity, "must be a positive quantity");
            let first = seen.insert((reservation.numa_node, kind.clone()));
            check.must(first, &field, reservation.numa_node, "the NUMA node has it already");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::told, *};
    use crate::config::KubeletConfiguration;

    type Change = fn(&mut KubeletConfiguration);

    #[test]
    fn each_rule_names_field_value_and_rule() {
        let cases: &[(Change, &str)] = &[
            (
                |c| c.system_reserved = Texts::from([("gpu".into(), "1".into())]),
                "systemReserved.gpu: 1: only cpu, memory, ephemeral-storage and pid can be reserved",
            ),
            (
                |c| c.kube_reserved = Texts::from([("cpu".into(), "-1".into())]),
                "kubeReserved.cpu: -1: must be a quantity that is not negative",
            ),
            (
                |c| c.enforce_node_allocatable = vec![Level::None, Level::Pods],
                "enforceNodeAllocatable: none: must stand alone",
            ),
            (
                |c| c.enforce_node_allocatable = vec![Level::Pods, Level::KubeReserved],
                "enforceNodeAllocatable: kube-reserved: needs kubeReservedCgroup",
            ),
            (
                |c| c.cgroups_per_qos = false,
                "cgroupsPerQOS: false: must be true unless enforceNodeAllocatable is [none] or empty",
            ),
            (|c| c.system_cgroups = "/system".into(), "systemCgroups: /system: needs cgroupRoot"),
            (
                |c| c.reserved_system_cpus = "3-1".into(),
                "reservedSystemCPUs: 3-1: must be a CPU list such as 0,2-3",
            ),
        ];
        for (change, expected) in cases {
            assert_eq!(told(*change), [*expected]);
        }
    }
}
