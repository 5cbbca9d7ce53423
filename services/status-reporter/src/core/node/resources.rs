//! Capacity and allocatable: what the machine has, and what of it pods may have
//! (`pkg/kubelet/cm/node_container_manager_linux.go`, `pkg/kubelet/nodestatus/setters.go`).

use crate::core::quantity;
use chassis::config::KubeletConfiguration;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use messages::{Amount, cri_bridge::Machine};
use std::collections::BTreeMap;

/// Amounts by resource name, as the node object has them.
pub(crate) type Resources = BTreeMap<String, Quantity>;

const CPU: &str = "cpu";
const MEMORY: &str = "memory";
const PODS: &str = "pods";
const EPHEMERAL_STORAGE: &str = "ephemeral-storage";
const HUGEPAGES: &str = "hugepages-";

/// What the machine has.
pub(crate) fn capacity(machine: &Machine, config: &KubeletConfiguration) -> Resources {
    of_amounts(amounts(machine, config))
}

/// What pods may have: the capacity less what is reserved and less the hard eviction thresholds. Huge
/// pages are memory that ordinary pages cannot have.
pub(crate) fn allocatable(machine: &Machine, config: &KubeletConfiguration) -> Resources {
    let mut left = amounts(machine, config);
    for (name, amount) in &mut left {
        let taken = reserved(config, name) + evicted_at(config, machine, name);
        *amount = (*amount - taken).max(Amount::default());
    }
    let huge: Amount = machine.hugepages.values().map(|bytes| whole(*bytes)).sum();
    if let Some(memory) = left.get_mut(MEMORY) {
        *memory = (*memory - huge).max(Amount::default());
    }
    of_amounts(left)
}

fn amounts(machine: &Machine, config: &KubeletConfiguration) -> BTreeMap<String, Amount> {
    let mut amounts = BTreeMap::from([
        (CPU.to_owned(), Amount::whole(i64::from(machine.cpus))),
        (MEMORY.to_owned(), whole(machine.memory)),
        (PODS.to_owned(), Amount::whole(most_pods(machine.cpus, config))),
    ]);
    if config.local_storage_capacity_isolation {
        amounts.insert(EPHEMERAL_STORAGE.to_owned(), whole(machine.nodefs.capacity));
    }
    let pages = machine.hugepages.iter();
    amounts.extend(pages.map(|(size, bytes)| (format!("{HUGEPAGES}{size}"), whole(*bytes))));
    amounts
}

fn most_pods(cpus: u32, config: &KubeletConfiguration) -> i64 {
    let by_cpu = i64::from(cpus) * i64::from(config.pods_per_core);
    let most = i64::from(config.max_pods);
    if config.pods_per_core > 0 { by_cpu.min(most) } else { most }
}

/// The sum of what the system and the node agents get. Texts were checked when the configuration was
/// loaded.
fn reserved(config: &KubeletConfiguration, name: &str) -> Amount {
    let of = |reserved: &BTreeMap<String, String>| -> Amount {
        reserved.get(name).and_then(|text| text.parse().ok()).unwrap_or_default()
    };
    let mut reserved = of(&config.system_reserved) + of(&config.kube_reserved);
    if name == CPU && !config.reserved_system_cpus.is_empty() {
        reserved = Amount::whole(cpus_in(&config.reserved_system_cpus));
    }
    reserved
}

/// How many CPUs a list such as `0-3,8` names. It takes the place of what is reserved otherwise.
fn cpus_in(list: &str) -> i64 {
    let range = |part: &str| -> Option<i64> {
        let (first, last) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
        let (first, last): (i64, i64) = (first.parse().ok()?, last.parse().ok()?);
        Some((last - first + 1).max(0))
    };
    list.split(',').filter_map(range).sum()
}

/// What must stay free of a resource, or pods are evicted at once.
fn evicted_at(config: &KubeletConfiguration, machine: &Machine, name: &str) -> Amount {
    let (signal, capacity) = match name {
        MEMORY => ("memory.available", machine.memory),
        EPHEMERAL_STORAGE => ("nodefs.available", machine.nodefs.capacity),
        _ => return Amount::default(),
    };
    config.eviction_hard.get(signal).map(|threshold| of_threshold(threshold, capacity)).unwrap_or_default()
}

/// A threshold is an amount or a percentage of the capacity.
pub(crate) fn of_threshold(threshold: &str, capacity: u64) -> Amount {
    match threshold.strip_suffix('%') {
        // In floating point like upstream, so that the result is the same to the byte.
        Some(percent) => {
            whole((capacity as f64 * f64::from(percent.parse::<f32>().unwrap_or_default() / 100.0)) as u64)
        }
        None => threshold.parse().unwrap_or_default(),
    }
}

