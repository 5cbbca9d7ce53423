//! How big a volume in memory may grow, and on which pages it stands.

use super::downward::{Allocatable, NoValue, amount};
use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::api::resource::Quantity};
use messages::Amount;
use std::collections::BTreeSet;

/// The bytes of a tmpfs: the node's allocatable memory, less when the pod is limited to less, still
/// less when the volume is (`pkg/volume/emptydir`). `None`: as the kernel sees fit.
///
/// # Errors
/// When a quantity can't be read.
pub fn tmpfs_size(
    pod: &core::Pod,
    allocatable: &Allocatable,
    volume_limit: Option<&Quantity>,
) -> Result<Option<u64>, NoValue> {
    let node = amount(Some(allocatable), "memory")?;
    let of_volume = match volume_limit {
        Some(limit) => {
            Amount::try_from(limit).map_err(|bad| NoValue::Quantity("sizeLimit".to_owned(), bad))?
        }
        None => Amount::default(),
    };
    let bounds = [node, pod_limit(pod)?.unwrap_or_default(), of_volume];
    let least = bounds.into_iter().filter(|bound| *bound > Amount::default()).min();
    Ok(least.and_then(|bytes| u64::try_from(bytes.value()).ok()))
}

/// The memory limit of a pod as a whole: its own, or what its containers come to when every one of
/// them has one.
fn pod_limit(pod: &core::Pod) -> Result<Option<Amount>, NoValue> {
    let Some(spec) = &pod.spec else { return Ok(None) };
    let own = spec.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let overhead = amount(spec.overhead.as_ref(), "memory")?;
    let limit = match own.filter(|limits| limits.contains_key("memory")) {
        Some(limits) => Some(amount(Some(limits), "memory")?),
        None => sum_of_limits(spec)?,
    };
    Ok(limit.map(|limit| limit + overhead))
}

/// Sidecars run beside everything after them; other init containers run alone.
fn sum_of_limits(spec: &core::PodSpec) -> Result<Option<Amount>, NoValue> {
    let (mut sidecars, mut highest) = (Amount::default(), Amount::default());
    for container in spec.init_containers.iter().flatten() {
        let Some(limit) = memory_limit(container)? else { return Ok(None) };
        highest = highest.max(sidecars + limit);
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars = sidecars + limit;
        }
    }
    let mut sum = sidecars;
    for container in &spec.containers {
        let Some(limit) = memory_limit(container)? else { return Ok(None) };
        sum = sum + limit;
    }
    Ok(Some(sum.max(highest)))
}

fn memory_limit(container: &core::Container) -> Result<Option<Amount>, NoValue> {
    let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let limit = amount(limits, "memory")?;
    Ok((limit > Amount::default()).then_some(limit))
}

/// Why there are no huge pages for a volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPages {
    /// The pod asks for none, or for several sizes, and the medium does not say which.
    #[error("the pod must ask for exactly one size of huge pages, it asks for {0}")]
    Ambiguous(usize),
    /// The pod does not ask for that size.
    #[error("the pod asks for no huge pages of {0}")]
    NotAsked(String),
    /// The size can't be read.
    #[error("{0:?} is no size of huge pages")]
    BadSize(String),
}

/// The bytes of a page for a volume on huge pages: of the named size, or of the one that the
/// pod's containers ask for.
///
/// # Errors
/// When the pod does not ask for such pages.
pub fn page_size(pod: &core::Pod, named: Option<&str>) -> Result<u64, NoPages> {
    let asked = asked_pages(pod);
    let page = match named {
        Some(page) if asked.contains(page) => page,
        Some(page) => return Err(NoPages::NotAsked(page.to_owned())),
        None if asked.len() == 1 => asked.iter().next().copied().unwrap_or_default(),
        None => return Err(NoPages::Ambiguous(asked.len())),
    };
    let bytes = page.parse::<Amount>().ok().and_then(|size| u64::try_from(size.value()).ok());
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| NoPages::BadSize(page.to_owned()))
}

