//! What volume-mounter is asked for and what it says: the pods' volumes on this machine.

use crate::{
    Command, ContainerName, Decision, Fault, Key, Kind, Message, Outcome, Owner, PodUid, Refusal, State,
};
use serde::{Deserialize, Serialize};

/// `volume-mounter.cmd.prepare-volumes.{pod}`: make the pod's folder and mount all its volumes.
/// `Done` when all are there; `Accepted` when it takes longer than a moment. Volume-mounter goes on
/// trying, with back-off, until it succeeds or is told to release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrepareVolumes {
    /// The pod.
    pub pod: PodUid,
    /// The decision carried out.
    pub decision: Decision,
}

/// `volume-mounter.cmd.release-volumes.{pod}`: unmount everything of the pod and remove its folder.
/// No container of the pod may run any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseVolumes {
    /// The pod.
    pub pod: PodUid,
    /// The decision carried out.
    pub decision: Decision,
}

macro_rules! outcome_command {
    ($type:ident, $name:literal) => {
        impl Message for $type {
            const OWNER: Owner = Owner::VolumeMounter;
            const KIND: Kind = Kind::Command;
            const NAME: &'static str = $name;
            fn key(&self) -> Key {
                Key::from(&self.pod)
            }
        }
        impl Command for $type {
            type Reply = Outcome;
            fn refuse(refusal: Refusal) -> Outcome {
                Outcome::Refused { refusal }
            }
            fn refusal(reply: &Outcome) -> Option<&Refusal> {
                match reply {
                    Outcome::Refused { refusal } => Some(refusal),
                    _ => None,
                }
            }
            fn decision(&self) -> Option<Decision> {
                Some(self.decision)
            }
        }
    };
}
outcome_command!(PrepareVolumes, "prepare-volumes");
outcome_command!(ReleaseVolumes, "release-volumes");

/// `volume-mounter.cmd.bind-subpath.{pod}`: bind one `volumeMounts[].subPath` of a container, just
/// before the container is made. The path is checked against the volume's root without following
/// links out of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindSubpath {
    /// The pod.
    pub pod: PodUid,
    /// The container.
    pub container: ContainerName,
    /// Index into the container's `volumeMounts`.
    pub mount: u32,
    /// The path below the volume, with variables already expanded (`subPathExpr`).
    pub path: String,
}

/// Where a sub-path can be mounted from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum BindSubpathReply {
    /// Bound.
    Bound {
        /// The bind mount's path on the host.
        host_path: String,
    },
    /// Tried and failed.
    Failed {
        /// Reason and message.
        fault: Fault,
    },
    /// Not tried.
    Refused {
        /// Why not.
        refusal: Refusal,
    },
}

impl Message for BindSubpath {
    const OWNER: Owner = Owner::VolumeMounter;
    const KIND: Kind = Kind::Command;
    const NAME: &'static str = "bind-subpath";
    fn key(&self) -> Key {
        Key::from(&self.pod)
    }
}
impl Command for BindSubpath {
    type Reply = BindSubpathReply;
    fn refuse(refusal: Refusal) -> BindSubpathReply {
        BindSubpathReply::Refused { refusal }
    }
    fn refusal(reply: &BindSubpathReply) -> Option<&Refusal> {
        match reply {
            BindSubpathReply::Refused { refusal } => Some(refusal),
            _ => None,
        }
    }
}

/// How far a pod's volumes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub enum VolumesPhase {
    /// Being made. `fault` tells why the last try of some volume failed, for `FailedMount`.
    Preparing {
        /// The last failure.
        fault: Option<Fault>,
    },
    /// All are there and kept fresh.
    Ready,
    /// Being taken down.
    Releasing {
        /// The last failure.
        fault: Option<Fault>,
    },
}

/// One volume that is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyVolume {
    /// `spec.volumes[].name`.
    pub name: String,
    /// Where it is on the host. Absent for volumes that the runtime mounts (image volumes).
    pub host_path: Option<String>,
    /// Whether the volume as a whole is read-only, whatever the mount says.
    pub read_only: bool,
    /// Whether the runtime is to relabel it for SELinux.
    pub selinux_relabel: bool,
}

/// `volume-mounter.state.volumes.{pod}`: the pod's volumes. Tombstoned once nothing of them is
/// left: that is the confirmation that they are released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volumes {
    /// The pod.
    pub pod: PodUid,
    /// How far.
    pub phase: VolumesPhase,
    /// Grows with each saying about this pod within an incarnation.
    pub revision: u64,
    /// The volumes that are ready.
    pub volumes: Vec<ReadyVolume>,
    /// `pods/<uid>` on the host.
    pub pod_dir: String,
    /// Supplementary groups that the pod's processes need for its volumes.
    pub supplemental_groups: Vec<i64>,
}

impl Message for Volumes {
    const OWNER: Owner = Owner::VolumeMounter;
    const KIND: Kind = Kind::State;
    const NAME: &'static str = "volumes";
    fn key(&self) -> Key {
        Key::from(&self.pod)
    }
}
impl State for Volumes {}

/// `volume-mounter.state.in-use`: what `node.status.volumesInUse` must show before attachable
/// volumes are mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InUse {
    /// Unique volume names, sorted.
    pub volumes: Vec<String>,
}

impl Message for InUse {
    const OWNER: Owner = Owner::VolumeMounter;
    const KIND: Kind = Kind::State;
    const NAME: &'static str = "in-use";
    fn key(&self) -> Key {
        Key::none()
    }
}
impl State for InUse {}
