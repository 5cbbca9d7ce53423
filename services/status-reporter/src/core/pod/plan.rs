//! What is to be done next for a pod: the difference between what is wanted and what is known.

use super::{Known, Pod, View, merge};
use k8s_openapi::{
    api::core::v1::{Pod as Object, PodStatus},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use messages::pod_lifecycle::{PodSource, Status};
use serde_json::Value;

/// The annotation of a mirror pod; its value tells which static pod it mirrors.
pub(crate) const MIRROR: &str = "kubernetes.io/config.mirror";

/// In which order pods get their turn, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// A pod has ended or goes away: others wait for its place.
    End,
    /// A pod becomes ready or unready: traffic follows.
    Ready,
    /// It has come further.
    Progress,
    /// It is still being started, and soon there will be more to say.
    Starting,
}

/// One request to the API server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Deed {
    /// PATCH the status of the object of this UID.
    Patch { uid: String, patch: Value },
    /// DELETE it with no grace.
    Delete { uid: String },
    /// POST the mirror.
    CreateMirror(Box<Object>),
    /// DELETE a mirror that should not be, or not be so.
    DeleteMirror { uid: String },
}

impl Deed {
    /// What it is called in logs and traces.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Patch { .. } => "report status",
            Self::Delete { .. } => "delete pod",
            Self::CreateMirror(_) => "create mirror",
            Self::DeleteMirror { .. } => "delete mirror",
        }
    }
}

/// The next deed.
pub(super) fn next(pod: &Pod) -> Option<(Class, Deed)> {
    match pod.wanted.as_deref() {
        Some(status) if status.source == PodSource::Api => of_api_pod(pod, status),
        Some(status) => of_static_pod(pod, status),
        // Nobody wants it any more.
        None => pod.known.view().and_then(unmirror),
    }
}

fn of_api_pod(pod: &Pod, status: &Status) -> Option<(Class, Deed)> {
    let view = match &pod.known {
        Known::Some(view) => view,
        _ => return None,
    };
    if let Some(patch) = patch(pod, status, view) {
        return Some(patch);
    }
    let ends = status.release && view.deleting && merge::is_terminal(view.status.phase.as_deref());
    ends.then(|| (Class::End, Deed::Delete { uid: view.uid.clone() }))
}

fn of_static_pod(pod: &Pod, status: &Status) -> Option<(Class, Deed)> {
    match (&pod.known, status.mirror.as_deref()) {
        (Known::None, Some(mirror)) => {
            let owned = owned(mirror, pod.node.as_deref()?);
            Some((Class::Progress, Deed::CreateMirror(Box::new(owned))))
        }
        // A pod of somebody's that only has the same name is left alone.
        (Known::Some(view), _) if view.mirror.is_none() => None,
        (Known::Some(view), Some(mirror)) if !view.deleting && view.mirror.as_deref() == hash(mirror) => {
            patch(pod, status, view)
        }
        (Known::Some(view), _) => unmirror(view),
        _ => None,
    }
}

fn patch(pod: &Pod, status: &Status, view: &View) -> Option<(Class, Deed)> {
    if pod.is_settled_for(&view.uid) || pod.is_said_by(view) {
        return None;
    }
    let patch = merge::patch(&view.uid, &status.status, Some(&view.status));
    Some((class(status, view), Deed::Patch { uid: view.uid.clone(), patch }))
}

fn class(status: &Status, view: &View) -> Class {
    let ready = |status| merge::holds(status, "Ready");
    let ends = merge::is_terminal(status.status.phase.as_deref());
    if ends && !merge::is_terminal(view.status.phase.as_deref()) {
        Class::End
    } else if ready(&status.status) != ready(&view.status) {
        Class::Ready
    } else if is_pending(&status.status) && is_pending(&view.status) {
        Class::Starting
    } else {
        Class::Progress
    }
}

fn is_pending(status: &PodStatus) -> bool {
    status.phase.as_deref() == Some("Pending")
}

fn unmirror(view: &View) -> Option<(Class, Deed)> {
    view.mirror.is_some().then(|| (Class::End, Deed::DeleteMirror { uid: view.uid.clone() }))
}

/// Which static pod a mirror pod is for.
pub(crate) fn hash(mirror: &Object) -> Option<&str> {
    mirror.metadata.annotations.as_ref()?.get(MIRROR).map(String::as_str)
}

/// The mirror, owned by the node of this UID: without that NodeRestriction refuses it.
fn owned(mirror: &Object, node_uid: &str) -> Object {
    let mut mirror = mirror.clone();
    let node_name = mirror.spec.as_ref().and_then(|spec| spec.node_name.clone());
    mirror.metadata.uid = None;
    mirror.metadata.resource_version = None;
    mirror.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: node_name.unwrap_or_default(),
        uid: node_uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    }]);
    mirror.status = None;
    mirror
}