fn asked_pages(pod: &core::Pod) -> BTreeSet<&str> {
    let Some(spec) = &pod.spec else { return BTreeSet::new() };
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let of_containers = containers.filter_map(|container| container.resources.as_ref());
    let resources = of_containers.chain(spec.resources.as_ref());
    let lists = resources.flat_map(|resources| [&resources.requests, &resources.limits]);
    let names = lists.flatten().flat_map(|list| list.keys());
    names.filter_map(|name| name.strip_prefix("hugepages-")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: serde_json::Value) -> core::Pod {
        serde_json::from_value(serde_json::json!({ "metadata": {}, "spec": spec })).unwrap()
    }

    fn limited(limits: &[&str]) -> core::Pod {
        let container = |limit: &&str| {
            let resources = if limit.is_empty() {
                serde_json::json!({})
            } else {
                serde_json::json!({ "limits": { "memory": limit } })
            };
            serde_json::json!({ "name": "c", "resources": resources })
        };
        pod(serde_json::json!({ "containers": limits.iter().map(container).collect::<Vec<_>>() }))
    }

    #[test]
    fn the_least_bound_counts() {
        const MI: u64 = 1 << 20;
        let node = Allocatable::from([("memory".into(), Quantity("100Mi".into()))]);
        let cases = [
            ("nothing but the node", limited(&[""]), None, Some(100 * MI)),
            ("the pod's limits together", limited(&["10Mi", "20Mi"]), None, Some(30 * MI)),
            ("one container without a limit frees the pod", limited(&["10Mi", ""]), None, Some(100 * MI)),
            ("the volume's limit is less", limited(&["10Mi"]), Some("1Mi"), Some(MI)),
            ("the volume's limit is more", limited(&["10Mi"]), Some("50Mi"), Some(10 * MI)),
            ("a limit of nothing is none", limited(&[""]), Some("0"), Some(100 * MI)),
        ];
        for (name, pod, limit, want) in cases {
            let limit = limit.map(|limit: &str| Quantity(limit.into()));
            assert_eq!(tmpfs_size(&pod, &node, limit.as_ref()), Ok(want), "{name}");
        }
        assert_eq!(tmpfs_size(&limited(&[""]), &Allocatable::new(), None), Ok(None), "nobody says");
    }

    #[test]
    fn init_containers_and_sidecars_count_as_they_run() {
        let limit = |bytes: u64| serde_json::json!({ "limits": { "memory": bytes.to_string() } });
        let pod = pod(serde_json::json!({
            "initContainers": [
                { "name": "side", "restartPolicy": "Always", "resources": limit(5) },
                { "name": "init", "resources": limit(50) },
            ],
            "containers": [{ "name": "app", "resources": limit(20) }],
            "overhead": { "memory": "1" },
        }));
        assert_eq!(tmpfs_size(&pod, &Allocatable::new(), None), Ok(Some(56)));
    }

    #[test]
    fn huge_pages_must_be_asked_for() {
        let asks = |sizes: &[&str]| {
            let limits: serde_json::Map<_, _> =
                sizes.iter().map(|size| (format!("hugepages-{size}"), "4Mi".into())).collect();
            pod(serde_json::json!({ "containers": [{ "name": "c", "resources": { "limits": limits } }] }))
        };
        let cases = [
            ("the one size", asks(&["2Mi"]), None, Ok(2 << 20)),
            ("a named size", asks(&["2Mi", "1Gi"]), Some("1Gi"), Ok(1 << 30)),
            ("none", asks(&[]), None, Err(NoPages::Ambiguous(0))),
            ("two, unnamed", asks(&["2Mi", "1Gi"]), None, Err(NoPages::Ambiguous(2))),
            ("another size", asks(&["2Mi"]), Some("1Gi"), Err(NoPages::NotAsked("1Gi".into()))),
            ("no size", asks(&["big"]), None, Err(NoPages::BadSize("big".into()))),
        ];
        for (name, pod, page, want) in cases {
            assert_eq!(page_size(&pod, page), want, "{name}");
        }
    }
}
