//! Folders of pods and volumes: making them, giving them to a group, taking them away.
//!
//! Taking away never follows a link and never crosses into another mount: the kernel is asked for
//! both with each step (`openat2`), and a folder with a mount in it is left and told of.

use crate::core::ownership::{Access, group_mode};
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{
        AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, chmodat, chown, fchmod, openat2, statat,
        unlinkat,
    },
    io::Errno,
    process::Gid,
};
use std::{
    ffi::CStr,
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// What went wrong with a folder.
#[derive(Debug, thiserror::Error)]
#[error("could not {deed} {path}", path = path.display())]
pub struct FolderFault {
    deed: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

fn fault(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderFault {
    let path = path.to_owned();
    move |source| FolderFault { deed, path, source }
}

/// Makes a folder that only root and its group see, and those above it that are missing.
///
/// # Errors
/// When it can't be made.
pub fn make_closed(path: &Path) -> Result<(), FolderFault> {
    DirBuilder::new().recursive(true).mode(0o750).create(path).map_err(fault("make", path))
}

/// Makes a folder that everybody may write to, as volumes are, below folders that only root sees.
///
/// # Errors
/// When it can't be made.
pub fn make_open(path: &Path) -> Result<(), FolderFault> {
    if let Some(parent) = path.parent() {
        make_closed(parent)?;
    }
    match DirBuilder::new().create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        made => made.map_err(fault("make", path))?,
    }
    // Whatever the umask says.
    fs::set_permissions(path, Permissions::from_mode(0o777)).map_err(fault("set the mode of", path))
}

/// Gives a folder and everything in it to a group (`pkg/volume/volume_linux.go`).
///
/// # Errors
/// With the first thing that could not be given.
pub fn give_to_group(root: &Path, group: u32, access: Access) -> Result<(), FolderFault> {
    let failed = |errno: Errno| fault("give to its group", root)(errno.into());
    let folder = open_root(root).map_err(failed)?;
    give(folder.as_fd(), Gid::from_raw(group), access).map_err(failed)
}

/// A link is given but not followed, and has no mode of its own.
fn give(folder: BorrowedFd<'_>, group: Gid, access: Access) -> Result<(), Errno> {
    for_each(folder, |name, kind| {
        if kind == FileType::Directory {
            return give(open_below(folder, name)?.as_fd(), group, access);
        }
        rustix::fs::chownat(folder, name, None, Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        if kind == FileType::Symlink {
            return Ok(());
        }
        let mode = mode_of(folder, name)?;
        chmodat(folder, name, Mode::from_raw_mode(group_mode(mode, false, access)), AtFlags::empty())
    })?;
    let mode = rustix::fs::fstat(folder)?.st_mode & 0o7777;
    rustix::fs::fchown(folder, None, Some(group))?;
    fchmod(folder, Mode::from_raw_mode(group_mode(mode, true, access)))
}

fn mode_of(folder: BorrowedFd<'_>, name: &CStr) -> Result<u32, Errno> {
    Ok(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode & 0o7777)
}

/// Makes a user the owner of a file that this service has just made.
///
/// # Errors
/// When the kernel says no.
pub fn give_to_user(file: &fs::File, user: u32) -> io::Result<()> {
    Ok(rustix::fs::fchown(file, Some(rustix::process::Uid::from_raw(user)), None)?)
}

/// Removes a folder with everything in it that is on the same mount. A folder that is absent is
/// removed already.
///
/// # Errors
/// When something stands in the way, such as a mount; what could be removed is gone by then.
pub fn remove(root: &Path) -> Result<(), FolderFault> {
    let failed = |errno: Errno| fault("remove", root)(errno.into());
    match open_root(root) {
        Err(Errno::NOENT) => return Ok(()),
        opened => empty(opened.map_err(failed)?.as_fd()).map_err(failed)?,
    }
    match fs::remove_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(fault("remove", root)),
    }
}

/// Goes on past the first failure, and returns it.
fn empty(folder: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut first = Ok(());
    for_each(folder, |name, kind| {
        let removed = if kind == FileType::Directory {
            open_below(folder, name)
                .and_then(|below| empty(below.as_fd()))
                .and_then(|()| unlinkat(folder, name, AtFlags::REMOVEDIR))
        } else {
            unlinkat(folder, name, AtFlags::empty())
        };
        first = first.and(removed);
        Ok(())
    })?;
    first
}

fn for_each(
    folder: BorrowedFd<'_>,
    mut each: impl FnMut(&CStr, FileType) -> Result<(), Errno>,
) -> Result<(), Errno> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                FileType::from_raw_mode(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
            }
            known => known,
        };
        each(name, kind)?;
    }
    Ok(())
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn open_root(root: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(CWD, root, FOLDER, Mode::empty())
}

/// One folder down, on the same mount and not through a link.
fn open_below(folder: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    openat2(folder, name, FOLDER, Mode::empty(), resolve)
}

/// Gives one folder, and nothing in it, to a group.
///
/// # Errors
/// When the kernel says no.
pub fn give_root_to_group(root: &Path, group: u32, access: Access) -> Result<(), FolderFault> {
    let mode = fs::metadata(root).map_err(fault("look at", root))?.permissions().mode() & 0o7777;
    chown(root, None, Some(Gid::from_raw(group)))
        .map_err(|errno| fault("give to its group", root)(errno.into()))?;
    let mode = Permissions::from_mode(group_mode(mode, true, access));
    fs::set_permissions(root, mode).map_err(fault("set the mode of", root))
}
