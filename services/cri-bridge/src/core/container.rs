//! A container of a pod becomes a container's configuration (`kuberuntime_container.go`).

use super::{
    env::Variables,
    expansion, labels,
    mounts::MountError,
    names,
    node::Node,
    resources::{BadDemand, PodDemand},
    security::{self, BadSecurity, ImageUser, Subject},
};
use k8s_openapi::api::core::v1 as core;
use proto::runtime::v1 as cri;

/// Why a container has no configuration; the message of `CreateContainerConfigError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// Its mounts.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// Its security context.
    #[error(transparent)]
    Security(#[from] BadSecurity),
    /// Its numbers.
    #[error(transparent)]
    Demand(#[from] BadDemand),
    /// The container whose processes it is to see.
    #[error("unable to find target container {0}")]
    NoTarget(String),
}

/// What a container's configuration is made from.
#[derive(Debug)]
pub struct Making<'m> {
    /// The pod.
    pub pod: &'m core::Pod,
    /// The container.
    pub container: &'m core::Container,
    /// Which instance.
    pub attempt: u32,
    /// What the image is called in the runtime.
    pub image_ref: &'m str,
    /// Whom the image runs as.
    pub image_user: &'m ImageUser,
    /// The environment.
    pub env: Variables,
    /// The mounts.
    pub mounts: Vec<cri::Mount>,
    /// Groups that the pod's volumes need.
    pub volume_groups: &'m [i64],
    /// CRI id of an ephemeral container's target.
    pub target: Option<&'m str>,
}

/// The configuration.
///
/// # Errors
/// When the spec asks for what cannot be.
pub fn config(making: Making, node: &Node) -> Result<cri::ContainerConfig, ContainerError> {
    let Making { pod, container, attempt, env, .. } = making;
    let subject = Subject {
        pod,
        container,
        image_user: making.image_user,
        volume_groups: making.volume_groups,
        target: making.target,
    };
    let linux = cri::LinuxContainerConfig {
        resources: Some(node.machine.container(pod, &PodDemand::of(pod)?, &container.name)),
        security_context: Some(security::of_container(subject, &node.defaults)?),
    };
    let expand = |texts: Option<&Vec<String>>| -> Vec<String> {
        let value_of = |name: &str| env.get(name).map(String::as_str);
        texts.into_iter().flatten().map(|text| expansion::expand(text, value_of)).collect()
    };
    Ok(cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata { name: container.name.clone(), attempt }),
        image: Some(image(container, making.image_ref)),
        command: expand(container.command.as_ref()),
        args: expand(container.args.as_ref()),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        labels: labels::of_container(pod, container),
        annotations: labels::annotations(pod, container, attempt),
        log_path: names::log_path(&container.name, attempt),
        stdin: container.stdin.unwrap_or_default(),
        stdin_once: container.stdin_once.unwrap_or_default(),
        tty: container.tty.unwrap_or_default(),
        envs: env.into_iter().map(|(key, value)| cri::KeyValue { key, value }).collect(),
        mounts: making.mounts,
        devices: Vec::new(),
        linux: Some(linux),
    })
}

fn image(container: &core::Container, image_ref: &str) -> cri::ImageSpec {
    cri::ImageSpec {
        image: image_ref.to_owned(),
        user_specified_image: container.image.clone().unwrap_or_default(),
        ..Default::default()
    }
}

/// The command of an exec probe or hook. Only literal values of the spec are expanded: what comes
/// from secrets does not end up in a command line.
pub fn static_command(container: &core::Container, command: &[String]) -> Vec<String> {
    let env: Variables = container
        .env
        .iter()
        .flatten()
        .map(|var| (var.name.clone(), var.value.clone().unwrap_or_default()))
        .collect();
    let value_of = |name: &str| env.get(name).map(String::as_str);
    command.iter().map(|text| expansion::expand(text, value_of)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::samples;
    use serde_json::json;

    #[test]
    fn a_container_is_told_what_to_run_and_how_it_is_found() {
        let pod = samples::pod(json!({"containers": [{
            "name": "app", "image": "busybox", "command": ["sh", "-c", "echo $(WHO)"], "args": ["$(NO)", "$$(WHO)"],
            "workingDir": "/w", "tty": true,
        }]}));
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let making = Making {
            pod: &pod,
            container,
            attempt: 3,
            image_ref: "sha256:1",
            image_user: &ImageUser::Id(0),
            env: [("WHO".to_owned(), "me".to_owned())].into(),
            mounts: Vec::new(),
            volume_groups: &[],
            target: None,
        };
        let config = config(making, &samples::node()).unwrap();
        assert_eq!(config.command, ["sh", "-c", "echo me"]);
        assert_eq!(config.args, ["$(NO)", "$(WHO)"]);
        assert_eq!(config.log_path, "app/3.log");
        assert_eq!(config.envs, [cri::KeyValue { key: "WHO".into(), value: "me".into() }]);
        let image = config.image.unwrap();
        assert_eq!((image.image.as_str(), image.user_specified_image.as_str()), ("sha256:1", "busybox"));
        assert_eq!(config.annotations["io.kubernetes.container.restartCount"], "3");
        assert_eq!(config.labels["io.kubernetes.pod.uid"], "u-1");
        assert_eq!(config.linux.unwrap().resources.unwrap().oom_score_adj, 1000);
        assert!(config.tty && !config.stdin);
    }

    #[test]
    fn a_probes_command_sees_literal_values_only() {
        let container: core::Container = serde_json::from_value(json!({"name": "app", "env": [
            {"name": "A", "value": "1"},
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ]}))
        .unwrap();
        let command = ["$(A)".to_owned(), "$(S)".to_owned(), "$(B)".to_owned()];
        assert_eq!(static_command(&container, &command), ["1", "", "$(B)"]);
    }
}
