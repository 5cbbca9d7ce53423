//! The files and folders that the supervisor makes for the others: whole, and with the right owner
//! before anybody could read them.

use chassis::identity::Identity;
use rustix::fs::OFlags;
use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, chown, fchown},
    path::{Path, PathBuf},
};

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readable {
    /// One process' user alone.
    By(Identity),
    /// Everyone on the machine: nothing in it is secret.
    ByAll,
}

/// Why a file or folder could not be made.
#[derive(Debug, thiserror::Error)]
#[error("could not {deed} {path}", path = path.display())]
pub(crate) struct NotWritten {
    deed: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl NotWritten {
    fn of<'a>(deed: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Self + 'a {
        move |source| Self { deed, path: path.to_owned(), source }
    }

    /// A file that could not be removed.
    pub(crate) fn removing(path: &Path, source: io::Error) -> Self {
        Self::of("remove", path)(source)
    }

    /// A file that could not be read in order to be copied.
    pub(crate) fn copying(path: &Path, source: io::Error) -> Self {
        Self::of("copy", path)(source)
    }
}

/// Replaces a file at once. Its folder belongs to the process, which could put a link in the way: so
/// the draft is made anew and never opened through one.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn write(path: &Path, bytes: &[u8], readable: Readable) -> Result<(), NotWritten> {
    let draft = path.with_extension("draft");
    let (mode, owner) = match readable {
        Readable::By(identity) => (0o600, identity),
        Readable::ByAll => (0o644, Identity { uid: 0, gid: 0 }),
    };
    match fs::remove_file(&draft) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(NotWritten::of("replace", &draft)(source))
        }
        _ => Ok(()),
    }?;
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        fchown(&file, Some(owner.uid), Some(owner.gid))?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        fs::rename(&draft, path)
    };
    write().map_err(NotWritten::of("write", path))
}

/// Makes a folder (and those above it) that belongs to a process. Others may pass through it to
/// sockets that are meant for them, and list nothing.
///
/// # Errors
/// When the file system refuses, or something else has the name.
pub(crate) fn folder(path: &Path, owner: Identity) -> Result<(), NotWritten> {
    fs::create_dir_all(path).map_err(NotWritten::of("make", path))?;
    // Whoever owns the folder above could put a link here; root would then give away its target.
    let kind = fs::symlink_metadata(path).map_err(NotWritten::of("look at", path))?;
    if !kind.is_dir() {
        return Err(NotWritten::of("use", path)(io::ErrorKind::NotADirectory.into()));
    }
    chown(path, Some(owner.uid), Some(owner.gid)).map_err(NotWritten::of("give away", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o711)).map_err(NotWritten::of("protect", path))
}

/// Lets everyone pass through a folder, which stays otherwise as it is: processes of own users have
/// their folders below the kubelet's, which the stock kubelet makes for root alone.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn let_pass(path: &Path) -> Result<(), NotWritten> {
    let mode = fs::metadata(path).map_err(NotWritten::of("look at", path))?.permissions().mode();
    if mode & 0o001 != 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o001)).map_err(NotWritten::of("open", path))
}

/// The longest file that is read from a process' folder.
const LONGEST: u64 = 64 * 1024;

/// Reads a file from a folder whose owner is not trusted: no link is followed, nothing but a plain file
/// is read, and not more than some of it.
///
/// # Errors
/// When it is not there, or something else than a plain file.
pub(crate) fn read_foreign(path: &Path) -> io::Result<Vec<u8>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Identity {
        Identity { uid: rustix::process::getuid().as_raw(), gid: rustix::process::getgid().as_raw() }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_replaced_and_readable_for_whom_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seed");
        write(&path, b"old", Readable::By(own())).unwrap();
        write(&path, b"new", Readable::By(own())).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"new".to_vec(), 0o600));
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (target, path) = (dir.path().join("target"), dir.path().join("seed"));
        fs::write(&target, "untouched").unwrap();
        std::os::unix::fs::symlink(&target, path.with_extension("draft")).unwrap();
        write(&path, b"new", Readable::By(own())).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
        std::os::unix::fs::symlink(dir.path(), dir.path().join("link")).unwrap();
        assert!(folder(&dir.path().join("link"), own()).is_err(), "nor given away");
    }

    #[test]
    fn a_file_of_somebody_else_is_read_only_if_it_is_plain() {
        let dir = tempfile::tempdir().unwrap();
        let (plain, link) = (dir.path().join("plain"), dir.path().join("link"));
        fs::write(&plain, "text").unwrap();
        std::os::unix::fs::symlink(&plain, &link).unwrap();
        assert_eq!(read_foreign(&plain).unwrap(), b"text");
        assert!(read_foreign(&link).is_err() && read_foreign(Path::new("/dev/zero")).is_err());
    }

    #[test]
    fn passing_through_is_all_that_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let_pass(dir.path()).unwrap();
        assert_eq!(mode(dir.path()), 0o751);
    }
}
