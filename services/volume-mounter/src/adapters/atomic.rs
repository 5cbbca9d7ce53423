//! The atomic writer: a volume's files change all at once, and only when they differ
//! (`pkg/volume/util/atomic_writer.go`).
//!
//! ```text
//! <root>/..2026_11_21_13_37_00.123456789/token     the files
//! <root>/..data -> ..2026_11_21_13_37_00.123456789 swapped by rename
//! <root>/token -> ..data/token                     what containers see
//! ```
//!
//! Readers that watch `..data` rely on this layout. What an interrupted write left behind is removed
//! by the next one.

use super::folders::{self, FolderFault};
use crate::core::{
    ownership::Access,
    path::RelativePath,
    payload::{File, Payload},
};
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

const DATA: &str = "..data";
const NEXT: &str = "..data_tmp";

/// Why files could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteFault {
    /// The file system said no.
    #[error("could not {deed} {path}", path = path.display())]
    Io {
        /// Write, link, swap, list or remove.
        deed: &'static str,
        /// What.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The files could not be given to the pod's group.
    #[error(transparent)]
    Group(#[from] FolderFault),
}

fn fault(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteFault {
    let path = path.to_owned();
    move |source| WriteFault::Io { deed, path, source }
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The files were as they should be.
    Unchanged,
    /// They were swapped.
    Changed,
}

/// Makes the files of a volume what the payload says. `stamp` names the new version: the time and
/// something random. `group` is the pod's `fsGroup`, which may read them.
///
/// # Errors
/// When the file system says no; containers then still see the files from before.
pub fn write(root: &Path, payload: &Payload, stamp: &str, group: Option<u32>) -> Result<Written, WriteFault> {
    let current = current(root);
    if let Some(current) = current.filter(|current| is_equal(&root.join(current), payload)) {
        // An interrupted write may have swapped, and not linked.
        link(root, payload)?;
        tidy(root, payload, &current)?;
        return Ok(Written::Unchanged);
    }
    let version = format!("..{stamp}");
    let made = fill(&root.join(&version), payload).and_then(|()| swap(root, &version, group));
    if made.is_err() {
        // The fault of the write is the one to tell.
        let _ = folders::remove(&root.join(&version));
    }
    made?;
    link(root, payload)?;
    tidy(root, payload, &version)?;
    Ok(Written::Changed)
}

/// A file of a volume as containers see it now.
///
/// # Errors
/// When there is none.
pub fn read(root: &Path, path: &RelativePath) -> io::Result<Vec<u8>> {
    fs::read(root.join(DATA).join(path.as_str()))
}

/// The name of the version in force.
fn current(root: &Path) -> Option<String> {
    fs::read_link(root.join(DATA)).ok()?.into_os_string().into_string().ok()
}

/// The same paths with the same contents.
fn is_equal(version: &Path, payload: &Payload) -> bool {
    let mut paths = BTreeSet::new();
    let is_listed = collect(version, Path::new(""), &mut paths).is_ok();
    let wanted = payload.keys().map(|path| PathBuf::from(path.as_str()));
    let is_same = |(path, file): (&RelativePath, &File)| {
        fs::read(version.join(path.as_str())).is_ok_and(|data| data == file.data)
    };
    is_listed && paths == wanted.collect() && payload.iter().all(is_same)
}

/// The paths of all files in a folder, relative to its top.
fn collect(top: &Path, below: &Path, into: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(top.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(top, &path, into)?;
        } else {
            into.insert(path);
        }
    }
    Ok(())
}

fn fill(version: &Path, payload: &Payload) -> Result<(), WriteFault> {
    make_folder(version)?;
    for (path, file) in payload {
        let mut folder = version.to_owned();
        let elements: Vec<&str> = path.elements().collect();
        for element in elements.iter().rev().skip(1).rev() {
            folder.push(element);
            make_folder(&folder)?;
        }
        let path = version.join(path.as_str());
        write_file(&path, file).map_err(fault("write", &path))?;
    }
    Ok(())
}

fn make_folder(path: &Path) -> Result<(), WriteFault> {
    match DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(fault("make", path))?,
    }
    // Whatever the umask says.
    fs::set_permissions(path, Permissions::from_mode(0o755)).map_err(fault("set the mode of", path))
}

/// Closed until it has its owner and mode.
fn write_file(path: &Path, file: &File) -> io::Result<()> {
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    out.write_all(&file.data)?;
    if let Some(owner) = file.owner {
        folders::give_to_user(&out, owner)?;
    }
    out.set_permissions(Permissions::from_mode(file.mode))
}

fn swap(root: &Path, version: &str, group: Option<u32>) -> Result<(), WriteFault> {
    if let Some(group) = group {
        folders::give_to_group(root, group, Access::ReadOnly)?;
    }
    let next = root.join(NEXT);
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault("remove", &next)(error)),
        _ => Ok(()),
    }?;
    symlink(version, &next).map_err(fault("link", &next))?;
    fs::rename(&next, root.join(DATA)).map_err(fault("swap", &next))
}

/// Links the first element of each path, where there is no such link yet.
fn link(root: &Path, payload: &Payload) -> Result<(), WriteFault> {
    let tops: BTreeSet<&str> = payload.keys().map(RelativePath::top).collect();
    for top in tops {
        let visible = root.join(top);
        match symlink(Path::new(DATA).join(top), &visible) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(fault("link", &visible)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes links to what is gone and every version but the one in force.
fn tidy(root: &Path, payload: &Payload, version: &str) -> Result<(), WriteFault> {
    let tops: BTreeSet<&OsStr> = payload.keys().map(|path| OsStr::new(path.top())).collect();
    for entry in fs::read_dir(root).map_err(fault("list", root))? {
        let entry = entry.map_err(fault("list", root))?;
        let (name, path) = (entry.file_name(), entry.path());
        let is_folder = entry.file_type().map_err(fault("look at", &path))?.is_dir();
        let is_version = name.as_encoded_bytes().starts_with(b"..");
        if is_folder && is_version && name != version {
            folders::remove(&path)?;
        } else if is_link_into_data(&path) && !tops.contains(name.as_os_str()) {
            fs::remove_file(&path).map_err(fault("remove", &path))?;
        }
    }
    Ok(())
}

fn is_link_into_data(path: &Path) -> bool {
    fs::read_link(path).is_ok_and(|to| to.starts_with(DATA))
}
