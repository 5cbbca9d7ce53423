//! What the others say, for this crate's tests.

use k8s_openapi::{
    api::core::v1::{
        Container, ContainerState, ContainerStateRunning, ContainerStatus, Pod as PodObject, PodSpec,
        PodStatus,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use messages::{
    Decision,
    cri_bridge::{Container as Instance, ContainerState as InstanceState, RuntimePod},
    pod_lifecycle::{Pod, PodSource, Stage, Status},
};
use std::collections::BTreeMap;

/// A pod in the namespace `default` that should run.
pub(crate) fn pod(uid: &str, name: &str, containers: &[&str]) -> Pod {
    let container = |name: &&str| Container { name: (*name).to_owned(), ..Container::default() };
    let spec = PodSpec { containers: containers.iter().map(container).collect(), ..PodSpec::default() };
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some("default".to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectMeta::default()
    };
    Pod {
        pod: uid.parse().unwrap(),
        decision: Decision::default(),
        source: PodSource::Api,
        stage: Stage::Running,
        object: Box::new(PodObject { metadata, spec: Some(spec), status: None }),
    }
}

/// Its status, with one container that runs.
pub(crate) fn status(uid: &str, name: &str, container: &str, id: &str) -> Status {
    let running =
        ContainerState { running: Some(ContainerStateRunning::default()), ..ContainerState::default() };
    let container = ContainerStatus {
        name: container.to_owned(),
        container_id: Some(id.to_owned()),
        state: Some(running),
        ..ContainerStatus::default()
    };
    let status = PodStatus { container_statuses: Some(vec![container]), ..PodStatus::default() };
    Status {
        pod: uid.parse().unwrap(),
        namespace: "default".into(),
        name: name.into(),
        source: PodSource::Api,
        status: Box::new(status),
        mirror: None,
        release: false,
        seen_at: 0,
        life: 0,
    }
}

/// The same in the runtime.
pub(crate) fn runtime_pod(uid: &str, name: &str, container: &str, id: &str) -> RuntimePod {
    let instance = Instance {
        id: id.into(),
        name: container.parse().unwrap(),
        attempt: 0,
        sandbox: "s-1".into(),
        state: InstanceState::Running,
        created_at: 1,
        started_at: 2,
        finished_at: 0,
        exit_code: 0,
        reason: String::new(),
        message: String::new(),
        image: "registry.example/app:1".into(),
        image_ref: "sha256:1".into(),
        hash: String::new(),
        user: None,
        resources: None,
        hook_pending: false,
    };
    RuntimePod {
        pod: uid.parse().unwrap(),
        namespace: "default".into(),
        name: name.into(),
        revision: 1,
        sandboxes: Vec::new(),
        containers: vec![instance],
        images: BTreeMap::new(),
        in_flight: Vec::new(),
        cgroup: true,
        read_at: 0,
    }
}
