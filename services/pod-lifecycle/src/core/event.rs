//! Kubernetes events that pod-lifecycle tells of. What others see happen, they tell of themselves
//! (the README says who tells what).

use super::{moment::Moment, spec};
use k8s_openapi::api::core::v1::Pod;
use messages::{
    PodUid,
    status_reporter::{About, RecordEvent, Severity},
};

/// Warning: a container is not restarted yet; Normal: an image is not pulled again yet.
pub const BACK_OFF: &str = "BackOff";
/// Warning: pods cannot have a network of their own now.
pub const NETWORK_NOT_READY: &str = "NetworkNotReady";
/// Normal: the pod has run as long as it may.
pub const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
/// Normal: the sandbox does not serve any more, and everything begins again in a new one.
pub const SANDBOX_CHANGED: &str = "SandboxChanged";
/// Warning: a manifest was refused, or stands twice.
pub const FAILED_VALIDATION: &str = "FailedValidation";
/// Warning: the pod gives way to a critical one.
pub const PREEMPTING: &str = "Preempting";

/// An event about a pod, or about the container at `field_path`.
pub fn of_pod(pod: &Pod, uid: &PodUid, what: Told<'_>, at: Moment) -> RecordEvent {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    RecordEvent {
        about: About::Pod {
            pod: uid.clone(),
            namespace: text(&pod.metadata.namespace),
            name: text(&pod.metadata.name),
            field_path: what.field_path.to_owned(),
        },
        severity: what.severity,
        reason: what.reason.to_owned(),
        message: what.message,
        at: at.0,
    }
}

/// What an event says.
#[derive(Debug, Clone)]
pub struct Told<'a> {
    /// Normal or warning.
    pub severity: Severity,
    /// The reason.
    pub reason: &'a str,
    /// The sentence.
    pub message: String,
    /// The container, as a path; empty for the pod.
    pub field_path: &'a str,
}

impl<'a> Told<'a> {
    /// A warning about the pod as a whole.
    pub fn warning(reason: &'a str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, reason, message: message.into(), field_path: "" }
    }

    /// Something normal about the pod as a whole.
    pub fn normal(reason: &'a str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Normal, ..Self::warning(reason, message) }
    }
}

/// The sentence about a container in back-off.
pub fn container_back_off(pod: &Pod, container: &str) -> String {
    format!("Back-off restarting failed container {container} in pod {}", spec::title(pod))
}
