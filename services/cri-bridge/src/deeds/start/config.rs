//! Getting everything together that a container's configuration is made from.

use super::{
    Instance,
    environment::{self, EnvironmentError},
};
use crate::{
    adapters::{containerd::RuntimeError, machine, pod_files},
    core::{
        container::{self, ContainerError, Making},
        env::Variables,
        hosts::{self, BadHostname, Hostname},
        mounts::{self, AtHand, SubPath},
        node,
        sandbox::{self, SandboxError},
        security::ImageUser,
        spec::{self, Found},
    },
    deeds::Subject,
};
use chassis::{
    error,
    telemetry::{self, Peer},
};
use futures::future::join_all;
use k8s_openapi::api::core::v1 as core;
use messages::volume_mounter::{BindSubpath, BindSubpathReply, Volumes};
use proto::runtime::v1 as cri;
use std::{collections::BTreeMap, net::IpAddr, path::Path, path::PathBuf, time::Duration};

/// How long volume-mounter is given to bind one sub-path.
const BIND_PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no configuration; the message of `CreateContainerConfigError`.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigError {
    /// By the rules.
    #[error(transparent)]
    Rules(#[from] ContainerError),
    /// The pod's host name.
    #[error(transparent)]
    Hostname(#[from] BadHostname),
    /// The sandbox that it goes into.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The image cannot be looked at.
    #[error("{}", .0.message())]
    Runtime(RuntimeError),
    /// The image is not there any more.
    #[error("image {0:?} is not present")]
    NoImage(String),
    /// The environment.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The volumes went away meanwhile.
    #[error("the pod's volumes are not mounted")]
    NoVolumes,
    /// A sub-path could not be bound.
    #[error("failed to prepare subPath for volumeMount {mount:?} of container {container:?}")]
    SubPath {
        /// The volume.
        mount: String,
        /// The container.
        container: String,
    },
    /// A file could not be written.
    #[error("{0}")]
    File(String),
}

impl ConfigError {
    /// Whether it may be otherwise in a moment, though nothing is changed.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Environment(bad) if bad.is_passing())
    }
}

/// The container's configuration.
pub(super) async fn make(
    subject: &Subject,
    instance: &Instance,
    found: &Found<'_>,
) -> Result<cri::ContainerConfig, ConfigError> {
    let volumes = subject.volumes.clone().ok_or(ConfigError::NoVolumes)?;
    let container = &*found.container;
    let ips = pod_ips(subject);
    let (env, image) =
        futures::join!(environment::of(subject, instance, container, &ips), image(subject, instance, found));
    let (env, (image_ref, image_user)) = (env?, image?);
    let mounts =
        mount(subject, instance, container, Mounting { volumes: &volumes, env: &env, ips: &ips }).await?;
    let making = Making {
        pod: subject.object(),
        container,
        attempt: instance.attempt,
        image_ref: &image_ref,
        image_user: &image_user,
        env,
        mounts,
        volume_groups: &volumes.supplemental_groups,
        target: target(subject, found)?,
    };
    make_log_folder(subject, container)?;
    Ok(container::config(making, &subject.node)?)
}

/// The configuration of the sandbox that it goes into, which the runtime wants to see again.
pub(super) fn sandbox(subject: &Subject) -> Result<cri::PodSandboxConfig, SandboxError> {
    let attempt = subject.active_sandbox().map(|sandbox| sandbox.attempt).unwrap_or_default();
    let groups =
        subject.volumes.as_ref().map(|volumes| volumes.supplemental_groups.clone()).unwrap_or_default();
    sandbox::config(subject.object(), &subject.uid, attempt, &groups, &subject.node).map(|made| made.config)
}

fn pod_ips(subject: &Subject) -> Vec<IpAddr> {
    let of_sandbox = subject.active_sandbox().map(|sandbox| sandbox.ips.as_slice()).unwrap_or_default();
    node::pod_ips(of_sandbox, spec::has_host_network(subject.object()), &subject.node.ips)
}

/// CRI id of the container whose processes an ephemeral one is to see.
fn target<'s>(subject: &'s Subject, found: &Found<'_>) -> Result<Option<&'s str>, ContainerError> {
    let Some(name) = found.target else { return Ok(None) };
    let of_name = subject.containers.iter().find(|it| it.name.as_str() == name);
    of_name.map(|it| Some(it.id.as_str())).ok_or_else(|| ContainerError::NoTarget(name.to_owned()))
}

async fn image(
    subject: &Subject,
    instance: &Instance,
    found: &Found<'_>,
) -> Result<(String, ImageUser), ConfigError> {
    let written = found.container.image.clone().unwrap_or_default();
    let image = instance.image_ref.clone().unwrap_or_else(|| written.clone());
    let spec = cri::ImageSpec { image, ..Default::default() };
    let inspected = subject.world.runtime.image_status(spec);
    let attributes = subject.attributes_of(&instance.container);
    let status = telemetry::noting((Peer::Runtime, "inspect image"), attributes, inspected).await;
    let status = status.map_err(ConfigError::Runtime)?;
    let image = status.ok_or(ConfigError::NoImage(written))?;
    let user = match (&image.uid, image.username.as_str()) {
        (Some(uid), _) => ImageUser::Id(uid.value),
        (None, "") => ImageUser::Id(0),
        (None, name) => ImageUser::Name(name.to_owned()),
    };
    Ok((instance.image_ref.clone().unwrap_or(image.id), user))
}

/// What mounts are made from, besides the container.
#[derive(Clone, Copy)]
struct Mounting<'m> {
    volumes: &'m Volumes,
    env: &'m Variables,
    ips: &'m [IpAddr],
}

