//! `/pods` and `/runningpods/`: a `v1.PodList` of what should be here, and one of what the runtime runs.

use super::directory::Directory;
use k8s_openapi::{
    api::core::v1::{PodSpec, PodStatus},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use messages::cri_bridge::{ContainerState, RuntimePod};
use serde::Serialize;
use serde_json::{Value, json};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<T> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Value,
    /// `null` for none, as Go writes it.
    items: Option<Vec<T>>,
}

#[derive(Serialize)]
struct Item<'d> {
    metadata: &'d ObjectMeta,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<&'d PodSpec>,
    status: &'d PodStatus,
}

/// Accepted pods with their statuses.
pub(crate) fn desired(directory: &Directory) -> serde_json::Result<String> {
    let none = PodStatus::default();
    let items = directory.pods().map(|(pod, status)| Item {
        metadata: &pod.object.metadata,
        spec: pod.object.spec.as_ref(),
        status: status.unwrap_or(&none),
    });
    list(items.collect())
}

/// Pods with a container that runs or a sandbox that is ready, with what the runtime knows of them.
pub(crate) fn running(directory: &Directory) -> serde_json::Result<String> {
    list(directory.runtime_pods().filter(|pod| is_running(pod)).map(running_item).collect())
}

/// Whether the runtime runs anything of a pod.
pub(crate) fn is_running(pod: &RuntimePod) -> bool {
    running_containers(pod).next().is_some() || pod.sandboxes.iter().any(|sandbox| sandbox.ready)
}

fn running_containers(pod: &RuntimePod) -> impl Iterator<Item = &messages::cri_bridge::Container> {
    pod.containers.iter().filter(|container| container.state == ContainerState::Running)
}

fn running_item(pod: &RuntimePod) -> Value {
    let container =
        |at: &messages::cri_bridge::Container| json!({"name": at.name, "image": at.image, "resources": {}});
    let containers: Vec<_> = running_containers(pod).map(container).collect();
    json!({
        "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.pod},
        "spec": {"containers": containers},
        "status": {},
    })
}

fn list<T: Serialize>(items: Vec<T>) -> serde_json::Result<String> {
    let items = Some(items).filter(|items| !items.is_empty());
    serde_json::to_string(&List { kind: "PodList", api_version: "v1", metadata: json!({}), items })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{core::directory::Fact, samples};

    fn read(text: serde_json::Result<String>) -> Value {
        serde_json::from_str(&text.unwrap()).unwrap()
    }

    #[test]
    fn desired_pods_are_listed_with_spec_and_status() {
        let mut directory = Directory::default();
        assert_eq!(
            read(desired(&directory)),
            json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": null})
        );
        directory.note(Fact::Pod(Box::new(samples::pod("u-1", "web", &["app"]))));
        directory.note(Fact::Status(Box::new(samples::status("u-1", "web", "app", "containerd://c-1"))));
        let list = read(desired(&directory));
        assert_eq!(list["items"][0]["metadata"]["name"], "web");
        assert_eq!(list["items"][0]["spec"]["containers"][0]["name"], "app");
        assert_eq!(list["items"][0]["status"]["containerStatuses"][0]["containerID"], "containerd://c-1");
    }

    #[test]
    fn running_pods_are_what_the_runtime_runs() {
        let mut directory = Directory::default();
        let mut ended = samples::runtime_pod("u-2", "job", "app", "c-2");
        ended.containers[0].state = ContainerState::Exited;
        directory.note(Fact::RuntimePod(Box::new(ended)));
        directory.note(Fact::RuntimePod(Box::new(samples::runtime_pod("u-1", "web", "app", "c-1"))));
        let list = read(running(&directory));
        assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
        assert_eq!(list["items"][0]["spec"]["containers"][0]["image"], "registry.example/app:1");
    }
}
