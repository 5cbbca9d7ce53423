//! The runtime and the machine, as far as the node object tells of them.

use crate::{Key, Kind, Message, Owner, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A condition of `runtime.v1.RuntimeStatus`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// `RuntimeReady` or `NetworkReady`.
    pub kind: String,
    /// Whether it holds.
    pub holds: bool,
    /// A CamelCase reason.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// A runtime handler and what it can do (`runtime.v1.RuntimeHandler`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeHandler {
    /// Empty for the default.
    pub name: String,
    /// Recursive read-only mounts.
    pub recursive_read_only_mounts: bool,
    /// User namespaces.
    pub user_namespaces: bool,
}

/// `cri-bridge.state.runtime`: the runtime itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    /// The CRI socket answers. When not, the rest is what was last known.
    pub reachable: bool,
    /// What went wrong while it does not answer; empty otherwise.
    pub error: String,
    /// `Version.runtime_name`, such as `containerd`.
    pub name: String,
    /// `Version.runtime_version`.
    pub version: String,
    /// Conditions.
    pub conditions: Vec<Condition>,
    /// Handlers.
    pub handlers: Vec<RuntimeHandler>,
    /// `features.supplemental_groups_policy`.
    pub supplemental_groups_policy: bool,
    /// `GetContainerEvents` is served.
    pub events: bool,
    /// `systemd` or `cgroupfs`, as agreed with the runtime.
    pub cgroup_driver: String,
}

impl Message for Runtime {
    const OWNER: Owner = Owner::CriBridge;
    const KIND: Kind = Kind::State;
    const NAME: &'static str = "runtime";
    fn key(&self) -> Key {
        Key::none()
    }
}
impl State for Runtime {}

/// A file system's size and use in bytes and inodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filesystem {
    /// Bytes in all.
    pub capacity: u64,
    /// Bytes free to unprivileged writers.
    pub available: u64,
    /// Inodes in all.
    pub inodes: u64,
    /// Inodes free.
    pub inodes_free: u64,
}

/// An image in the runtime's store, for `node.status.images`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Digests, then tags; at most five.
    pub names: Vec<String>,
    /// Bytes.
    pub size: u64,
}

/// `cri-bridge.state.machine`: the machine under the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Logical CPUs.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of swap.
    pub swap: u64,
    /// Bytes of each huge page size in all, keyed by the size's Kubernetes name (`2Mi`).
    pub hugepages: BTreeMap<String, u64>,
    /// The file system of the root folder.
    pub nodefs: Filesystem,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// `/sys/class/dmi/id/product_uuid`, or the machine id where there is none.
    pub system_uuid: String,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// `uname -r`.
    pub kernel_version: String,
    /// `PRETTY_NAME` of `/etc/os-release`.
    pub os_image: String,
    /// cgroup version of the host: 1 or 2.
    pub cgroup_version: u8,
    /// Biggest images first, at most `nodeStatusMaxImages`.
    pub images: Vec<Image>,
}

impl Message for Machine {
    const OWNER: Owner = Owner::CriBridge;
    const KIND: Kind = Kind::State;
    const NAME: &'static str = "machine";
    fn key(&self) -> Key {
        Key::none()
    }
}
impl State for Machine {}
