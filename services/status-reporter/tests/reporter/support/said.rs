//! What the others say.

use messages::{
    PodUid,
    cri_bridge::{Condition, Filesystem, Machine, Runtime},
    pod_lifecycle::{PodSource, Status},
    status_reporter::{About, RecordEvent, Severity},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

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
        images: Vec::new(),
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
        handlers: Vec::new(),
        supplemental_groups_policy: true,
        events: true,
        cgroup_driver: "cgroupfs".to_owned(),
    }
}

pub(crate) fn uid(text: &str) -> PodUid {
    text.parse().unwrap()
}

/// A status of the pod `default/<name>` whose UID is its name.
pub(crate) fn status(name: &str, source: PodSource, status: Value) -> Status {
    Status {
        pod: uid(name),
        namespace: "default".to_owned(),
        name: name.to_owned(),
        source,
        status: serde_json::from_value(status).unwrap(),
        mirror: None,
        release: false,
        seen_at: 1,
        life: 0,
    }
}

/// A pod that runs and is ready.
pub(crate) fn running() -> Value {
    json!({
        "phase": "Running",
        "podIP": "10.0.0.7",
        "podIPs": [{"ip": "10.0.0.7"}],
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{
            "name": "app", "image": "app:1", "imageID": "", "ready": true, "restartCount": 0, "started": true,
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        }],
    })
}

/// The mirror of a static pod.
pub(crate) fn mirror(name: &str, hash: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "default", "annotations": {"kubernetes.io/config.mirror": hash}},
        "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "app:1"}]},
    })
}

pub(crate) fn event(pod: &str, reason: &str) -> RecordEvent {
    RecordEvent {
        about: About::Pod {
            pod: uid(pod),
            namespace: "default".to_owned(),
            name: pod.to_owned(),
            field_path: String::new(),
        },
        severity: Severity::Normal,
        reason: reason.to_owned(),
        message: "it happened".to_owned(),
        at: 1_700_000_000_000_000_000,
    }
}
