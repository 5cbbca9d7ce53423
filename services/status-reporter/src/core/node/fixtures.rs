//! A node for tests.

use chassis::config::{BusAddress, KubeletConfiguration, NodeConfig, ServiceProxy};
use messages::cri_bridge::{Condition, Filesystem, Image, Machine, Runtime, RuntimeHandler};
use std::collections::BTreeMap;

pub(crate) fn config() -> NodeConfig {
    NodeConfig {
        node_name: "node-1".parse().unwrap(),
        root_dir: "/var/lib/kubelet".into(),
        kubeconfig: Some("/etc/kubernetes/kubelet.conf".into()),
        bootstrap_kubeconfig: None,
        cert_dir: "/var/lib/kubelet/pki".into(),
        node_ips: Vec::new(),
        node_labels: BTreeMap::new(),
        external_cloud_provider: false,
        image_credential_provider_config: None,
        image_credential_provider_bin_dir: None,
        runtime_cgroups: String::new(),
        takeover: false,
        proxy: ServiceProxy::None,
        bus: BusAddress { url: String::new() },
        otlp_endpoint: None,
        kubelet: KubeletConfiguration::default(),
    }
}

pub(crate) fn machine() -> Machine {
    Machine {
        cpus: 2,
        memory: 8 << 30,
        swap: 0,
        hugepages: BTreeMap::new(),
        nodefs: Filesystem { capacity: 100 << 30, available: 60 << 30, inodes: 1000, inodes_free: 900 },
        machine_id: "machine".to_owned(),
        system_uuid: "system".to_owned(),
        boot_id: "boot".to_owned(),
        kernel_version: "6.18.0".to_owned(),
        os_image: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        cgroup_version: 2,
        images: vec![Image { names: vec!["busybox:1".to_owned()], size: 1024 }],
    }
}

pub(crate) fn runtime() -> Runtime {
    let holds = |kind: &str| Condition {
        kind: kind.to_owned(),
        holds: true,
        reason: String::new(),
        message: String::new(),
    };
    Runtime {
        reachable: true,
        error: String::new(),
        name: "containerd".to_owned(),
        version: "2.4.2".to_owned(),
        conditions: vec![holds("RuntimeReady"), holds("NetworkReady")],
        handlers: vec![RuntimeHandler {
            name: String::new(),
            recursive_read_only_mounts: true,
            user_namespaces: true,
        }],
        supplemental_groups_policy: true,
        events: true,
        cgroup_driver: "cgroupfs".to_owned(),
    }
}
