//! Looking things up in a pod's spec.

use k8s_openapi::api::core::v1 as core;
use messages::pod_lifecycle::ContainerKind;
use std::borrow::Cow;

/// A container of the pod, whichever list it stands in.
#[derive(Debug, Clone)]
pub struct Found<'p> {
    /// The container. An ephemeral one is a copy: it is another type with the same fields.
    pub container: Cow<'p, core::Container>,
    /// The list it stands in.
    pub kind: ContainerKind,
    /// `targetContainerName` of an ephemeral one.
    pub target: Option<&'p str>,
}

/// The pod's spec, or an empty one.
pub fn of(pod: &core::Pod) -> Cow<'_, core::PodSpec> {
    pod.spec.as_ref().map_or_else(Cow::default, Cow::Borrowed)
}

/// The container of this name.
pub fn container<'p>(pod: &'p core::Pod, name: &str) -> Option<Found<'p>> {
    let spec = pod.spec.as_ref()?;
    let plain = |container: &'p core::Container, kind| Found {
        container: Cow::Borrowed(container),
        kind,
        target: None,
    };
    let regular = spec.containers.iter().map(|container| plain(container, ContainerKind::Regular));
    let init = init_containers(spec).map(|container| plain(container, init_kind(container)));
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(ephemeral);
    regular.chain(init).chain(ephemeral).find(|found| found.container.name == name)
}

/// The init containers, sidecars among them, in order.
pub fn init_containers(spec: &core::PodSpec) -> impl DoubleEndedIterator<Item = &core::Container> {
    spec.init_containers.iter().flatten()
}

/// Whether an init container is a sidecar (KEP-753).
pub fn is_sidecar(container: &core::Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Whether the pod shares the node's network.
pub fn has_host_network(pod: &core::Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or_default()
}

/// `metadata.namespace`; never absent in an accepted pod.
pub fn namespace(pod: &core::Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// `metadata.name`; never absent in an accepted pod.
pub fn name(pod: &core::Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// `metadata.uid`; never absent in an accepted pod.
pub fn uid(pod: &core::Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// The pod in messages, as the kubelet writes it: `name_namespace(uid)`.
pub fn shown(pod: &core::Pod) -> String {
    format!("{}_{}({})", name(pod), namespace(pod), uid(pod))
}

/// `involvedObject.fieldPath` of an event about a container.
pub fn field_path(kind: ContainerKind, name: &str) -> String {
    let list = match kind {
        ContainerKind::Regular => "containers",
        ContainerKind::Init | ContainerKind::Sidecar => "initContainers",
        ContainerKind::Ephemeral => "ephemeralContainers",
    };
    format!("spec.{list}{{{name}}}")
}

fn init_kind(container: &core::Container) -> ContainerKind {
    if is_sidecar(container) { ContainerKind::Sidecar } else { ContainerKind::Init }
}

fn ephemeral(ephemeral: &core::EphemeralContainer) -> Found<'_> {
    let json = serde_json::to_value(ephemeral).expect("a Kubernetes type is JSON");
    let container = serde_json::from_value(json).expect("an ephemeral container has a container's fields");
    Found {
        container: Cow::Owned(container),
        kind: ContainerKind::Ephemeral,
        target: ephemeral.target_container_name.as_deref().filter(|name| !name.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> core::Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "u-1"},
            "spec": {
                "containers": [{"name": "app"}],
                "initContainers": [{"name": "setup"}, {"name": "mesh", "restartPolicy": "Always"}],
                "ephemeralContainers": [{"name": "look", "image": "box", "targetContainerName": "app"}],
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_container_is_found_in_whichever_list_it_stands() {
        let cases = [
            ("app", ContainerKind::Regular, "spec.containers{app}"),
            ("setup", ContainerKind::Init, "spec.initContainers{setup}"),
            ("mesh", ContainerKind::Sidecar, "spec.initContainers{mesh}"),
            ("look", ContainerKind::Ephemeral, "spec.ephemeralContainers{look}"),
        ];
        let pod = pod();
        for (name, kind, path) in cases {
            let found = container(&pod, name).unwrap();
            assert_eq!((found.kind, found.container.name.as_str()), (kind, name));
            assert_eq!(field_path(kind, name), path);
        }
        assert!(container(&pod, "nobody").is_none());
    }

    #[test]
    fn an_ephemeral_container_keeps_its_fields_and_its_target() {
        let pod = pod();
        let found = container(&pod, "look").unwrap();
        assert_eq!(found.container.image.as_deref(), Some("box"));
        assert_eq!(found.target, Some("app"));
    }

    #[test]
    fn a_pod_is_shown_as_the_kubelet_shows_it() {
        assert_eq!(shown(&pod()), "web_shop(u-1)");
    }
}
