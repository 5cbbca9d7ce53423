//! A pod and a node for the tables of several files.

use super::{
    cgroup::{CpuQuota, Driver, Hierarchy, Layout, Name},
    dns::Resolver,
    linux_resources::Machine,
    node::Node,
    security::Defaults,
};
use k8s_openapi::api::core::v1 as core;
use messages::Amount;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Pod `shop/web` of UID `u-1` with this spec.
pub(crate) fn pod(spec: Value) -> core::Pod {
    let metadata = json!({"name": "web", "namespace": "shop", "uid": "u-1"});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

/// A node with cgroup v1 and 1 GiB.
pub(crate) fn node() -> Node {
    Node {
        ips: vec!["192.168.0.4".parse().unwrap()],
        allocatable: [("cpu".to_owned(), Amount::whole(2)), ("memory".to_owned(), Amount::whole(1 << 30))]
            .into(),
        resolver: Resolver { domain: "cluster.local".into(), ..Resolver::default() },
        machine: Machine {
            memory: 1 << 30,
            swap: 0,
            page_sizes: Vec::new(),
            hierarchy: Hierarchy::V1,
            has_swap_controller: false,
            cpu: CpuQuota { is_enforced: true, period: 100_000 },
            allows_swap: false,
            kills_single_processes: true,
        },
        layout: Layout {
            root: Name::of_path("/", Driver::Cgroupfs),
            driver: Driver::Cgroupfs,
            per_qos: true,
        },
        defaults: Defaults::default(),
        pod_logs: "/var/log/pods".into(),
        selinux: false,
        rro_handlers: BTreeSet::new(),
    }
}

/// An exited container `app`, to be varied.
pub(crate) fn container() -> messages::cri_bridge::Container {
    messages::cri_bridge::Container {
        id: "c".into(),
        name: "app".parse().unwrap(),
        attempt: 0,
        sandbox: "s".into(),
        state: messages::cri_bridge::ContainerState::Exited,
        created_at: 0,
        started_at: 0,
        finished_at: 0,
        exit_code: 0,
        reason: String::new(),
        message: String::new(),
        image: String::new(),
        image_ref: String::new(),
        hash: String::new(),
        user: None,
        resources: None,
        hook_pending: false,
    }
}
