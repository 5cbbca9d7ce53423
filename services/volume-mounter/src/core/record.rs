//! What the journal keeps of a pod: the mounts and folders that this service owns, and what can't be
//! read back from them. Written before a mount is made and again once it is.

use super::{path::VolumeName, token::Lease};
use messages::{PodUid, volume_mounter::ReadyVolume};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

/// A pod's entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The pod.
    pub pod: PodUid,
    /// `metadata.namespace`, for events.
    pub namespace: String,
    /// `metadata.name`, for events.
    pub name: String,
    /// The API server has confirmed the pod's volumes.
    pub checked: bool,
    /// It was told to release.
    pub releasing: bool,
    /// Volumes by name.
    pub volumes: BTreeMap<String, Owned>,
}

/// A volume's entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// Where it is on the host.
    pub host_path: Option<String>,
    /// A file system of its own is mounted there, or is about to be.
    pub mounted: bool,
    /// It was made whole at least once; until then the entry is an intent.
    pub ready: bool,
    /// Containers may only read it.
    pub read_only: bool,
    /// The runtime is to relabel it.
    pub selinux_relabel: bool,
    /// The tokens in it, by path.
    pub leases: BTreeMap<String, Lease>,
}

impl Record {
    /// An entry that owns nothing yet.
    pub fn new(pod: PodUid, namespace: String, name: String) -> Self {
        Self { pod, namespace, name, checked: false, releasing: false, volumes: BTreeMap::new() }
    }

    /// Takes back what does not stand any more, as after a reboot. `stands` is told a path and whether
    /// something of ours must be mounted on it.
    pub fn keep_standing(&mut self, stands: impl Fn(&Path, bool) -> bool) {
        for owned in self.volumes.values_mut() {
            if owned.host_path.as_deref().is_some_and(|path| !stands(Path::new(path), owned.mounted)) {
                (owned.ready, owned.leases) = (false, BTreeMap::new());
            }
        }
    }

    /// The volumes that are whole, as the bus tells of them.
    pub fn ready(&self) -> Vec<ReadyVolume> {
        let ready = self.volumes.iter().filter(|(_, owned)| owned.ready);
        ready.map(|(name, owned)| owned.told(name)).collect()
    }

    /// A volume that is whole.
    pub fn ready_volume(&self, name: &str) -> Option<ReadyVolume> {
        let owned = self.volumes.get(name).filter(|owned| owned.ready)?;
        Some(owned.told(name))
    }

    /// Each volume's name, and whether it is whole. Names that are none have come from a damaged
    /// journal and are left out.
    pub fn names(&self) -> BTreeMap<VolumeName, bool> {
        let name = |(name, owned): (&String, &Owned)| Some((VolumeName::parse(name).ok()?, owned.ready));
        self.volumes.iter().filter_map(name).collect()
    }
}

impl Owned {
    fn told(&self, name: &str) -> ReadyVolume {
        ReadyVolume {
            name: name.to_owned(),
            host_path: self.host_path.clone(),
            read_only: self.read_only,
            selinux_relabel: self.selinux_relabel,
        }
    }
}
