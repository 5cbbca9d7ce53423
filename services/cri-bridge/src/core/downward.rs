//! The downward API as environment variables: `fieldRef` and `resourceFieldRef`.

use super::{resources::Amounts, spec};
use k8s_openapi::api::core::v1 as core;
use messages::{Amount, BadAmount};
use std::{collections::BTreeMap, net::IpAddr};

/// Why a reference has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReference {
    /// `apiVersion` is not `v1`.
    #[error("unsupported pod version: {0}")]
    Version(String),
    /// No such field, or none that may be asked for.
    #[error("field label not supported: {0}")]
    Field(String),
    /// `metadata.labels` and `metadata.annotations` alone have keys.
    #[error("field label does not support subscript: {0}")]
    Subscript(String),
    /// No such resource.
    #[error("unsupported container resource : {0}")]
    Resource(String),
    /// `containerName` names none of the pod's.
    #[error("container {0} not found")]
    Container(String),
    /// A limit, request or divisor is no quantity.
    #[error(transparent)]
    Amount(#[from] BadAmount),
}

/// What the references are resolved with, besides the pod.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'f> {
    /// The pod's addresses, primary first; the node's for a pod in the host's network.
    pub pod_ips: &'f [IpAddr],
    /// The node's addresses, primary first.
    pub node_ips: &'f [IpAddr],
    /// What a missing limit stands for.
    pub allocatable: &'f Amounts,
}

/// The value of a `fieldRef`.
///
/// # Errors
/// When the field is none that may be asked for.
pub fn field(
    reference: &core::ObjectFieldSelector,
    pod: &core::Pod,
    facts: Facts,
) -> Result<String, BadReference> {
    match reference.api_version.as_deref() {
        None | Some("" | "v1") => {}
        Some(other) => return Err(BadReference::Version(other.to_owned())),
    }
    let path = reference.field_path.as_str();
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        return subscripted(map, key, pod);
    }
    let spec = spec::of(pod);
    let first = |ips: &[IpAddr]| ips.first().map(IpAddr::to_string).unwrap_or_default();
    Ok(match path {
        "metadata.name" => spec::name(pod).to_owned(),
        "metadata.namespace" => spec::namespace(pod).to_owned(),
        "metadata.uid" => spec::uid(pod).to_owned(),
        "metadata.labels" => lines(pod.metadata.labels.as_ref()),
        "metadata.annotations" => lines(pod.metadata.annotations.as_ref()),
        "spec.nodeName" | "spec.host" => spec.node_name.clone().unwrap_or_default(),
        "spec.serviceAccountName" => spec.service_account_name.clone().unwrap_or_default(),
        "status.hostIP" => first(facts.node_ips),
        "status.hostIPs" => joined(facts.node_ips),
        "status.podIP" => first(facts.pod_ips),
        "status.podIPs" => joined(facts.pod_ips),
        _ => return Err(BadReference::Field(path.to_owned())),
    })
}

fn subscripted(map: &str, key: &str, pod: &core::Pod) -> Result<String, BadReference> {
    let map = match map {
        "metadata.labels" => &pod.metadata.labels,
        "metadata.annotations" => &pod.metadata.annotations,
        _ => return Err(BadReference::Subscript(format!("{map}['{key}']"))),
    };
    Ok(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default())
}

fn joined(ips: &[IpAddr]) -> String {
    ips.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",")
}

/// `key="value"` lines in the order of keys, values quoted.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let line = |(key, value): (&String, &String)| format!("{key}={value:?}");
    map.into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}

/// The value of a `resourceFieldRef`: the amount in units of the divisor, rounded up.
///
/// # Errors
/// When there is no such resource or container, or a number cannot be read.
pub fn resource(
    reference: &core::ResourceFieldSelector,
    pod: &core::Pod,
    own: &core::Container,
    facts: Facts,
) -> Result<String, BadReference> {
    let unknown = || BadReference::Resource(reference.resource.clone());
    let (list, name) = reference.resource.split_once('.').ok_or_else(unknown)?;
    let known = matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    if !known {
        return Err(unknown());
    }
    let container = named(reference, pod, own)?;
    let written = container.resources.as_ref();
    let amount = match list {
        "limits" => limit(written.and_then(|r| r.limits.as_ref()), name, pod, facts)?,
        "requests" => written_amount(written.and_then(|r| r.requests.as_ref()), name)?,
        _ => return Err(unknown()),
    };
    let divisor = reference.divisor.as_ref().map(Amount::try_from).transpose()?;
    let divisor = divisor.filter(|divisor| !divisor.is_zero()).unwrap_or(Amount::whole(1));
    Ok(in_units(name, amount, divisor).to_string())
}

fn named<'p>(
    reference: &core::ResourceFieldSelector,
    pod: &'p core::Pod,
    own: &'p core::Container,
) -> Result<&'p core::Container, BadReference> {
    let Some(name) = reference.container_name.as_deref().filter(|name| !name.is_empty()) else {
        return Ok(own);
    };
    let spec = pod.spec.as_ref();
    let init = spec.into_iter().flat_map(spec::init_containers);
    let all = spec.into_iter().flat_map(|spec| &spec.containers).chain(init);
    let mut of_name = all.filter(|container| container.name == name);
    of_name.next().ok_or_else(|| BadReference::Container(name.to_owned()))
}

type Written = BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>;

fn written_amount(list: Option<&Written>, name: &str) -> Result<Amount, BadAmount> {
    list.and_then(|list| list.get(name)).map_or(Ok(Amount::default()), Amount::try_from)
}

