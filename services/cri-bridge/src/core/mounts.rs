//! What is mounted into a container: volumes as volume-mounter has them ready, `/etc/hosts` and
//! the termination log. A mount's source never comes from the spec.

use super::{env::Variables, expansion};
use k8s_openapi::api::core::v1 as core;
use messages::volume_mounter::ReadyVolume;
use proto::runtime::v1::{Mount, MountPropagation};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Where the managed hosts file goes, unless the container mounts something there.
const HOSTS: &str = "/etc/hosts";

/// Why a container's mounts can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// No such volume, or it is not ready.
    #[error("cannot find volume {volume:?} to mount into container {container:?}")]
    NoVolume {
        /// The volume.
        volume: String,
        /// The container.
        container: String,
    },
    /// Block devices come with CSI.
    #[error("cannot find volume {volume:?} to pass into container {container:?}")]
    NoDevice {
        /// The volume.
        volume: String,
        /// The container.
        container: String,
    },
    /// The runtime would have to mount the volume itself.
    #[error("volume {0:?} is of a type that this node does not mount yet")]
    NoHostPath(String),
    /// A sub-path was not bound before.
    #[error("subPath of volumeMount {mount:?} of container {container:?} is not bound")]
    NotBound {
        /// The volume.
        mount: String,
        /// The container.
        container: String,
    },
    /// `subPathExpr` names variables that are unset or empty.
    #[error("missing value for {0}")]
    MissingValue(String),
    /// A sub-path from the root.
    #[error("error SubPath `{0}` must not be an absolute path")]
    Absolute(String),
    /// A sub-path that leads upwards.
    #[error("unable to provision SubPath `{0}`: must not contain '..'")]
    Upwards(String),
    /// No such propagation.
    #[error("invalid MountPropagation mode: {0:?}")]
    Propagation(String),
    /// `recursiveReadOnly` where it cannot be.
    #[error("failed to resolve recursive read-only mode: {0}")]
    RecursiveReadOnly(String),
}

/// A sub-path to be bound before the container is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubPath {
    /// Index into `volumeMounts`.
    pub mount: u32,
    /// The path below the volume, variables expanded.
    pub path: String,
}

/// The sub-paths of a container.
///
/// # Errors
/// When one leads out of its volume, or names a variable that has no value.
pub fn sub_paths(container: &core::Container, env: &Variables) -> Result<Vec<SubPath>, MountError> {
    let mut wanted = Vec::new();
    for (index, mount) in (0_u32..).zip(container.volume_mounts.iter().flatten()) {
        let path = match mount.sub_path_expr.as_deref().filter(|path| !path.is_empty()) {
            Some(expression) => expanded(expression, env)?,
            None => mount.sub_path.clone().unwrap_or_default(),
        };
        if path.starts_with('/') {
            return Err(MountError::Absolute(path));
        }
        if path.split('/').any(|part| part == "..") {
            return Err(MountError::Upwards(path));
        }
        if !path.is_empty() {
            wanted.push(SubPath { mount: index, path });
        }
    }
    Ok(wanted)
}

fn expanded(expression: &str, env: &Variables) -> Result<String, MountError> {
    let mut missing = BTreeSet::new();
    let path = expansion::expand(expression, |name| {
        let value = env.get(name).filter(|value| !value.is_empty());
        if value.is_none() {
            missing.insert(name.to_owned());
        }
        value.map(String::as_str)
    });
    if missing.is_empty() {
        return Ok(path);
    }
    Err(MountError::MissingValue(missing.into_iter().collect::<Vec<_>>().join(", ")))
}

/// What is at hand for the mounts.
#[derive(Debug, Clone, Copy)]
pub struct AtHand<'h> {
    /// The pod's ready volumes.
    pub volumes: &'h [ReadyVolume],
    /// Bound sub-paths, by index into `volumeMounts`.
    pub bound: &'h BTreeMap<u32, String>,
    /// The runtime handler knows recursive read-only mounts.
    pub supports_rro: bool,
    /// The machine has SELinux.
    pub selinux: bool,
    /// The pod's hosts file; `None` while it has no address.
    pub hosts: Option<&'h Path>,
    /// The file for this instance's termination message.
    pub termination_log: Option<&'h Path>,
}

