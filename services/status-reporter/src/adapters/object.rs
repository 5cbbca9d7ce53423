//! A pod as the API server sends it, of which only what is needed is kept: no spec, and so no
//! environment of anybody.

use crate::core::pod::{View, plan::MIRROR};
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Pod, PodStatus},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The object.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct PodObject {
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) status: PodStatus,
}

impl k8s_openapi::Resource for PodObject {
    const API_VERSION: &'static str = <Pod as k8s_openapi::Resource>::API_VERSION;
    const GROUP: &'static str = <Pod as k8s_openapi::Resource>::GROUP;
    const KIND: &'static str = <Pod as k8s_openapi::Resource>::KIND;
    const VERSION: &'static str = <Pod as k8s_openapi::Resource>::VERSION;
    const URL_PATH_SEGMENT: &'static str = <Pod as k8s_openapi::Resource>::URL_PATH_SEGMENT;
    type Scope = NamespaceResourceScope;
}

impl k8s_openapi::Metadata for PodObject {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl From<Pod> for PodObject {
    fn from(pod: Pod) -> Self {
        Self { metadata: pod.metadata, status: pod.status.unwrap_or_default() }
    }
}

impl From<PodObject> for View {
    fn from(object: PodObject) -> Self {
        let metadata = object.metadata;
        Self {
            uid: metadata.uid.unwrap_or_default(),
            version: metadata.resource_version.and_then(|version| version.parse().ok()).unwrap_or_default(),
            deleting: metadata.deletion_timestamp.is_some(),
            mirror: metadata.annotations.and_then(|mut annotations| annotations.remove(MIRROR)),
            status: object.status,
        }
    }
}

impl PodObject {
    /// Namespace and name.
    pub(super) fn name(&self) -> (String, String) {
        let text = |text: &Option<String>| Cow::from(text.as_deref().unwrap_or_default()).into_owned();
        (text(&self.metadata.namespace), text(&self.metadata.name))
    }
}