/// A container's limit; without one the pod's (cpu and memory); without that what the node can
/// give. Huge pages are never overcommitted and so have no such default.
fn limit(list: Option<&Written>, name: &str, pod: &core::Pod, facts: Facts) -> Result<Amount, BadAmount> {
    let own = written_amount(list, name)?;
    if !own.is_zero() || name.starts_with("hugepages-") {
        return Ok(own);
    }
    let pod = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.limits.as_ref());
    let of_pod = written_amount(pod.filter(|_| name != "ephemeral-storage"), name)?;
    if of_pod.is_zero() {
        return Ok(facts.allocatable.get(name).copied().unwrap_or_default());
    }
    Ok(of_pod)
}

/// CPU is divided by thousandths, everything else by whole ones.
fn in_units(name: &str, amount: Amount, divisor: Amount) -> i64 {
    let (amount, divisor) = if name == "cpu" {
        (amount.milli_value(), divisor.milli_value())
    } else {
        (amount.value(), divisor.value())
    };
    let divisor = divisor.max(1);
    amount / divisor + i64::from(amount % divisor > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> core::Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "u-1",
                         "labels": {"b": "2", "a": "say \"1\""}, "annotations": {"x/y": "z"}},
            "spec": {
                "nodeName": "n1", "serviceAccountName": "robot",
                "containers": [
                    {"name": "app", "resources": {"limits": {"memory": "100Mi"}, "requests": {"cpu": "250m"}}},
                    {"name": "side", "resources": {"limits": {"cpu": "1500m", "hugepages-2Mi": "4Mi"}}},
                ],
            },
        }))
        .unwrap()
    }

    fn resolve(source: serde_json::Value) -> Result<String, BadReference> {
        let pod = pod();
        let ips = |ips: &[&str]| ips.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        let (pod_ips, node_ips) = (ips(&["10.1.0.5", "fd00::5"]), ips(&["192.168.0.4"]));
        let allocatable = [("cpu", 2), ("memory", 1 << 30), ("ephemeral-storage", 7)];
        let allocatable = allocatable.map(|(name, ones)| (name.to_owned(), Amount::whole(ones))).into();
        let facts = Facts { pod_ips: &pod_ips, node_ips: &node_ips, allocatable: &allocatable };
        if source.get("fieldPath").is_some() {
            return field(&serde_json::from_value(source).unwrap(), &pod, facts);
        }
        let app = &pod.spec.as_ref().unwrap().containers[0];
        resource(&serde_json::from_value(source).unwrap(), &pod, app, facts)
    }

    #[test]
    fn fields_of_the_pod() {
        let cases = [
            ("metadata.name", "web"),
            ("metadata.namespace", "shop"),
            ("metadata.uid", "u-1"),
            ("metadata.labels['b']", "2"),
            ("metadata.labels['none']", ""),
            ("metadata.annotations['x/y']", "z"),
            ("metadata.labels", "a=\"say \\\"1\\\"\"\nb=\"2\""),
            ("spec.nodeName", "n1"),
            ("spec.serviceAccountName", "robot"),
            ("status.podIP", "10.1.0.5"),
            ("status.podIPs", "10.1.0.5,fd00::5"),
            ("status.hostIP", "192.168.0.4"),
            ("status.hostIPs", "192.168.0.4"),
        ];
        for (path, want) in cases {
            assert_eq!(resolve(json!({"fieldPath": path})).as_deref(), Ok(want), "{path}");
        }
    }

    #[test]
    fn resources_in_units_of_the_divisor() {
        let cases = [
            ("a limit of one's own", json!({"resource": "limits.memory"}), "104857600"),
            ("divided and rounded up", json!({"resource": "limits.memory", "divisor": "64Mi"}), "2"),
            ("a missing limit is what the node can give", json!({"resource": "limits.cpu"}), "2"),
            ("in thousandths", json!({"resource": "requests.cpu", "divisor": "1m"}), "250"),
            ("a quarter of a core is one core, rounded up", json!({"resource": "requests.cpu"}), "1"),
            ("a missing request is nothing", json!({"resource": "requests.memory"}), "0"),
            (
                "a divisor of nothing is one",
                json!({"resource": "limits.memory", "divisor": "0"}),
                "104857600",
            ),
            ("another container's", json!({"resource": "limits.cpu", "containerName": "side"}), "2"),
            ("huge pages", json!({"resource": "limits.hugepages-2Mi", "containerName": "side"}), "4194304"),
            ("huge pages default to none", json!({"resource": "limits.hugepages-2Mi"}), "0"),
            ("ephemeral storage", json!({"resource": "limits.ephemeral-storage"}), "7"),
        ];
        for (sentence, source, want) in cases {
            assert_eq!(resolve(source).as_deref(), Ok(want), "{sentence}");
        }
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused_by_name() {
        let cases = [
            (json!({"fieldPath": "spec.containers"}), "field label not supported: spec.containers"),
            (
                json!({"fieldPath": "metadata.name['a']"}),
                "field label does not support subscript: metadata.name['a']",
            ),
            (json!({"fieldPath": "metadata.name", "apiVersion": "v2"}), "unsupported pod version: v2"),
            (json!({"resource": "limits.gpu"}), "unsupported container resource : limits.gpu"),
            (json!({"resource": "claims.cpu"}), "unsupported container resource : claims.cpu"),
            (json!({"resource": "limits.cpu", "containerName": "no"}), "container no not found"),
            (
                json!({"resource": "limits.cpu", "divisor": "x"}),
                "\"x\" is not a quantity such as 500m, 2 or 1Gi",
            ),
        ];
        for (source, want) in cases {
            assert_eq!(resolve(source).unwrap_err().to_string(), want);
        }
    }
}
