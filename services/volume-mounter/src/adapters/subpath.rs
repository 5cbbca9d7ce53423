//! Sub-paths of volumes: found, or made, without leaving the volume, and bound by descriptor.
//!
//! A pod may put links into its own volumes. The kernel resolves the path (`openat2`,
//! `RESOLVE_BENEATH`): links inside the volume work, as those of the atomic writer must, and whatever
//! leads out is refused at the moment of opening. What was opened is what is mounted.

use super::folders::{self, FolderFault};
use crate::core::path::{BadPath, RelativePath};
use rustix::{
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    fs::{FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, mkdirat, openat2, stat},
    io::Errno,
    mount::{UnmountFlags, mount_bind, unmount},
};
use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// Why a sub-path could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum SubpathFault {
    /// It is no path below a volume.
    #[error(transparent)]
    Path(#[from] BadPath),
    /// The volume's root could not be opened.
    #[error("could not open {root}", root = root.display())]
    Root {
        /// Which.
        root: PathBuf,
        /// Why not.
        #[source]
        source: Errno,
    },
    /// It leads out of the volume.
    #[error("subPath {below:?} leads out of its volume")]
    Outside {
        /// The path.
        below: String,
    },
    /// It could not be opened or made.
    #[error("could not open or make subPath {below:?}")]
    Open {
        /// The path.
        below: String,
        /// Why not.
        #[source]
        source: Errno,
    },
    /// The place where it is to be bound could not be made.
    #[error("could not make {at}", at = at.display())]
    Target {
        /// Which.
        at: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A folder above that place could not be made.
    #[error(transparent)]
    Folder(#[from] FolderFault),
    /// The kernel did not bind.
    #[error("could not bind to {at}", at = at.display())]
    Bind {
        /// Where.
        at: PathBuf,
        /// Why not.
        #[source]
        source: Errno,
    },
}

/// Binds `below` of the volume at `root` to `at`. What is bound there already stays when it is the
/// same thing.
///
/// # Errors
/// See [`SubpathFault`].
pub fn bind(root: &Path, below: &str, at: &Path) -> Result<(), SubpathFault> {
    let path = RelativePath::below(below)?;
    let found = open_or_make(root, &path)?;
    let failed = |source: Errno| SubpathFault::Bind { at: at.to_owned(), source };
    if is_bound(found.as_fd(), at).map_err(failed)? {
        return Ok(());
    }
    let is_folder = is_folder(found.as_fd()).map_err(failed)?;
    make_target(at, is_folder)?;
    let by_descriptor = format!("/proc/self/fd/{}", found.as_raw_fd());
    mount_bind(by_descriptor.as_str(), at).map_err(failed)
}

/// Whether the place holds the very thing that was found. What an earlier container left there
/// instead is unmounted.
fn is_bound(found: BorrowedFd<'_>, at: &Path) -> Result<bool, Errno> {
    let there = match stat(at) {
        Err(Errno::NOENT) => return Ok(false),
        there => there?,
    };
    let found = fstat(found)?;
    if (found.st_dev, found.st_ino) == (there.st_dev, there.st_ino) {
        return Ok(true);
    }
    match unmount(at, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        // Nothing is mounted there.
        Err(Errno::INVAL) => Ok(false),
        unmounted => unmounted.map(|()| false),
    }
}

/// Opens a path below a volume's root; folders that are missing are made with the root's mode.
///
/// # Errors
/// When it leads out of the volume, or can't be opened or made.
pub fn open_or_make(root: &Path, path: &RelativePath) -> Result<OwnedFd, SubpathFault> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(root, folder, Mode::empty())
        .map_err(|source| SubpathFault::Root { root: root.to_owned(), source })?;
    let failed = |errno| match errno {
        Errno::XDEV => SubpathFault::Outside { below: path.as_str().to_owned() },
        source => SubpathFault::Open { below: path.as_str().to_owned(), source },
    };
    match open_beneath(opened.as_fd(), path.as_str()) {
        Err(Errno::NOENT) => make(opened.as_fd(), path).map_err(failed),
        found => found.map_err(failed),
    }
}

fn open_beneath(root: BorrowedFd<'_>, below: &str) -> Result<OwnedFd, Errno> {
    let below = if below.is_empty() { "." } else { below };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(root, below, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Walks down from the root and makes what is missing. What exists is opened from the root each
/// time, so that the kernel checks the whole way.
fn make(root: BorrowedFd<'_>, path: &RelativePath) -> Result<OwnedFd, Errno> {
    let mode = Mode::from_raw_mode(fstat(root)?.st_mode & 0o7777);
    let mut folder = open_beneath(root, ".")?;
    let mut walked = String::new();
    for element in path.elements() {
        walked = if walked.is_empty() { element.to_owned() } else { format!("{walked}/{element}") };
        folder = match open_beneath(root, &walked) {
            Err(Errno::NOENT) => make_one(folder.as_fd(), element, mode)?,
            found => found?,
        };
    }
    Ok(folder)
}

/// A link to nowhere is not made into a folder: `mkdirat` finds it existing, and opening it fails.
fn make_one(parent: BorrowedFd<'_>, name: &str, mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match mkdirat(parent, name, mode) {
        // Somebody else was quicker: theirs is taken as it is.
        Err(Errno::EXIST) => openat2(parent, name, flags, Mode::empty(), resolve),
        made => {
            made?;
            let folder = openat2(parent, name, flags, Mode::empty(), resolve)?;
            fchmod(&folder, mode)?;
            Ok(folder)
        }
    }
}

fn is_folder(found: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(FileType::from_raw_mode(fstat(found)?.st_mode) == FileType::Directory)
}

/// A bind needs a folder for a folder and a file for anything else.
fn make_target(at: &Path, is_folder: bool) -> Result<(), SubpathFault> {
    if let Some(parent) = at.parent() {
        folders::make_closed(parent)?;
    }
    let made = match fs::symlink_metadata(at) {
        Ok(there) if there.is_dir() == is_folder => return Ok(()),
        Ok(there) if there.is_dir() => fs::remove_dir(at).and_then(|()| make_file(at)),
        Ok(_) => fs::remove_file(at).and_then(|()| fs::create_dir(at)),
        Err(_) if is_folder => fs::create_dir(at),
        Err(_) => make_file(at),
    };
    made.map_err(|source| SubpathFault::Target { at: at.to_owned(), source })
}

fn make_file(at: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(at).map(drop)
}
