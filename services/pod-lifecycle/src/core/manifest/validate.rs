//! What the API server would refuse in a pod, as far as it can hurt or confuse a node.
//!
//! The first fault ends the look. Rules that only the API server can check (quota, priority classes)
//! are not here; sentences are our own.

mod amounts;
mod containers;
mod names;
mod security;
mod volumes;

use super::Refusal;
use crate::core::spec;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use std::{fmt::Display, net::IpAddr};

pub(super) use volumes::has_source;

/// Refuses a field.
fn refuse<T>(field: impl Display, why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { field: field.to_string(), why: why.into() })
}

/// Refuses a field unless a rule holds.
fn hold(holds: bool, field: impl Display, why: &str) -> Result<(), Refusal> {
    if holds { Ok(()) } else { refuse(field, why) }
}

/// Refuses a field whose value is not one of these; no value is fine.
fn one_of(value: Option<&str>, allowed: &[&str], field: impl Display) -> Result<(), Refusal> {
    match value {
        Some(value) if !allowed.contains(&value) => {
            refuse(field, format!("{value:.80?} is none of {}", allowed.join(", ")))
        }
        _ => Ok(()),
    }
}

/// Checks a defaulted pod with its name and UID.
pub(super) fn check(pod: &Pod) -> Result<(), Refusal> {
    metadata(pod)?;
    let spec = spec::of(pod);
    pod_spec(spec)?;
    network(spec)?;
    scheduling(spec)?;
    security::pod(spec)?;
    volumes::check(spec)?;
    containers::check(spec)
}

fn metadata(pod: &Pod) -> Result<(), Refusal> {
    let meta = &pod.metadata;
    names::subdomain(meta.name.as_deref().unwrap_or_default(), "metadata.name")?;
    names::label(meta.namespace.as_deref().unwrap_or_default(), "metadata.namespace")?;
    names::labels(meta.labels.as_ref(), "metadata.labels")?;
    names::annotations(meta.annotations.as_ref(), "metadata.annotations")
}

fn pod_spec(spec: &PodSpec) -> Result<(), Refusal> {
    one_of(spec.restart_policy.as_deref(), &["Always", "OnFailure", "Never"], "spec.restartPolicy")?;
    let grace = spec.termination_grace_period_seconds.unwrap_or(0);
    hold(grace >= 0, "spec.terminationGracePeriodSeconds", "must not be negative")?;
    let deadline = spec.active_deadline_seconds.unwrap_or(1);
    let most = i64::from(i32::MAX);
    hold((1..=most).contains(&deadline), "spec.activeDeadlineSeconds", "must be between 1 and 2147483647")?;
    hold(
        spec.ephemeral_containers.is_none(),
        "spec.ephemeralContainers",
        "can only be added to a running pod",
    )?;
    let os = spec.os.as_ref().map(|os| os.name.as_str());
    one_of(os, &["linux", "windows"], "spec.os.name")?;
    amounts::amounts(spec.overhead.as_ref(), "spec.overhead")?;
    let resources = spec.resources.as_ref();
    resources.map_or(Ok(()), |resources| containers::resources(resources, "spec.resources"))
}

fn network(spec: &PodSpec) -> Result<(), Refusal> {
    for (name, field) in [(&spec.hostname, "spec.hostname"), (&spec.subdomain, "spec.subdomain")] {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            names::label(name, field)?;
        }
    }
    let policies = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
    one_of(spec.dns_policy.as_deref(), &policies, "spec.dnsPolicy")?;
    let servers =
        spec.dns_config.as_ref().map_or(&[][..], |config| config.nameservers.as_deref().unwrap_or(&[]));
    let has_servers = spec.dns_policy.as_deref() != Some("None") || !servers.is_empty();
    hold(has_servers, "spec.dnsConfig.nameservers", "dnsPolicy None needs at least one name server")?;
    hold(servers.len() <= 3, "spec.dnsConfig.nameservers", "at most three name servers are used")?;
    for (index, server) in servers.iter().enumerate() {
        address(server, format!("spec.dnsConfig.nameservers[{index}]"))?;
    }
    for (index, alias) in spec.host_aliases.iter().flatten().enumerate() {
        address(&alias.ip, format!("spec.hostAliases[{index}].ip"))?;
        for name in alias.hostnames.iter().flatten() {
            names::subdomain(name, format!("spec.hostAliases[{index}].hostnames"))?;
        }
    }
    Ok(())
}