async fn mount(
    subject: &Subject,
    instance: &Instance,
    container: &core::Container,
    mounting: Mounting<'_>,
) -> Result<Vec<cri::Mount>, ConfigError> {
    let wanted = mounts::sub_paths(container, mounting.env).map_err(ContainerError::Mount)?;
    let bound = bind(subject, instance, container, wanted).await?;
    let pod_dir = Path::new(&mounting.volumes.pod_dir);
    let hosts = hosts_file(subject, pod_dir, mounting.ips)?;
    let wants_log = container.termination_message_path.as_deref().is_some_and(|path| !path.is_empty());
    let log =
        wants_log.then(|| pod_files::make_termination_log(pod_dir, &instance.container, rand::random()));
    let log = log.transpose().map_err(|bad| ConfigError::File(error::chain(&bad)))?;
    let handler = spec::of(subject.object()).runtime_class_name.clone().unwrap_or_default();
    let at_hand = AtHand {
        volumes: &mounting.volumes.volumes,
        bound: &bound,
        supports_rro: subject.node.rro_handlers.contains(&handler),
        selinux: subject.node.selinux,
        hosts: hosts.as_deref(),
        termination_log: log.as_deref(),
    };
    Ok(mounts::of(container, at_hand).map_err(ContainerError::Mount)?)
}

async fn bind(
    subject: &Subject,
    instance: &Instance,
    container: &core::Container,
    wanted: Vec<SubPath>,
) -> Result<BTreeMap<u32, String>, ConfigError> {
    let bound = wanted.into_iter().map(|sub_path| async move {
        let command = BindSubpath {
            pod: subject.uid.clone(),
            container: instance.container.clone(),
            mount: sub_path.mount,
            path: sub_path.path,
        };
        match subject.world.bus.ask(&command, BIND_PATIENCE).await {
            Ok(BindSubpathReply::Bound { host_path }) => Ok((command.mount, host_path)),
            // What went wrong may tell of the host's files: it goes to the log and not to the pod's author.
            answer => {
                tracing::warn!(pod = %subject.uid, ?answer, "a sub-path could not be bound");
                let volume = container.volume_mounts.iter().flatten().nth(command.mount as usize);
                let mount = volume.map(|volume| volume.name.clone()).unwrap_or_default();
                Err(ConfigError::SubPath { mount, container: container.name.clone() })
            }
        }
    });
    join_all(bound).await.into_iter().collect()
}

/// Writes the hosts file; none while the pod has no address.
fn hosts_file(subject: &Subject, pod_dir: &Path, ips: &[IpAddr]) -> Result<Option<PathBuf>, ConfigError> {
    let pod = subject.object();
    let content = match (spec::has_host_network(pod), ips.is_empty()) {
        (true, _) => hosts::of_host(pod, &machine::hosts_file()),
        (false, true) => return Ok(None),
        (false, false) => hosts::managed(pod, &Hostname::of(pod, &subject.node.resolver.domain)?, ips),
    };
    let written = pod_files::write_hosts(pod_dir, &content);
    written.map(Some).map_err(|bad| ConfigError::File(error::chain(&bad)))
}

fn make_log_folder(subject: &Subject, container: &core::Container) -> Result<(), ConfigError> {
    let Subject { namespace, name, uid, node, .. } = subject;
    let folder = crate::core::names::pod_log_directory(&node.pod_logs, namespace, name, uid);
    let made = pod_files::make_log_folder(&folder.join(&container.name));
    made.map_err(|bad| {
        ConfigError::File(format!("create container log directory failed: {}", error::chain(&bad)))
    })
}
