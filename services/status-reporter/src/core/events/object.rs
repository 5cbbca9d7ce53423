//! Events as objects: core/v1, with the fields that `events.k8s.io` reads them by.

use crate::core::time;
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use messages::{
    NodeName,
    status_reporter::{About, RecordEvent, Severity},
};
use serde_json::{Value, json};

/// Who speaks: dashboards and tests look for this name.
const COMPONENT: &str = "kubelet";

/// What makes two events the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) about: About,
    pub(super) severity: Severity,
    pub(super) reason: String,
    /// `None` where it stands for many that differ in their messages.
    pub(super) message: Option<String>,
}

impl Identity {
    pub(super) fn of(event: &RecordEvent, combined: bool) -> Self {
        let message = (!combined).then(|| event.message.clone());
        Self { about: event.about.clone(), severity: event.severity, reason: event.reason.clone(), message }
    }
}

/// How often an event happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counted {
    /// What makes `metadata.name` of the object that counts it ([`name`]).
    pub(super) named_at: i64,
    /// In all.
    pub(super) count: u32,
    /// As the API server knows.
    pub(super) sent: u32,
    /// The latest message, until the API server has it.
    pub(super) message: String,
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Counted {
    pub(super) fn new(at: i64) -> Self {
        Self { named_at: at, count: 0, sent: 0, message: String::new(), first: at, last: at }
    }

    pub(super) fn count(&mut self, event: RecordEvent) {
        self.count = self.count.saturating_add(1);
        self.last = self.last.max(event.at);
        self.message = event.message;
    }

    /// The API server knows of so many.
    pub(super) fn sent(&mut self, count: u32) {
        self.sent = count;
        if self.count <= count {
            self.message = String::new();
        }
    }

    /// Forgets that it was ever sent: it begins anew, with what was not sent yet.
    pub(super) fn begin_anew(&mut self) {
        self.count = (self.count - self.sent.min(self.count)).max(1);
        self.sent = 0;
        self.first = self.last;
    }
}

/// Whether the object's name can be part of a request's path.
pub(super) fn is_nameable(about: &About) -> bool {
    match about {
        About::Node => true,
        // A namespace is a DNS label and a pod's name a DNS subdomain: both are what a node's name is.
        About::Pod { namespace, name, .. } => {
            [namespace, name].iter().all(|text| text.parse::<NodeName>().is_ok())
        }
    }
}

/// Where the event lies.
pub(super) fn namespace(about: &About) -> &str {
    match about {
        About::Pod { namespace, .. } => namespace,
        About::Node => "default",
    }
}

/// `<object>.<time in hex>`, as client-go names events.
pub(super) fn name(about: &About, node: &NodeName, at: i64) -> String {
    match about {
        About::Pod { name, .. } => format!("{name}.{at:x}"),
        About::Node => format!("{node}.{at:x}"),
    }
}

pub(super) fn event(identity: &Identity, counted: &Counted, node: &NodeName) -> Event {
    Event {
        metadata: ObjectMeta {
            name: Some(name(&identity.about, node, counted.named_at)),
            namespace: Some(namespace(&identity.about).to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: involved(&identity.about, node),
        type_: Some(severity(identity.severity).to_owned()),
        reason: Some(identity.reason.clone()),
        message: Some(counted.message.clone()),
        count: Some(times(counted)),
        first_timestamp: Some(time::seconds(counted.first)),
        last_timestamp: Some(time::seconds(counted.last)),
        source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: Some(node.to_string()) }),
        reporting_component: Some(COMPONENT.to_owned()),
        reporting_instance: Some(node.to_string()),
        ..Event::default()
    }
}

pub(super) fn patch(identity: &Identity, counted: &Counted) -> Value {
    let mut patch = json!({ "count": times(counted), "lastTimestamp": time::seconds(counted.last) });
    if identity.message.is_none() {
        patch["message"] = json!(counted.message);
    }
    patch
}

fn times(counted: &Counted) -> i32 {
    i32::try_from(counted.count).unwrap_or(i32::MAX)
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Normal => "Normal",
        Severity::Warning => "Warning",
    }
}

fn involved(about: &About, node: &NodeName) -> ObjectReference {
    match about {
        About::Pod { pod, namespace, name, field_path } => ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(namespace.clone()),
            name: Some(name.clone()),
            uid: Some(pod.to_string()),
            field_path: Some(field_path.clone()).filter(|path| !path.is_empty()),
            resource_version: None,
        },
        About::Node => ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(node.to_string()),
            // Not the object's UID: upstream's kubelet takes the name, and `kubectl describe` looks for it.
            uid: Some(node.to_string()),
            ..ObjectReference::default()
        },
    }
}