fn address(text: &str, field: String) -> Result<(), Refusal> {
    hold(text.parse::<IpAddr>().is_ok(), field, "is not an IP address")
}

fn scheduling(spec: &PodSpec) -> Result<(), Refusal> {
    names::labels(spec.node_selector.as_ref(), "spec.nodeSelector")?;
    for (index, toleration) in spec.tolerations.iter().flatten().enumerate() {
        let at = format!("spec.tolerations[{index}]");
        let (operator, key) = (toleration.operator.as_deref(), toleration.key.as_deref().unwrap_or_default());
        one_of(operator, &["Exists", "Equal", "Lt", "Gt", ""], format!("{at}.operator"))?;
        let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute", ""];
        one_of(toleration.effect.as_deref(), &effects, format!("{at}.effect"))?;
        hold(
            !key.is_empty() || operator == Some("Exists"),
            &at,
            "without a key the operator must be Exists",
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::PodBuilder;
    use serde_json::{Value, json};

    /// The field that is refused in a pod whose spec is changed by this patch; empty when none is.
    pub(super) fn refused(patch: Value) -> String {
        let mut pod = serde_json::to_value(PodBuilder::new().container("app").build()).unwrap();
        let spec = pod["spec"].as_object_mut().unwrap();
        spec.extend(patch.as_object().unwrap().clone());
        let pod: Pod = serde_json::from_value(pod).unwrap();
        check(&pod).err().map_or_else(String::new, |refusal| refusal.field)
    }

    #[test]
    fn a_plain_pod_is_fine() {
        assert_eq!(refused(json!({})), "");
    }

    #[test]
    fn pod_level_fields_are_checked() {
        let cases = [
            ("an unknown restart policy", json!({"restartPolicy": "Sometimes"}), "spec.restartPolicy"),
            (
                "a negative grace",
                json!({"terminationGracePeriodSeconds": -1}),
                "spec.terminationGracePeriodSeconds",
            ),
            ("no deadline at all", json!({"activeDeadlineSeconds": 0}), "spec.activeDeadlineSeconds"),
            ("an unknown DNS policy", json!({"dnsPolicy": "Mine"}), "spec.dnsPolicy"),
            (
                "no name server where one is needed",
                json!({"dnsPolicy": "None"}),
                "spec.dnsConfig.nameservers",
            ),
            (
                "a name server that is a name",
                json!({"dnsConfig": {"nameservers": ["dns.example"]}}),
                "spec.dnsConfig.nameservers[0]",
            ),
            ("a host name with a slash", json!({"hostname": "a/b"}), "spec.hostname"),
            (
                "a host alias without an address",
                json!({"hostAliases": [{"ip": "x"}]}),
                "spec.hostAliases[0].ip",
            ),
            ("a selector that is no label", json!({"nodeSelector": {"a b": "c"}}), "spec.nodeSelector"),
            (
                "a toleration of nothing",
                json!({"tolerations": [{"operator": "Equal"}]}),
                "spec.tolerations[0]",
            ),
            ("ephemeral containers", json!({"ephemeralContainers": []}), "spec.ephemeralContainers"),
            ("an overhead that is no amount", json!({"overhead": {"cpu": "much"}}), "spec.overhead[cpu]"),
        ];
        for (sentence, patch, field) in cases {
            assert_eq!(refused(patch), field, "{sentence}");
        }
    }

    #[test]
    fn metadata_is_checked() {
        let long = "x".repeat(300 * 1024);
        let cases = [
            ("a dot-dot namespace", json!({"namespace": ".."}), "metadata.namespace"),
            ("a name in capitals", json!({"name": "Web"}), "metadata.name"),
            ("a name that is too long", json!({"name": "x".repeat(254)}), "metadata.name"),
            ("a label with a space", json!({"labels": {"a": "b c"}}), "metadata.labels"),
            ("an annotation key with a space", json!({"annotations": {"a b": "c"}}), "metadata.annotations"),
            ("annotations beyond their bound", json!({"annotations": {"a": long}}), "metadata.annotations"),
        ];
        for (sentence, patch, field) in cases {
            let mut pod = serde_json::to_value(PodBuilder::new().container("app").build()).unwrap();
            pod["metadata"].as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
            let pod: Pod = serde_json::from_value(pod).unwrap();
            assert_eq!(check(&pod).expect_err(sentence).field, field, "{sentence}");
        }
    }
}
