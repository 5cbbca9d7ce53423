//! Labels and annotations by which a node finds its sandboxes and containers again.
//!
//! Written as the stock kubelet writes them (`pkg/kubelet/kuberuntime/labels.go`), so that either
//! adopts the other's pods, and read back when a container's spec is gone.

use super::spec;
use k8s_openapi::api::core::v1 as core;
use messages::{ContainerName, PodUid, container_hash};
use std::collections::{BTreeMap, HashMap};

/// Labels of sandboxes and containers.
pub const POD_NAME: &str = "io.kubernetes.pod.name";
/// See [`POD_NAME`].
pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// See [`POD_NAME`].
pub const POD_UID: &str = "io.kubernetes.pod.uid";
/// Label of containers.
pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";

/// Annotations of containers.
pub const HASH: &str = "io.kubernetes.container.hash";
const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
const TERMINATION_MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
const TERMINATION_MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
const PRE_STOP: &str = "io.kubernetes.container.preStopHandler";
const PORTS: &str = "io.kubernetes.container.ports";
const DELETION_GRACE: &str = "io.kubernetes.pod.deletionGracePeriod";
const TERMINATION_GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";

type Texts = HashMap<String, String>;

/// Whose sandbox or container it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodIdentity {
    /// The UID.
    pub uid: PodUid,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl PodIdentity {
    /// Reads the labels; `None` for what no kubelet made.
    pub fn of(labels: &Texts) -> Option<Self> {
        Some(Self {
            uid: labels.get(POD_UID)?.parse().ok()?,
            namespace: labels.get(POD_NAMESPACE)?.clone(),
            name: labels.get(POD_NAME)?.clone(),
        })
    }
}

/// The container's name, from its labels.
pub fn container_name(labels: &Texts) -> Option<ContainerName> {
    labels.get(CONTAINER_NAME)?.parse().ok()
}

/// A sandbox's labels: the pod's own and who it is.
pub fn of_sandbox(pod: &core::Pod) -> Texts {
    let own = pod.metadata.labels.clone().unwrap_or_default();
    own.into_iter().chain(identity(pod)).collect()
}

/// A container's labels: which pod's and which container. The pod's own are not among them.
pub fn of_container(pod: &core::Pod, container: &core::Container) -> Texts {
    let name = (CONTAINER_NAME.to_owned(), container.name.clone());
    identity(pod).into_iter().chain([name]).collect()
}

/// The label selector of everything of a pod.
pub fn selector(pod: &PodUid) -> Texts {
    [(POD_UID.to_owned(), pod.to_string())].into()
}

fn identity(pod: &core::Pod) -> [(String, String); 3] {
    [
        (POD_NAME.to_owned(), spec::name(pod).to_owned()),
        (POD_NAMESPACE.to_owned(), spec::namespace(pod).to_owned()),
        (POD_UID.to_owned(), spec::uid(pod).to_owned()),
    ]
}

/// A container's annotations: what is needed to judge and to stop it when its spec is gone.
pub fn annotations(pod: &core::Pod, container: &core::Container, attempt: u32) -> Texts {
    let image = container.image.as_deref().unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let grace = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    let pre_stop = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    let ports = container.ports.as_ref().filter(|ports| !ports.is_empty());
    let always = [
        (HASH, container_hash(&container.name, image)),
        (RESTART_COUNT, attempt.to_string()),
        (TERMINATION_MESSAGE_PATH, text(&container.termination_message_path)),
        (TERMINATION_MESSAGE_POLICY, text(&container.termination_message_policy)),
    ];
    let sometimes = [
        (DELETION_GRACE, pod.metadata.deletion_grace_period_seconds.map(|seconds| seconds.to_string())),
        (TERMINATION_GRACE, grace.map(|seconds| seconds.to_string())),
        (PRE_STOP, pre_stop.map(json)),
        (PORTS, ports.map(json)),
    ];
    let sometimes = sometimes.into_iter().filter_map(|(key, value)| Some((key, value?)));
    always.into_iter().chain(sometimes).map(|(key, value)| (key.to_owned(), value)).collect()
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("a Kubernetes type is JSON")
}

