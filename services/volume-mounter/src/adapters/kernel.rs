//! Mounting and what else may hang. Runs in a worker process, never in the service's own.

use super::{
    folders::{self, FolderFault},
    subpath::{self, SubpathFault},
};
use crate::{
    core::{mount_table, volume::HostPathType},
    ports::{Deed, FileSystem},
};
use rustix::{
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, unmount},
};
use std::{
    fs::{self, DirBuilder, Metadata, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Where the kernel tells what is mounted, as the calling thread sees it.
pub const TABLE: &str = "/proc/thread-self/mountinfo";

/// Why a deed failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A folder could not be made.
    #[error(transparent)]
    Folder(#[from] FolderFault),
    /// The table of mounts could not be read.
    #[error("could not read {TABLE}")]
    Table(#[source] io::Error),
    /// The kernel did not mount.
    #[error("could not mount {what} on {at}", at = at.display())]
    Mount {
        /// Which file system.
        what: &'static str,
        /// Where.
        at: PathBuf,
        /// What it said.
        #[source]
        source: Errno,
    },
    /// The kernel did not unmount.
    #[error("could not unmount {at}", at = at.display())]
    Unmount {
        /// What.
        at: PathBuf,
        /// What it said.
        #[source]
        source: Errno,
    },
    /// A path of the host is not what it should be.
    #[error("hostPath type check failed: {path} is not a {what}", path = path.display())]
    HostPath {
        /// Which.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
    },
    /// A path of the host could not be made.
    #[error("could not make {path}", path = path.display())]
    Make {
        /// Which.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// A sub-path could not be bound.
    #[error(transparent)]
    Subpath(#[from] SubpathFault),
}

/// Does a deed. Done twice, it is done once.
///
/// # Errors
/// With what the kernel said.
pub fn perform(deed: &Deed) -> Result<(), Fault> {
    match deed {
        Deed::Mount { at, what } => mount_at(at, *what),
        Deed::CheckHostPath { path, kind } => check_host_path(path, *kind),
        Deed::BindSubpath { root, below, at } => Ok(subpath::bind(root, below, at)?),
        Deed::UnmountBelow { folder } => unmount_all(&table()?, folder),
    }
}

/// Does a deed that touches nothing but the kernel's own memory, so that it can't hang; `None` for any other.
pub fn perform_in_memory(deed: &Deed) -> Option<Result<(), Fault>> {
    match deed {
        Deed::Mount { at, what } => Some(mount_at(at, *what)),
        Deed::UnmountBelow { folder } => {
            let table = read_table().ok()?;
            mount_table::is_memory_below(&table, folder).then(|| unmount_all(&table, folder))
        }
        Deed::CheckHostPath { .. } | Deed::BindSubpath { .. } => None,
    }
}

/// The kernel's table of mounts. Reading it does not hang.
///
/// # Errors
/// When it can't be read.
pub fn read_table() -> io::Result<String> {
    fs::read(TABLE).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn table() -> Result<String, Fault> {
    read_table().map_err(Fault::Table)
}

/// Whether something is mounted on exactly this folder.
fn is_mounted(at: &Path) -> Result<bool, Fault> {
    Ok(mount_table::mount_points(&table()?).iter().any(|point| point == at))
}

fn mount_at(at: &Path, what: FileSystem) -> Result<(), Fault> {
    folders::make_open(at)?;
    if is_mounted(at)? {
        return Ok(());
    }
    let (name, options) = match what {
        FileSystem::Tmpfs { size: Some(bytes) } => ("tmpfs", format!("size={bytes}")),
        FileSystem::Tmpfs { size: None } => ("tmpfs", String::new()),
        FileSystem::Hugetlbfs { page } => ("hugetlbfs", format!("pagesize={page}")),
    };
    match mount_with(name, at, &options) {
        Ok(()) => Ok(()),
        Err(source) => Err(Fault::Mount { what: name, at: at.to_owned(), source }),
    }
}

/// Memory that holds secrets is kept out of swap where the kernel can (6.4 and later).
fn mount_with(name: &str, at: &Path, options: &str) -> Result<(), Errno> {
    let mounted = |options: &str| {
        let options = std::ffi::CString::new(options).map_err(|_| Errno::INVAL)?;
        mount(name, at, name, MountFlags::empty(), options.as_c_str())
    };
    if name != "tmpfs" {
        return mounted(options);
    }
    let separator = if options.is_empty() { "" } else { "," };
    match mounted(&format!("{options}{separator}noswap")) {
        Err(Errno::INVAL) => mounted(options),
        other => other,
    }
}

fn unmount_all(table: &str, folder: &Path) -> Result<(), Fault> {
    let mut first = Ok(());
    for at in mount_table::below(table, folder) {
        if let Err(source) = unmount(&at, UnmountFlags::NOFOLLOW) {
            first = first.and(Err(Fault::Unmount { at, source }));
        }
    }
    first
}

fn check_host_path(path: &Path, kind: HostPathType) -> Result<(), Fault> {
    let found = match fs::metadata(path) {
        Ok(found) => Some(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_host_path(path, kind)?,
        Err(source) => return Err(Fault::Make { path: path.to_owned(), source }),
    };
    let (what, is_it): (&str, fn(&Metadata) -> bool) = match kind {
        HostPathType::Any => return Ok(()),
        HostPathType::Directory | HostPathType::DirectoryOrCreate => ("directory", Metadata::is_dir),
        HostPathType::File | HostPathType::FileOrCreate => ("file", Metadata::is_file),
        HostPathType::Socket => ("socket file", |found| found.file_type().is_socket()),
        HostPathType::CharDevice => ("character device", |found| found.file_type().is_char_device()),
        HostPathType::BlockDevice => ("block device", |found| found.file_type().is_block_device()),
    };
    if found.as_ref().is_some_and(is_it) {
        Ok(())
    } else {
        Err(Fault::HostPath { path: path.to_owned(), what })
    }
}

/// Makes what is absent, where the type says so.
fn make_host_path(path: &Path, kind: HostPathType) -> Result<Option<Metadata>, Fault> {
    let made = match kind {
        HostPathType::DirectoryOrCreate => DirBuilder::new().recursive(true).mode(0o755).create(path),
        HostPathType::FileOrCreate => {
            OpenOptions::new().write(true).create_new(true).mode(0o644).open(path).map(drop)
        }
        _ => return Ok(None),
    };
    let found = made.and_then(|()| fs::metadata(path));
    found.map(Some).map_err(|source| Fault::Make { path: path.to_owned(), source })
}
