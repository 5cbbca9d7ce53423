//! Whether the pod that is to be given secrets is the one that the API server bound to this node.
//!
//! The spec reaches this service over the bus. Before anything is fetched in its name for the
//! first time, the parts that decide what it may be given are compared with the API's own copy.

use k8s_openapi::api::core::v1 as core;

/// The first difference that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another pod of the same name.
    #[error("the API server knows another pod of this name")]
    Uid,
    /// Bound elsewhere.
    #[error("the API server has bound the pod to another node")]
    Node,
    /// Another service account.
    #[error("the API server knows another service account for the pod")]
    ServiceAccount,
    /// Other volumes.
    #[error("the API server knows other volumes for the pod")]
    Volumes,
}

/// Compares a pod with the API's copy.
///
/// # Errors
/// With the first difference.
pub fn compare(ours: &core::Pod, theirs: &core::Pod) -> Result<(), Mismatch> {
    let (our_spec, their_spec) = (ours.spec.as_ref(), theirs.spec.as_ref());
    let same = |part: fn(&core::PodSpec) -> &Option<String>| our_spec.map(part) == their_spec.map(part);
    if ours.metadata.uid != theirs.metadata.uid {
        Err(Mismatch::Uid)
    } else if !same(|spec| &spec.node_name) {
        Err(Mismatch::Node)
    } else if !same(|spec| &spec.service_account_name) {
        Err(Mismatch::ServiceAccount)
    } else if our_spec.map(volumes) != their_spec.map(volumes) {
        Err(Mismatch::Volumes)
    } else {
        Ok(())
    }
}

fn volumes(spec: &core::PodSpec) -> &[core::Volume] {
    spec.volumes.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str, node: &str, account: &str, secret: &str) -> core::Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": { "uid": uid },
            "spec": {
                "containers": [], "nodeName": node, "serviceAccountName": account,
                "volumes": [{ "name": "v", "secret": { "secretName": secret } }],
            },
        }))
        .unwrap()
    }

    #[test]
    fn only_the_same_pod_passes() {
        let ours = pod("u", "n", "default", "s");
        let cases = [
            ("the same", ours.clone(), Ok(())),
            ("another uid", pod("x", "n", "default", "s"), Err(Mismatch::Uid)),
            ("another node", pod("u", "x", "default", "s"), Err(Mismatch::Node)),
            ("another account", pod("u", "n", "admin", "s"), Err(Mismatch::ServiceAccount)),
            ("another secret", pod("u", "n", "default", "x"), Err(Mismatch::Volumes)),
        ];
        for (name, theirs, want) in cases {
            assert_eq!(compare(&ours, &theirs), want, "{name}");
        }
    }
}
