//! The runtime's answers in the contract's words.

use super::{
    env::Variables,
    labels::{self, PodIdentity, Remembered},
};
use messages::cri_bridge::{Container, ContainerState, LinuxUser, Resources, Sandbox};
use proto::runtime::v1 as cri;
use serde::Deserialize;
use std::collections::HashMap;

/// A sandbox, and whose it is; `None` for what no kubelet made.
pub fn sandbox(status: &cri::PodSandboxStatus) -> Option<(PodIdentity, Sandbox)> {
    let identity = PodIdentity::of(&status.labels)?;
    let namespaces = status.linux.as_ref().and_then(|linux| linux.namespaces.as_ref()?.options.as_ref());
    let network = status.network.clone().unwrap_or_default();
    let additional = network.additional_ips.into_iter().map(|ip| ip.ip);
    let ips = [network.ip].into_iter().chain(additional).filter(|ip| !ip.is_empty()).collect();
    let sandbox = Sandbox {
        id: status.id.clone(),
        attempt: status.metadata.as_ref().map(|metadata| metadata.attempt).unwrap_or_default(),
        ready: status.state() == cri::PodSandboxState::SandboxReady,
        created_at: status.created_at,
        host_network: namespaces.is_some_and(|options| options.network() == cri::NamespaceMode::Node),
        ips,
    };
    Some((identity, sandbox))
}

/// A container instance; `None` for what no kubelet made. `own_message` is its termination
/// message, `sandbox` the one it belongs to, which its status does not tell.
pub fn container(status: &cri::ContainerStatus, sandbox: &str, own_message: &str) -> Option<Container> {
    let remembered = Remembered::of(&status.annotations);
    let metadata_attempt = status.metadata.as_ref().map(|metadata| metadata.attempt).unwrap_or_default();
    let state = state(status.state());
    let has_exited = state == ContainerState::Exited;
    Some(Container {
        id: status.id.clone(),
        name: labels::container_name(&status.labels)?,
        attempt: remembered.restart_count.unwrap_or(metadata_attempt),
        sandbox: sandbox.to_owned(),
        state,
        created_at: status.created_at,
        started_at: if state == ContainerState::Created { 0 } else { status.started_at },
        finished_at: if has_exited { status.finished_at } else { 0 },
        exit_code: if has_exited { status.exit_code } else { 0 },
        reason: if has_exited { status.reason.clone() } else { String::new() },
        message: super::termination::joined(&status.message, own_message),
        image: status.image.as_ref().map(|image| image.image.clone()).unwrap_or_default(),
        image_ref: status.image_ref.clone(), // and not image_id, which names no registry
        hash: remembered.hash,
        user: status.user.as_ref().and_then(|user| user.linux.as_ref()).map(user),
        resources: status.resources.as_ref().and_then(|all| all.linux.as_ref()).map(resources),
        hook_pending: false,
    })
}

/// The environment of a container as its verbose status tells it: `process.env` of the OCI runtime
/// specification, which containerd and CRI-O show under the same name. `None` where a runtime does not.
pub fn environment(info: &HashMap<String, String>) -> Option<Variables> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Info {
        runtime_spec: Spec,
    }
    #[derive(Deserialize)]
    struct Spec {
        process: Process,
    }
    #[derive(Deserialize)]
    struct Process {
        env: Vec<String>,
    }
    let info: Info = serde_json::from_str(info.get("info")?).ok()?;
    let split = |variable: String| variable.split_once('=').map(|(name, value)| (name.into(), value.into()));
    info.runtime_spec.process.env.into_iter().map(split).collect()
}

/// A container's state in the contract's words.
pub fn state(state: cri::ContainerState) -> ContainerState {
    match state {
        cri::ContainerState::ContainerCreated => ContainerState::Created,
        cri::ContainerState::ContainerRunning => ContainerState::Running,
        cri::ContainerState::ContainerExited => ContainerState::Exited,
        cri::ContainerState::ContainerUnknown => ContainerState::Unknown,
    }
}

