//! A pod as the runtime holds it.

use crate::{ContainerName, Decision, Fault, Key, Kind, Message, Owner, PodUid, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One sandbox (`runtime.v1.PodSandboxStatus`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// CRI id.
    pub id: String,
    /// `metadata.attempt`.
    pub attempt: u32,
    /// State is `SANDBOX_READY`.
    pub ready: bool,
    /// Nanoseconds since the Unix epoch.
    pub created_at: i64,
    /// The network namespace is the node's.
    pub host_network: bool,
    /// Addresses as the runtime gives them, primary first; empty for the host's network.
    pub ips: Vec<String>,
}

/// Where a container instance is in its life (`runtime.v1.ContainerState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerState {
    /// Made, not started.
    Created,
    /// Started.
    Running,
    /// Ended.
    Exited,
    /// The runtime does not know.
    Unknown,
}

/// One instance of a container (`runtime.v1.ContainerStatus`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// CRI id.
    pub id: String,
    /// Label `io.kubernetes.container.name`.
    pub name: ContainerName,
    /// `metadata.attempt`, the restart count.
    pub attempt: u32,
    /// The sandbox it belongs to.
    pub sandbox: String,
    /// Its state.
    pub state: ContainerState,
    /// Nanoseconds since the Unix epoch, 0 when it has not happened.
    pub created_at: i64,
    /// As `created_at`.
    pub started_at: i64,
    /// As `created_at`.
    pub finished_at: i64,
    /// Meaningful once exited.
    pub exit_code: i32,
    /// Such as `Completed`, `Error`, `OOMKilled`; empty while running.
    pub reason: String,
    /// The runtime's message and the container's termination message, joined by `: `.
    pub message: String,
    /// The image as the user wrote it.
    pub image: String,
    /// `image_ref`, which becomes `status.imageID`.
    pub image_ref: String,
    /// Annotation `io.kubernetes.container.hash`: a number in hex, of image and name only.
    pub hash: String,
    /// The user that its first process runs as, where the runtime tells.
    pub user: Option<LinuxUser>,
    /// Resources in force, as the runtime tells them.
    pub resources: Option<Resources>,
    /// The postStart hook of this instance failed or has not ended.
    pub hook_pending: bool,
}

/// `status.containerStatuses[].user.linux`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinuxUser {
    /// User id.
    pub uid: i64,
    /// Primary group id.
    pub gid: i64,
    /// All supplementary group ids.
    pub supplemental_groups: Vec<i64>,
}

/// Resources of a running container as its cgroup has them; 0 where unset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// CPU shares (cgroup v1 scale).
    pub cpu_shares: i64,
    /// CPU quota in microseconds per period.
    pub cpu_quota: i64,
    /// CPU period in microseconds.
    pub cpu_period: i64,
    /// Memory limit in bytes.
    pub memory_limit: i64,
}

/// How having an image goes. Keyed by the image as the spec writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "image", rename_all = "kebab-case")]
pub enum ImageState {
    /// A pull is under way.
    Pulling,
    /// It is there.
    Present {
        /// What to give to CreateContainer.
        image_ref: String,
    },
    /// The last try failed. Back-off is pod-lifecycle's: it asks again when it is time.
    Failed {
        /// `ErrImagePull`, `ErrImageNeverPull`, `InvalidImageName`, `ImageInspectError`, …
        fault: Fault,
        /// Nanoseconds since the Unix epoch.
        at: i64,
        /// How many tries in a row have failed.
        failures: u32,
    },
}

/// What cri-bridge is doing for a pod, or last failed to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// What.
    pub deed: Deed,
    /// The decision it carries out.
    pub decision: Decision,
    /// `None` while it is under way; the fault once it failed. A deed that was done is not
    /// listed: its result stands in the rest of the state.
    pub failed: Option<Fault>,
    /// When it began or failed, nanoseconds since the Unix epoch.
    pub at: i64,
}

/// One of the deeds that may take long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "kebab-case")]
pub enum Deed {
    /// `ensure-sandbox`.
    Sandbox {
        /// The attempt.
        attempt: u32,
    },
    /// `start-container`.
    Start {
        /// The container.
        container: ContainerName,
        /// The attempt.
        attempt: u32,
    },
    /// `stop-container`.
    Stop {
        /// The container.
        container: ContainerName,
        /// CRI id.
        container_id: String,
    },
    /// `stop-pod`.
    StopPod,
    /// `forget-pod`.
    Forget,
}

/// `cri-bridge.state.runtime-pod.{pod}`: everything the runtime holds of one pod, read back at
/// once after each own deed and at each runtime event. Also said of pods that nobody wants
/// (orphans), so that pod-lifecycle can have them stopped. Tombstoned when nothing is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimePod {
    /// Label `io.kubernetes.pod.uid`.
    pub pod: PodUid,
    /// Label `io.kubernetes.pod.namespace`.
    pub namespace: String,
    /// Label `io.kubernetes.pod.name`.
    pub name: String,
    /// Grows with each saying about this pod within an incarnation.
    pub revision: u64,
    /// All sandboxes, newest (greatest attempt) first.
    pub sandboxes: Vec<Sandbox>,
    /// All instances of all containers, by name, newest (greatest attempt) first.
    pub containers: Vec<Container>,
    /// Images that were asked for, by the image as the spec writes it.
    pub images: BTreeMap<String, ImageState>,
    /// Deeds under way and deeds that failed, the latest of each kind and container.
    pub in_flight: Vec<InFlight>,
    /// The pod's cgroup exists.
    pub cgroup: bool,
    /// When the runtime was read, nanoseconds since the Unix epoch.
    pub read_at: i64,
}

impl Message for RuntimePod {
    const OWNER: Owner = Owner::CriBridge;
    const KIND: Kind = Kind::State;
    const NAME: &'static str = "runtime-pod";
    fn key(&self) -> Key {
        Key::from(&self.pod)
    }
}
impl State for RuntimePod {}
