//! What a pod may need done by others.

use messages::{cri_bridge, pod_lifecycle::ContainerKind};

/// One deed, without the pod and decision that it is asked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Mount all volumes.
    PrepareVolumes,
    /// Unmount them.
    ReleaseVolumes,
    /// Have a container's image.
    Pull {
        /// The container.
        container: String,
        /// For which attempt of it.
        attempt: u32,
        /// The image, by which the runtime's owner reports.
        image: String,
    },
    /// Make a sandbox of this attempt.
    Sandbox {
        /// The attempt.
        attempt: u32,
        /// It waits for the volumes.
        volumes_first: bool,
    },
    /// Start an instance of a container.
    Start {
        /// The container.
        container: String,
        /// Which list it stands in.
        kind: ContainerKind,
        /// The attempt.
        attempt: u32,
    },
    /// Stop an instance of a container.
    Stop {
        /// The container.
        container: String,
        /// The instance.
        id: String,
        /// Seconds until it is killed.
        grace_seconds: u64,
        /// The sentence for the event.
        why: String,
        /// It is started again afterwards, whatever it exits with.
        restarts: bool,
    },
    /// Stop everything of the pod.
    StopPod {
        /// Seconds that containers are given.
        grace_seconds: u64,
    },
    /// Give back what a stopped pod still holds in the runtime.
    Forget {
        /// Dead containers, sandboxes and logs too.
        remove_containers: bool,
    },
}

/// Of each key, at most one deed is in flight.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Prepare or release.
    Volumes,
    /// A container's image.
    Image(String),
    /// The sandbox.
    Sandbox,
    /// A container's start or stop.
    Container(String),
    /// Stop all.
    StopPod,
    /// Forget all.
    Forget,
}

impl Deed {
    /// What it excludes others by.
    pub fn key(&self) -> Key {
        match self {
            Self::PrepareVolumes | Self::ReleaseVolumes => Key::Volumes,
            Self::Pull { container, .. } => Key::Image(container.clone()),
            Self::Sandbox { .. } => Key::Sandbox,
            Self::Start { container, .. } | Self::Stop { container, .. } => Key::Container(container.clone()),
            Self::StopPod { .. } => Key::StopPod,
            Self::Forget { .. } => Key::Forget,
        }
    }

    /// Whether the runtime's owner carries it out.
    pub fn is_of_the_runtime(&self) -> bool {
        !matches!(self, Self::PrepareVolumes | Self::ReleaseVolumes)
    }

    /// Whether it is done where its owner says nothing of the pod.
    pub fn leaves_nothing(&self) -> bool {
        matches!(self, Self::ReleaseVolumes | Self::StopPod { .. } | Self::Forget { .. })
    }

    /// Whether it takes away all that its owner could say of the pod.
    pub fn ends_in_nothing(&self) -> bool {
        matches!(self, Self::ReleaseVolumes | Self::Forget { remove_containers: true })
    }

    /// Whether an entry of the runtime owner's list of deeds is about this one.
    pub fn is_listed_as(&self, listed: &cri_bridge::Deed) -> bool {
        use cri_bridge::Deed as Listed;
        match (self, listed) {
            (Self::Sandbox { .. }, Listed::Sandbox { .. })
            | (Self::StopPod { .. }, Listed::StopPod)
            | (Self::Forget { .. }, Listed::Forget) => true,
            (
                Self::Start { container, .. } | Self::Stop { container, .. },
                Listed::Start { container: name, .. } | Listed::Stop { container: name, .. },
            ) => container == name.as_str(),
            _ => false,
        }
    }
}
