//! The pods' cgroups as files: made, sized and removed.
//!
//! All methods block, for milliseconds when the kernel is busy: [`super::cgroups`] calls them on a blocking thread.

mod removal;
mod tree;

pub use tree::Tree;

use super::systemd::SystemdError;
use crate::core::cgroup::{Hierarchy, Layout, Name, Sizes, writes};
use messages::PodUid;
use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The files of the pods' cgroups on this machine.
#[derive(Debug)]
pub struct Files {
    tree: Tree,
    layout: Layout,
}

/// Why a cgroup is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// `cgroupRoot` names none.
    #[error("cgroupRoot {path} does not exist")]
    NoRoot {
        /// Which.
        path: String,
    },
    /// A folder could not be made.
    #[error("could not make cgroup {path}", path = .path.display())]
    Make {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A value was refused.
    #[error("could not write {value:?} to {path}", path = .path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What.
        value: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// systemd has it otherwise.
    #[error(transparent)]
    Systemd(#[from] SystemdError),
    /// A folder could not be removed.
    #[error("could not remove cgroup {path}", path = .path.display())]
    Remove {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Files {
    /// Cgroups laid out so in this tree.
    pub fn new(tree: Tree, layout: Layout) -> Self {
        Self { tree, layout }
    }

    /// How they are laid out.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// v1 or v2.
    pub fn hierarchy(&self) -> Hierarchy {
        self.tree.hierarchy()
    }

    /// Fails when `cgroupRoot` is not there: nobody else will make it, and making it here would hide a
    /// mistake in its name.
    ///
    /// # Errors
    /// As it says.
    pub fn check_root(&self) -> Result<(), CgroupError> {
        let path = self.layout.root.path(self.layout.driver);
        let exists =
            self.layout.root.is_root() || self.folders(&self.layout.root).any(|folder| folder.is_dir());
        if exists { Ok(()) } else { Err(CgroupError::NoRoot { path }) }
    }

    /// Makes a cgroup where it is missing, and sizes it.
    ///
    /// # Errors
    /// When a folder cannot be made. A size that the kernel refuses is the last to be reported, after
    /// all others were written.
    pub fn ensure(&self, name: &Name, sizes: &Sizes) -> Result<(), CgroupError> {
        if name.is_root() {
            return Ok(());
        }
        self.tree.make(&name.path(self.layout.driver))?;
        self.size(name, sizes)
    }

    /// Sizes a cgroup that is there.
    ///
    /// # Errors
    /// With the last size that the kernel refused.
    pub fn size(&self, name: &Name, sizes: &Sizes) -> Result<(), CgroupError> {
        let path = name.path(self.layout.driver);
        let mut result = Ok(());
        for write in writes(sizes, self.hierarchy()) {
            let Some(folder) = self.tree.folder_of(write.controller, &path) else { continue };
            let file = folder.join(&write.file);
            if let Err(source) = put(&file, &write.value) {
                result = Err(CgroupError::Write { path: file, value: write.value, source });
            }
        }
        result
    }

    /// Whether a pod has a cgroup, wherever.
    pub fn exists(&self, uid: &PodUid) -> bool {
        let names = self.layout.anywhere(uid);
        names.iter().any(|name| self.folders(name).any(|folder| folder.is_dir()))
    }

    /// Kills what is left in a pod's cgroups, and tells which there are.
    pub fn killed(&self, uid: &PodUid) -> Vec<Name> {
        let mut names = self.layout.anywhere(uid);
        names.retain(|name| self.folders(name).any(|folder| folder.is_dir()));
        names.iter().flat_map(|name| self.folders(name)).for_each(|folder| removal::kill_all(&folder));
        names
    }

    /// Kills what is left in a pod's cgroups and removes them.
    ///
    /// # Errors
    /// When something of it stays after several tries.
    pub fn remove(&self, uid: &PodUid) -> Result<(), CgroupError> {
        let names = self.layout.anywhere(uid);
        let folders: Vec<PathBuf> = names.iter().flat_map(|name| self.folders(name)).collect();
        removal::remove(&folders)
    }

    fn folders(&self, name: &Name) -> impl Iterator<Item = PathBuf> + use<'_> {
        let path = name.path(self.layout.driver);
        self.tree.roots().map(move |root| below(root, &path))
    }
}

/// Writes to a file that the kernel shows; one that it does not show is not made.
fn put(file: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(file)?.write_all(value.as_bytes())
}

/// A path of the hierarchy below its mount.
fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}