/// The container's mounts.
///
/// # Errors
/// When one cannot be made.
pub fn of(container: &core::Container, at_hand: AtHand) -> Result<Vec<Mount>, MountError> {
    if let Some(device) = container.volume_devices.iter().flatten().next() {
        let container = container.name.clone();
        return Err(MountError::NoDevice { volume: device.name.clone(), container });
    }
    let mut mounts = Vec::new();
    for (index, mount) in (0_u32..).zip(container.volume_mounts.iter().flatten()) {
        mounts.push(of_volume(container, index, mount, at_hand)?);
    }
    let mounts_hosts = mounts.iter().any(|mount| mount.container_path == HOSTS);
    let hosts = at_hand.hosts.filter(|_| !mounts_hosts).map(|file| of_file(file, HOSTS, at_hand));
    let message_path = container.termination_message_path.as_deref().filter(|path| !path.is_empty());
    let log = at_hand.termination_log.zip(message_path).map(|(file, path)| of_file(file, path, at_hand));
    mounts.extend(hosts);
    mounts.extend(log);
    Ok(mounts)
}

fn of_volume(
    container: &core::Container,
    index: u32,
    mount: &core::VolumeMount,
    at_hand: AtHand,
) -> Result<Mount, MountError> {
    let of_name = |volume: &&ReadyVolume| volume.name == mount.name;
    let volume = at_hand.volumes.iter().find(of_name).ok_or_else(|| MountError::NoVolume {
        volume: mount.name.clone(),
        container: container.name.clone(),
    })?;
    let has_sub_path =
        [&mount.sub_path, &mount.sub_path_expr].into_iter().flatten().any(|path| !path.is_empty());
    let host_path = if has_sub_path {
        let not_bound =
            || MountError::NotBound { mount: mount.name.clone(), container: container.name.clone() };
        at_hand.bound.get(&index).ok_or_else(not_bound)?
    } else {
        volume.host_path.as_ref().ok_or_else(|| MountError::NoHostPath(mount.name.clone()))?
    };
    Ok(Mount {
        container_path: absolute(&mount.mount_path),
        host_path: host_path.clone(),
        readonly: mount.read_only.unwrap_or_default() || volume.read_only,
        selinux_relabel: volume.selinux_relabel && at_hand.selinux,
        propagation: propagation(mount)?.into(),
        recursive_read_only: recursive_read_only(mount, at_hand.supports_rro)?,
        ..Mount::default()
    })
}

fn of_file(file: &Path, container_path: &str, at_hand: AtHand) -> Mount {
    Mount {
        container_path: absolute(container_path),
        host_path: file.to_string_lossy().into_owned(),
        selinux_relabel: at_hand.selinux,
        ..Mount::default()
    }
}

/// Whether two spellings mean the same place in a container, as the termination log is found by.
pub fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn propagation(mount: &core::VolumeMount) -> Result<MountPropagation, MountError> {
    match mount.mount_propagation.as_deref() {
        None | Some("None") => Ok(MountPropagation::PropagationPrivate),
        Some("HostToContainer") => Ok(MountPropagation::PropagationHostToContainer),
        Some("Bidirectional") => Ok(MountPropagation::PropagationBidirectional),
        Some(other) => Err(MountError::Propagation(other.to_owned())),
    }
}

/// KEP-3857.
fn recursive_read_only(mount: &core::VolumeMount, supported: bool) -> Result<bool, MountError> {
    let refuse = |why: &str| {
        let sentence = format!("volume {:?} requested recursive read-only mode, but it is {why}", mount.name);
        Err(MountError::RecursiveReadOnly(sentence))
    };
    let mode = mount.recursive_read_only.as_deref().unwrap_or("Disabled");
    let propagation = mount.mount_propagation.as_deref().unwrap_or("None");
    match mode {
        "Disabled" => Ok(false),
        "IfPossible" | "Enabled" if mount.read_only != Some(true) => refuse("not read-only"),
        "IfPossible" | "Enabled" if propagation != "None" => {
            refuse(&format!("not compatible with propagation {propagation:?}"))
        }
        "Enabled" if !supported => refuse("not supported by the runtime"),
        "IfPossible" | "Enabled" => Ok(supported),
        other => Err(MountError::RecursiveReadOnly(format!("unknown recursive read-only mode {other:?}"))),
    }
}

#[cfg(test)]
mod tests;
