//! The node object: what is registered, and the part of its status that does not depend on time
//! (`pkg/kubelet/kubelet_node_status.go`, `pkg/kubelet/nodestatus/setters.go`).

use super::resources;
use chassis::config::{KUBELET_VERSION, NodeConfig};
use k8s_openapi::{
    api::core::v1::{
        ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeDaemonEndpoints, NodeFeatures,
        NodeRuntimeHandler, NodeRuntimeHandlerFeatures, NodeSpec, NodeStatus, NodeSwapStatus, NodeSystemInfo,
        Taint,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use messages::cri_bridge::{self, Image, Machine, Runtime};
use std::{collections::BTreeMap, net::IpAddr};

/// Says that the attach-detach controller attaches this node's volumes.
pub(crate) const MANAGED_ATTACH: &str = "volumes.kubernetes.io/controller-managed-attach-detach";
/// Tells an external cloud provider which address the operator chose.
const PROVIDED_NODE_IP: &str = "alpha.kubernetes.io/provided-node-ip";
/// Keeps pods away until an external cloud provider has completed the node.
const UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized";

/// The machine's architecture as Go names it.
const ARCHITECTURE: &str = if cfg!(target_arch = "x86_64") {
    "amd64"
} else if cfg!(target_arch = "aarch64") {
    "arm64"
} else if cfg!(target_arch = "powerpc64") {
    "ppc64le"
} else if cfg!(target_arch = "s390x") {
    "s390x"
} else {
    "unknown"
};

/// What the status is composed from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) config: &'a NodeConfig,
    pub(crate) machine: &'a Machine,
    pub(crate) runtime: Option<&'a Runtime>,
    pub(crate) addresses: &'a [IpAddr],
    pub(crate) in_use: &'a [String],
}

/// The node as it is registered, without conditions.
pub(crate) fn node(facts: Facts<'_>) -> Node {
    let config = facts.config;
    Node {
        metadata: ObjectMeta {
            name: Some(config.node_name.to_string()),
            labels: Some(labels(config)),
            annotations: Some(annotations(config)).filter(|annotations| !annotations.is_empty()),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            provider_id: Some(config.kubelet.provider_id.clone()).filter(|id| !id.is_empty()),
            taints: Some(taints(config)).filter(|taints| !taints.is_empty()),
            ..NodeSpec::default()
        }),
        status: Some(status(facts)),
    }
}

