//! What a pod finds on the machine before its sandbox is made: cgroups in every hierarchy, a folder with its hosts file
//! and termination log, a token volume in memory, a log folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount, umount};
use tests::cgroups;

use crate::stage::{NAMESPACE, Stage};

/// Where the furniture of all pods stands.
pub(crate) struct Furniture {
    pods: PathBuf,
    logs: PathBuf,
    cgroup: String,
}

/// One pod's furniture.
#[derive(Clone)]
pub(crate) struct Room {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) folder: PathBuf,
    pub(crate) logs: PathBuf,
    /// The cgroup of the pod, as the runtime is told it.
    pub(crate) cgroup: String,
}

impl Room {
    /// `/etc/hosts` of its container.
    pub(crate) fn hosts(&self) -> PathBuf {
        self.folder.join("etc-hosts")
    }

    /// Where its container leaves a last word.
    pub(crate) fn last_word(&self) -> PathBuf {
        self.folder.join("containers/pause/0")
    }

    /// The volume that every pod gets.
    pub(crate) fn token(&self) -> PathBuf {
        self.folder.join("volumes/kubernetes.io~projected/kube-api-access")
    }
}

impl Furniture {
    pub(crate) fn new(stage: &Stage) -> Result<Self> {
        let cgroup = format!("{}/kubepods/besteffort", stage.node.cgroup());
        cgroups::make_below(&cgroup, "")?;
        Ok(Self {
            pods: stage.ground.folder("floor/pods")?,
            logs: stage.ground.folder("floor/logs")?,
            cgroup,
        })
    }

    /// Furnishes a pod.
    pub(crate) fn make(&self, name: &str) -> Result<Room> {
        // Any UID does, and one made of the name is unique in its ground.
        let uid = format!("00000000-0000-0000-0000-{:0>12}", name.rsplit('-').next().unwrap_or_default());
        let room = Room {
            folder: self.pods.join(&uid),
            logs: self.logs.join(format!("{NAMESPACE}_{name}_{uid}")),
            cgroup: format!("{}/pod{uid}", self.cgroup),
            name: name.to_owned(),
            uid,
        };
        cgroups::make_below(&self.cgroup, &format!("pod{}", room.uid))?;
        for folder in [&room.logs.join("pause"), &room.token(), &room.folder.join("containers/pause")] {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        fs::write(room.hosts(), "127.0.0.1\tlocalhost\n")?;
        fs::write(room.last_word(), "")?;
        fill(&room.token())?;
        Ok(room)
    }

    /// Clears a pod's room away.
    pub(crate) fn remove(&self, room: &Room) -> Result<()> {
        umount(&room.token()).with_context(|| format!("unmounting {}", room.token().display()))?;
        fs::remove_dir_all(&room.folder)?;
        cgroups::remove(&room.cgroup)
    }
}

/// The three files of a pod's access to the API, in memory.
fn fill(folder: &Path) -> Result<()> {
    let none = None::<&str>;
    mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), none)
        .with_context(|| format!("mounting {}", folder.display()))?;
    for (file, size) in [("token", 1000), ("ca.crt", 1100), ("namespace", 5)] {
        fs::write(folder.join(file), vec![b'x'; size])?;
    }
    Ok(())
}