/// What a container's annotations tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remembered {
    /// Hash of name and image.
    pub hash: String,
    /// How often the container was restarted before this instance.
    pub restart_count: Option<u32>,
    /// Where in the container the termination message is written; empty for nowhere.
    pub termination_message_path: String,
    /// Whether the end of the log stands in for a missing termination message.
    pub falls_back_to_logs: bool,
    /// `deletionGracePeriodSeconds`, or `terminationGracePeriodSeconds` without one.
    pub grace_seconds: Option<i64>,
    /// The preStop hook.
    pub pre_stop: Option<core::LifecycleHandler>,
    /// Ports, for hooks that name one.
    pub ports: Vec<core::ContainerPort>,
}

impl Remembered {
    /// Reads the annotations. What is missing or cannot be read is left at its default.
    pub fn of(annotations: &Texts) -> Self {
        let text = |key: &str| annotations.get(key).cloned().unwrap_or_default();
        let number = |key: &str| annotations.get(key)?.parse::<i64>().ok();
        Self {
            hash: text(HASH),
            restart_count: annotations.get(RESTART_COUNT).and_then(|count| count.parse().ok()),
            termination_message_path: text(TERMINATION_MESSAGE_PATH),
            falls_back_to_logs: text(TERMINATION_MESSAGE_POLICY) == "FallbackToLogsOnError",
            grace_seconds: number(DELETION_GRACE).or_else(|| number(TERMINATION_GRACE)),
            pre_stop: annotations.get(PRE_STOP).and_then(|json| serde_json::from_str(json).ok()),
            ports: annotations
                .get(PORTS)
                .and_then(|json| serde_json::from_str(json).ok())
                .unwrap_or_default(),
        }
    }

    /// The container port of a name, for a hook that names it.
    pub fn port(&self, name: &str) -> Option<u16> {
        let ports: BTreeMap<_, _> =
            self.ports.iter().filter_map(|port| Some((port.name.as_deref()?, port.container_port))).collect();
        ports.get(name).and_then(|port| u16::try_from(*port).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> core::Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "u-1", "labels": {"app": "web"},
                         "deletionGracePeriodSeconds": 5},
            "spec": {
                "terminationGracePeriodSeconds": 30,
                "containers": [{
                    "name": "app", "image": "docker.io/library/busybox:1.36",
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                    "lifecycle": {"preStop": {"exec": {"command": ["true"]}}},
                    "ports": [{"name": "http", "containerPort": 80}],
                }],
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_sandbox_carries_the_pods_labels_and_a_container_does_not() {
        let pod = pod();
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let sandbox = of_sandbox(&pod);
        assert_eq!(sandbox["app"], "web");
        let labels = of_container(&pod, container);
        assert_eq!(labels.len(), 4);
        assert_eq!(container_name(&labels), Some("app".parse().unwrap()));
        assert_eq!(PodIdentity::of(&sandbox), PodIdentity::of(&labels));
        assert_eq!(PodIdentity::of(&labels).unwrap().uid.as_str(), "u-1");
    }

    #[test]
    fn what_no_kubelet_made_belongs_to_no_pod() {
        for labels in [vec![], vec![(POD_UID, "../up"), (POD_NAME, "a"), (POD_NAMESPACE, "b")]] {
            let labels = labels.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            assert_eq!(PodIdentity::of(&labels), None);
        }
    }

    #[test]
    fn annotations_bring_back_what_stopping_needs() {
        let pod = pod();
        let written = annotations(&pod, &pod.spec.as_ref().unwrap().containers[0], 2);
        assert_eq!(written["io.kubernetes.container.hash"], "13385bb0");
        assert_eq!(written["io.kubernetes.pod.terminationGracePeriod"], "30");
        let read = Remembered::of(&written);
        assert_eq!((read.restart_count, read.grace_seconds), (Some(2), Some(5)));
        assert!(read.falls_back_to_logs && read.pre_stop.is_some());
        assert_eq!((read.port("http"), read.port("none")), (Some(80), None));
    }

    #[test]
    fn strange_annotations_are_read_as_nothing() {
        let strange = [(PRE_STOP, "{"), (PORTS, "7"), (RESTART_COUNT, "-1"), (DELETION_GRACE, "x")];
        let strange = strange.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        assert_eq!(Remembered::of(&strange), Remembered::default());
    }
}