fn user(user: &cri::LinuxContainerUser) -> LinuxUser {
    LinuxUser { uid: user.uid, gid: user.gid, supplemental_groups: user.supplemental_groups.clone() }
}

fn resources(resources: &cri::LinuxContainerResources) -> Resources {
    Resources {
        cpu_shares: resources.cpu_shares,
        cpu_quota: resources.cpu_quota,
        cpu_period: resources.cpu_period,
        memory_limit: resources.memory_limit_in_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::samples;
    use serde_json::json;

    fn labels_of_pod() -> HashMap<String, String> {
        labels::of_sandbox(&samples::pod(json!({"containers": []})))
    }

    fn status() -> cri::ContainerStatus {
        let pod = samples::pod(json!({"containers": [{"name": "app", "image": "busybox"}]}));
        let container = &pod.spec.as_ref().unwrap().containers[0];
        cri::ContainerStatus {
            id: "c1".into(),
            state: cri::ContainerState::ContainerExited.into(),
            started_at: 5,
            finished_at: 9,
            exit_code: 3,
            reason: "Error".into(),
            message: "runtime".into(),
            labels: labels::of_container(&pod, container),
            annotations: labels::annotations(&pod, container, 4),
            image_ref: "docker.io/library/busybox@sha256:1".into(),
            ..Default::default()
        }
    }

    #[test]
    fn a_sandbox_is_read_with_its_addresses() {
        let ip = |ip: &str| cri::PodIp { ip: ip.into() };
        let status = cri::PodSandboxStatus {
            id: "s1".into(),
            metadata: Some(cri::PodSandboxMetadata { attempt: 2, ..Default::default() }),
            labels: labels_of_pod(),
            network: Some(cri::PodSandboxNetworkStatus {
                ip: "10.1.0.5".into(),
                additional_ips: vec![ip("fd00::5")],
            }),
            ..Default::default()
        };
        let (identity, sandbox) = super::sandbox(&status).unwrap();
        assert_eq!((identity.name.as_str(), sandbox.attempt, sandbox.ready), ("web", 2, true));
        assert_eq!(sandbox.ips, ["10.1.0.5", "fd00::5"]);
        assert!(!sandbox.host_network);
    }

    #[test]
    fn a_container_is_read_with_what_its_annotations_remember() {
        let container = container(&status(), "s1", "own").unwrap();
        assert_eq!(
            (container.name.as_str(), container.attempt, container.sandbox.as_str()),
            ("app", 4, "s1")
        );
        assert_eq!((container.state, container.exit_code), (ContainerState::Exited, 3));
        assert_eq!(container.message, "runtime: own");
        assert_eq!(container.image_ref, "docker.io/library/busybox@sha256:1");
        assert!(!container.hash.is_empty());
    }

    #[test]
    fn what_has_not_happened_is_not_told() {
        let created =
            cri::ContainerStatus { state: cri::ContainerState::ContainerCreated.into(), ..status() };
        let container = container(&created, "s1", "").unwrap();
        assert_eq!((container.started_at, container.finished_at, container.exit_code), (0, 0, 0));
        assert_eq!(container.reason, "");
    }

    #[test]
    fn foreign_things_are_nobodys() {
        assert!(super::sandbox(&cri::PodSandboxStatus::default()).is_none());
        assert!(container(&cri::ContainerStatus::default(), "s", "").is_none());
    }
    #[test]
    fn an_environment_is_read_from_what_the_runtime_shows() {
        let of = |info: serde_json::Value| environment(&HashMap::from([("info".into(), info.to_string())]));
        let shown = json!({"pid": 7, "runtimeSpec": {"process": {"env": ["A=1", "B=x=y", "C="]}}});
        let want = [("A", "1"), ("B", "x=y"), ("C", "")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(of(shown), Some(Variables::from(want)));
        assert_eq!(of(json!({"runtimeSpec": {"process": {"env": ["no value"]}}})), None);
        assert_eq!(of(json!({"pid": 7})), None);
        assert_eq!(environment(&HashMap::new()), None);
    }
}