fn whole(amount: u64) -> Amount {
    Amount::whole(i64::try_from(amount).unwrap_or(i64::MAX))
}

fn of_amounts(amounts: BTreeMap<String, Amount>) -> Resources {
    let written = |(name, amount): (String, Amount)| {
        let quantity = match name.as_str() {
            CPU => quantity::milli(amount.milli_value()),
            PODS => quantity::count(amount.value()),
            _ => quantity::bytes(amount.value()),
        };
        (name, quantity)
    };
    amounts.into_iter().map(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::cri_bridge::Filesystem;

    const GIB: u64 = 1 << 30;

    fn machine() -> Machine {
        Machine {
            cpus: 4,
            memory: 16 * GIB,
            swap: 0,
            hugepages: BTreeMap::from([("2Mi".to_owned(), 0)]),
            nodefs: Filesystem { capacity: 100 * GIB, ..Filesystem::default() },
            machine_id: String::new(),
            system_uuid: String::new(),
            boot_id: String::new(),
            kernel_version: String::new(),
            os_image: String::new(),
            cgroup_version: 2,
            images: Vec::new(),
        }
    }

    fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn capacity_is_what_the_machine_has() {
        let capacity = capacity(&machine(), &KubeletConfiguration::default());
        let told: Vec<_> =
            capacity.iter().map(|(name, quantity)| (name.as_str(), quantity.0.as_str())).collect();
        let want = [
            ("cpu", "4"),
            ("ephemeral-storage", "100Gi"),
            ("hugepages-2Mi", "0"),
            ("memory", "16Gi"),
            ("pods", "110"),
        ];
        assert_eq!(told, want);
    }

    #[test]
    fn allocatable_is_what_is_left_for_pods() {
        type Change = fn(&mut KubeletConfiguration, &mut Machine);
        let cases: &[(&str, Change, &str, &str)] = &[
            ("by default a hundred mebibytes of memory are kept", |_, _| {}, "memory", "16284Mi"),
            (
                "and a tenth of the disk, to the byte as upstream rounds it",
                |_, _| {},
                "ephemeral-storage",
                "96636764000",
            ),
            ("CPUs are not", |_, _| {}, "cpu", "4"),
            (
                "the system and the node agents both take",
                |config, _| {
                    config.system_reserved = texts(&[("cpu", "100m"), ("memory", "1Gi")]);
                    config.kube_reserved = texts(&[("cpu", "50m"), ("memory", "1Gi")]);
                },
                "cpu",
                "3850m",
            ),
            (
                "of memory too",
                |config, _| {
                    config.system_reserved = texts(&[("memory", "1Gi")]);
                    config.kube_reserved = texts(&[("memory", "1Gi")]);
                },
                "memory",
                "14236Mi",
            ),
            (
                "a list of CPUs goes before amounts",
                |config, _| {
                    config.system_reserved = texts(&[("cpu", "100m")]);
                    config.reserved_system_cpus = "0-1,3".into();
                },
                "cpu",
                "1",
            ),
            (
                "huge pages are taken out of memory",
                |_, machine| {
                    machine.hugepages.insert("1Gi".into(), 2 * GIB);
                },
                "memory",
                "14236Mi",
            ),
            (
                "and are there for pods",
                |_, machine| {
                    machine.hugepages.insert("1Gi".into(), 2 * GIB);
                },
                "hugepages-1Gi",
                "2Gi",
            ),
            (
                "a percentage of memory",
                |config, _| config.eviction_hard = texts(&[("memory.available", "50%")]),
                "memory",
                "8Gi",
            ),
            ("no threshold, nothing kept", |config, _| config.eviction_hard = texts(&[]), "memory", "16Gi"),
            (
                "more than there is leaves nothing",
                |config, _| config.kube_reserved = texts(&[("memory", "1Ti")]),
                "memory",
                "0",
            ),
            ("pods by CPU", |config, _| config.pods_per_core = 10, "pods", "40"),
            ("but not more than the most", |config, _| config.pods_per_core = 100, "pods", "110"),
        ];
        for (name, change, resource, want) in cases {
            let (mut config, mut machine) = (KubeletConfiguration::default(), machine());
            change(&mut config, &mut machine);
            assert_eq!(allocatable(&machine, &config)[*resource].0, *want, "{name}");
        }
    }

    #[test]
    fn local_storage_that_is_not_isolated_is_not_counted() {
        let config = KubeletConfiguration {
            local_storage_capacity_isolation: false,
            ..KubeletConfiguration::default()
        };
        assert!(!capacity(&machine(), &config).contains_key("ephemeral-storage"));
    }
}
