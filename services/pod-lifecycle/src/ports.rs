//! What the actors see of the outside: where pods come from.

use crate::core::gather::Gathered;
use k8s_openapi::api::core::v1::Pod;
use messages::{PodUid, pod_lifecycle::PodSource};

/// What a source of pods has to say.
#[derive(Debug)]
pub enum News {
    /// A source of manifests has exactly these.
    Manifests(PodSource, Gathered),
    /// The API server has exactly these pods for this node.
    All(Vec<(PodUid, Pod)>),
    /// The API server has this pod now.
    Changed(PodUid, Box<Pod>),
    /// The API server does not have this pod any more.
    Gone(PodUid),
    /// A pod of the API server was refused, with the reason.
    Refused(Box<Pod>, String),
}

/// Where news goes. Closed when nobody takes them any more.
pub type Desk = tokio::sync::mpsc::Sender<News>;
