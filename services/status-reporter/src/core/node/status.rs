//! Whether the API server's idea of the node's status differs from ours, and the patch that mends it.
//!
//! Both look at our own part alone: others write conditions, extended resources and attached volumes,
//! and a strategic merge leaves those alone.

use k8s_openapi::{
    api::core::v1::{NodeAddress, NodeCondition, NodeStatus},
    apimachinery::pkg::api::resource::Quantity,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Whether the accepted status says everything that ours does, conditions aside.
pub(crate) fn is_said(ours: &NodeStatus, accepted: &NodeStatus) -> bool {
    ours.addresses == accepted.addresses
        && contains(accepted.capacity.as_ref(), ours.capacity.as_ref())
        && contains(accepted.allocatable.as_ref(), ours.allocatable.as_ref())
        && ours.daemon_endpoints == accepted.daemon_endpoints
        && ours.node_info == accepted.node_info
        && list(&ours.images) == list(&accepted.images)
        && list(&ours.volumes_in_use) == list(&accepted.volumes_in_use)
        && (ours.runtime_handlers.is_none()
            || list(&ours.runtime_handlers) == list(&accepted.runtime_handlers))
        && (ours.features.is_none() || ours.features == accepted.features)
}

/// The strategic merge patch of the status subresource.
pub(crate) fn patch(ours: &NodeStatus, conditions: &[NodeCondition]) -> Value {
    let mut status = json!(ours);
    status["conditions"] = json!(conditions);
    status["addresses"] = replaced(ours.addresses.as_deref().unwrap_or_default());
    if ours.volumes_in_use.is_none() {
        status["volumesInUse"] = Value::Null;
    }
    json!({ "status": status })
}

/// Addresses are merged by their type, of which there may be two: without this the second of a kind
/// would overwrite the first.
fn replaced(addresses: &[NodeAddress]) -> Value {
    let directive = json!({ "$patch": "replace" });
    addresses.iter().map(|address| json!(address)).chain([directive]).collect()
}

fn contains(all: Option<&BTreeMap<String, Quantity>>, part: Option<&BTreeMap<String, Quantity>>) -> bool {
    let empty = BTreeMap::new();
    let (all, part) = (all.unwrap_or(&empty), part.unwrap_or(&empty));
    part.iter().all(|(name, amount)| all.get(name) == Some(amount))
}

/// An absent list is an empty one.
fn list<T>(items: &Option<Vec<T>>) -> &[T] {
    items.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::node::{
        compose::{self, Facts},
        fixtures::{config, machine, runtime},
    };

    fn ours() -> NodeStatus {
        let (config, machine, runtime) = (config(), machine(), runtime());
        let addresses = ["10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap()];
        compose::status(Facts {
            config: &config,
            machine: &machine,
            runtime: Some(&runtime),
            addresses: &addresses,
            in_use: &[],
        })
    }

    #[test]
    fn only_what_is_ours_makes_a_difference() {
        type Change = fn(&mut NodeStatus);
        let cases: &[(&str, Change, bool)] = &[
            ("nothing", |_| {}, true),
            (
                "somebody's extended resource",
                |status| {
                    status.capacity.as_mut().unwrap().insert("example.com/gpu".into(), Quantity("1".into()));
                },
                true,
            ),
            ("attached volumes are the controller's", |status| status.volumes_attached = Some(vec![]), true),
            ("an empty list instead of none", |status| status.volumes_in_use = Some(vec![]), true),
            (
                "a volume that is no longer used",
                |status| status.volumes_in_use = Some(vec!["v".into()]),
                false,
            ),
            (
                "less memory",
                |status| {
                    status.allocatable.as_mut().unwrap().insert("memory".into(), Quantity("1".into()));
                },
                false,
            ),
            ("another address", |status| status.addresses.as_mut().unwrap().truncate(1), false),
            ("another boot", |status| status.node_info.as_mut().unwrap().boot_id = "other".into(), false),
            ("fewer images", |status| status.images = None, false),
        ];
        for (name, change, said) in cases {
            let mut accepted = ours();
            change(&mut accepted);
            assert_eq!(is_said(&ours(), &accepted), *said, "{name}");
        }
    }

    #[test]
    fn a_patch_replaces_addresses_and_takes_back_what_is_over() {
        let patch = patch(&ours(), &[]);
        let addresses = patch["status"]["addresses"].as_array().unwrap();
        assert_eq!(addresses.len(), 4, "two internal ones, the name, and the directive");
        assert_eq!(addresses[3], json!({"$patch": "replace"}));
        assert_eq!(patch["status"]["volumesInUse"], Value::Null);
        assert!(patch["status"].as_object().unwrap().contains_key("volumesInUse"));
    }
}
