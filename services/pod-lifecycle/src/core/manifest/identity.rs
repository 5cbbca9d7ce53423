//! Who a static pod is: its UID, its name on this node, and the marks that the kubelet gives it.

use super::{Place, Refusal};
use crate::core::{
    fnv,
    spec::{self, CONFIG_HASH, CONFIG_SOURCE},
};
use k8s_openapi::api::core::v1::{Pod, Toleration};
use messages::{ContainerName, NodeName, PodUid};

/// Gives a defaulted pod its UID, name suffix, namespace, node, annotations and toleration.
///
/// Without a UID of its own it gets the FNV-1a hash of 128 bits over what it is and where it was
/// found: an edited manifest is another pod, so that the old one ends and a new one begins. The
/// stock kubelet hashes a dump of its own types, so the values differ from its; nothing above the
/// node computes them.
pub(super) fn give(pod: &mut Pod, place: Place<'_>, node: &NodeName) -> Result<PodUid, Refusal> {
    let uid = match pod.metadata.uid.as_deref() {
        None | Some("") => generated(pod, place, node),
        Some(own) => own.to_owned(),
    };
    let bad_uid = |error: messages::BadId| Refusal { field: "metadata.uid".into(), why: error.to_string() };
    let parsed: PodUid = uid.parse().map_err(bad_uid)?;
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    pod.metadata.name = Some(format!("{name}-{node}"));
    if pod.metadata.namespace.as_deref().is_none_or(str::is_empty) {
        pod.metadata.namespace = Some("default".into());
    }
    pod.status = None;
    pod.metadata.uid = Some(uid.clone());
    mark(pod, place, uid);
    pod.spec.get_or_insert_default().node_name = Some(node.to_string());
    Ok(parsed)
}

fn generated(pod: &Pod, place: Place<'_>, node: &NodeName) -> String {
    let mut bare = pod.clone();
    bare.status = None;
    let effective = serde_json::to_vec(&bare).unwrap_or_default();
    let found = match place {
        Place::File(path) => format!("host:{node}file:{path}"),
        Place::Url(url) => format!("url:{url}"),
    };
    format!("{:032x}", fnv::fnv128(&[&effective, found.as_bytes()]))
}

fn mark(pod: &mut Pod, place: Place<'_>, uid: String) {
    let source = match place {
        Place::File(_) => "file",
        Place::Url(_) => "http",
    };
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(CONFIG_HASH.into(), uid);
    annotations.insert(CONFIG_SOURCE.into(), source.into());
    if source == "file" {
        tolerate(pod);
    }
}

/// Static pods from files stay on a node in trouble.
fn tolerate(pod: &mut Pod) {
    let tolerations = pod.spec.get_or_insert_default().tolerations.get_or_insert_default();
    let wanted = Toleration {
        operator: Some("Exists".into()),
        effect: Some("NoExecute".into()),
        ..Toleration::default()
    };
    if !tolerations.contains(&wanted) {
        tolerations.push(wanted);
    }
}

/// Whether every id of a pod from the API server can stand in subjects and paths.
///
/// # Errors
/// When one cannot. An API server never sends such a pod.
pub fn check_api_pod(pod: &Pod) -> Result<PodUid, Refusal> {
    let refuse =
        |field: &str, error: messages::BadId| Refusal { field: field.into(), why: error.to_string() };
    let uid: PodUid = pod
        .metadata
        .uid
        .as_deref()
        .unwrap_or_default()
        .parse()
        .map_err(|error| refuse("metadata.uid", error))?;
    for part in spec::parts(spec::of(pod)) {
        let parsed: Result<ContainerName, _> = part.name().parse();
        parsed.map_err(|error| refuse("spec.containers", error))?;
    }
    Ok(uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::PodBuilder;

    #[test]
    fn ids_of_api_pods_are_checked_too() {
        assert!(check_api_pod(&PodBuilder::new().container("app").build()).is_ok());
        let evil = PodBuilder::new().container("../app").build();
        assert_eq!(check_api_pod(&evil).unwrap_err().field, "spec.containers");
        let nameless = PodBuilder::new().meta(|pod| pod.metadata.uid = None).build();
        assert_eq!(check_api_pod(&nameless).unwrap_err().field, "metadata.uid");
    }
}