/// Labels that every node has; they are brought up to date when the node registers again.
pub(crate) fn default_labels(config: &NodeConfig) -> BTreeMap<String, String> {
    [
        ("beta.kubernetes.io/arch", ARCHITECTURE),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", ARCHITECTURE),
        ("kubernetes.io/hostname", config.node_name.as_str()),
        ("kubernetes.io/os", "linux"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Those, and `--node-labels`.
fn labels(config: &NodeConfig) -> BTreeMap<String, String> {
    let mut labels = default_labels(config);
    labels.extend(config.node_labels.clone());
    labels
}

/// Annotations of a node that registers.
pub(crate) fn annotations(config: &NodeConfig) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::new();
    if config.kubelet.enable_controller_attach_detach {
        annotations.insert(MANAGED_ATTACH.to_owned(), "true".to_owned());
    }
    if config.external_cloud_provider && !config.node_ips.is_empty() {
        let ips: Vec<_> = config.node_ips.iter().map(IpAddr::to_string).collect();
        annotations.insert(PROVIDED_NODE_IP.to_owned(), ips.join(","));
    }
    annotations
}

fn taints(config: &NodeConfig) -> Vec<Taint> {
    let uninitialized = config.external_cloud_provider.then(|| Taint {
        key: UNINITIALIZED.to_owned(),
        value: Some("true".to_owned()),
        effect: "NoSchedule".to_owned(),
        time_added: None,
    });
    config.kubelet.register_with_taints.iter().cloned().chain(uninitialized).collect()
}

/// Everything of the status but conditions.
pub(crate) fn status(facts: Facts<'_>) -> NodeStatus {
    let Facts { config, machine, runtime, .. } = facts;
    NodeStatus {
        addresses: Some(addresses(facts)),
        capacity: Some(resources::capacity(machine, &config.kubelet)),
        allocatable: Some(resources::allocatable(machine, &config.kubelet)),
        daemon_endpoints: Some(endpoints(config)),
        node_info: Some(info(machine, runtime)),
        images: Some(machine.images.iter().map(image).collect()),
        volumes_in_use: Some(facts.in_use.to_vec()).filter(|volumes| !volumes.is_empty()),
        runtime_handlers: runtime.map(|runtime| runtime.handlers.iter().map(handler).collect()),
        features: runtime.map(|runtime| NodeFeatures {
            supplemental_groups_policy: Some(runtime.supplemental_groups_policy),
        }),
        ..NodeStatus::default()
    }
}

/// The internal addresses, then the name. An external cloud provider writes addresses itself: it gets
/// the name, and the addresses that the operator chose.
fn addresses(facts: Facts<'_>) -> Vec<NodeAddress> {
    let leave_to_cloud = facts.config.external_cloud_provider && facts.config.node_ips.is_empty();
    let address = |kind: &str, address: String| NodeAddress { type_: kind.to_owned(), address };
    let internal = facts.addresses.iter().filter(|_| !leave_to_cloud);
    let name = address("Hostname", facts.config.node_name.to_string());
    internal.map(|ip| address("InternalIP", ip.to_string())).chain([name]).collect()
}

fn endpoints(config: &NodeConfig) -> NodeDaemonEndpoints {
    NodeDaemonEndpoints { kubelet_endpoint: Some(DaemonEndpoint { port: i32::from(config.kubelet.port) }) }
}

fn info(machine: &Machine, runtime: Option<&Runtime>) -> NodeSystemInfo {
    let runtime = runtime.map(|runtime| format!("{}://{}", runtime.name, runtime.version));
    let swap = i64::try_from(machine.swap).unwrap_or(i64::MAX);
    NodeSystemInfo {
        architecture: ARCHITECTURE.to_owned(),
        boot_id: machine.boot_id.clone(),
        container_runtime_version: runtime.unwrap_or_default(),
        kernel_version: machine.kernel_version.clone(),
        // Empty since 1.33: nobody could vouch for it.
        kube_proxy_version: String::new(),
        kubelet_version: KUBELET_VERSION.to_owned(),
        machine_id: machine.machine_id.clone(),
        operating_system: "linux".to_owned(),
        os_image: machine.os_image.clone(),
        swap: (swap > 0).then_some(NodeSwapStatus { capacity: Some(swap) }),
        system_uuid: machine.system_uuid.clone(),
    }
}

fn image(image: &Image) -> ContainerImage {
    ContainerImage {
        names: Some(image.names.clone()),
        size_bytes: Some(i64::try_from(image.size).unwrap_or(i64::MAX)),
    }
}

fn handler(handler: &cri_bridge::RuntimeHandler) -> NodeRuntimeHandler {
    NodeRuntimeHandler {
        name: Some(handler.name.clone()),
        features: Some(NodeRuntimeHandlerFeatures {
            recursive_read_only_mounts: Some(handler.recursive_read_only_mounts),
            user_namespaces: Some(handler.user_namespaces),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::node::fixtures::{config, machine, runtime};

    fn composed(change: impl FnOnce(&mut NodeConfig)) -> Node {
        let (mut config, machine, runtime) = (config(), machine(), runtime());
        change(&mut config);
        let addresses = ["10.0.0.5".parse().unwrap()];
        let in_use = ["kubernetes.io/csi/x^v".to_owned()];
        node(Facts {
            config: &config,
            machine: &machine,
            runtime: Some(&runtime),
            addresses: &addresses,
            in_use: &in_use,
        })
    }

    /// The value at a JSON pointer, or `null`.
    fn at(node: &Node, pointer: &str) -> serde_json::Value {
        serde_json::to_value(node).unwrap().pointer(pointer).cloned().unwrap_or_default()
    }

    #[test]
    fn a_node_tells_what_the_stock_kubelet_tells() {
        let node = composed(|_| {});
        let cases = [
            ("/metadata/name", "node-1"),
            ("/metadata/labels/kubernetes.io~1hostname", "node-1"),
            ("/metadata/labels/kubernetes.io~1os", "linux"),
            ("/metadata/labels/beta.kubernetes.io~1os", "linux"),
            ("/metadata/annotations/volumes.kubernetes.io~1controller-managed-attach-detach", "true"),
            ("/status/addresses/0/type", "InternalIP"),
            ("/status/addresses/0/address", "10.0.0.5"),
            ("/status/addresses/1/type", "Hostname"),
            ("/status/nodeInfo/containerRuntimeVersion", "containerd://2.4.2"),
            ("/status/nodeInfo/kubeletVersion", KUBELET_VERSION),
            ("/status/nodeInfo/kubeProxyVersion", ""),
            ("/status/nodeInfo/bootID", "boot"),
            ("/status/images/0/names/0", "busybox:1"),
            ("/status/volumesInUse/0", "kubernetes.io/csi/x^v"),
            ("/status/runtimeHandlers/0/name", ""),
        ];
        for (pointer, want) in cases {
            assert_eq!(at(&node, pointer), want, "{pointer}");
        }
        assert_eq!(at(&node, "/status/daemonEndpoints/kubeletEndpoint/Port"), 10250);
        assert_eq!(at(&node, "/status/features/supplementalGroupsPolicy"), true);
        assert_eq!(at(&node, "/status/nodeInfo/swap"), serde_json::Value::Null, "there is none");
    }

    #[test]
    fn what_the_operator_asked_for_is_registered() {
        let node = composed(|config| {
            config.node_labels = BTreeMap::from([("zone".to_owned(), "a".to_owned())]);
            config.kubelet.provider_id = "aws:///i-1".to_owned();
            config.kubelet.register_with_taints =
                vec![Taint { key: "new".to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() }];
            config.kubelet.enable_controller_attach_detach = false;
        });
        assert_eq!(at(&node, "/metadata/labels/zone"), "a");
        assert_eq!(at(&node, "/spec/providerID"), "aws:///i-1");
        assert_eq!(at(&node, "/spec/taints/0/key"), "new");
        assert_eq!(at(&node, "/metadata/annotations"), serde_json::Value::Null);
    }

    #[test]
    fn an_external_cloud_completes_the_node() {
        let node = composed(|config| config.external_cloud_provider = true);
        assert_eq!(at(&node, "/spec/taints/0/key"), UNINITIALIZED);
        assert_eq!(at(&node, "/status/addresses/0/type"), "Hostname", "the cloud writes the rest");

        let chosen = composed(|config| {
            config.external_cloud_provider = true;
            config.node_ips = vec!["10.0.0.5".parse().unwrap()];
        });
        assert_eq!(at(&chosen, "/metadata/annotations/alpha.kubernetes.io~1provided-node-ip"), "10.0.0.5");
        assert_eq!(at(&chosen, "/status/addresses/0/address"), "10.0.0.5");
    }
}
