//! Files of a pod that cri-bridge writes and reads: hosts file, termination logs, log folders, links.

use crate::core::names;
use messages::{ContainerName, PodUid};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

/// The largest file of variables that is read, in bytes.
const LARGEST_ENV_FILE: u64 = 1024 * 1024;

/// Why a file of a pod is not as it should be.
#[derive(Debug, thiserror::Error)]
#[error("could not {deed} {path}", path = .path.display())]
pub struct FileError {
    deed: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

fn failed(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { deed, path, source }
}

/// Makes a folder for logs and those above it, for everybody to look into.
///
/// # Errors
/// When it cannot be made.
pub fn make_log_folder(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(failed("make", path))
}

/// Writes the pod's hosts file and tells where it is. Written in place: running containers have it
/// mounted.
///
/// # Errors
/// When it cannot be written.
pub fn write_hosts(pod_dir: &Path, content: &str) -> Result<PathBuf, FileError> {
    let path = pod_dir.join("etc-hosts");
    fs::write(&path, content).map_err(failed("write", &path))?;
    fs::set_permissions(&path, Permissions::from_mode(0o644)).map_err(failed("open up", &path))?;
    Ok(path)
}

/// Makes an empty termination log for one instance, which any user of the container may write, and
/// tells where it is.
///
/// # Errors
/// When it cannot be made.
pub fn make_termination_log(
    pod_dir: &Path,
    container: &ContainerName,
    instance: u32,
) -> Result<PathBuf, FileError> {
    let folder = pod_dir.join("containers").join(container.as_str());
    DirBuilder::new().recursive(true).mode(0o750).create(&folder).map_err(failed("make", &folder))?;
    let path = folder.join(format!("{instance:08x}"));
    File::create(&path).map_err(failed("make", &path))?;
    fs::set_permissions(&path, Permissions::from_mode(0o666)).map_err(failed("open up", &path))?;
    Ok(path)
}

/// The last bytes of a file, and whether there were more before them.
///
/// # Errors
/// When it cannot be read, or is no plain file.
pub fn tail(path: &Path, most: u64) -> io::Result<(String, bool)> {
    // A container can put a pipe where its log was: that must neither block nor be read.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a plain file"));
    }
    let begin = metadata.len().saturating_sub(most);
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), begin > 0))
}

/// A file of variables in a volume. Links may not lead out of the volume.
///
/// # Errors
/// When it cannot be read or is too large.
pub fn read_env_file(volume: &Path, path: &str) -> io::Result<String> {
    let folder = File::open(volume)?;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(openat2(folder, path, flags, Mode::empty(), inside)?);
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > LARGEST_ENV_FILE {
        return Err(io::Error::other("not a plain file of at most 1 MiB"));
    }
    let mut text = String::new();
    file.take(LARGEST_ENV_FILE).read_to_string(&mut text)?;
    Ok(text)
}

/// Makes the link to a container's log that log shippers follow. One that is there is replaced.
///
/// # Errors
/// When it cannot be made.
pub fn link_log(links: &Path, name: &str, log: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o755).create(links).map_err(failed("make", links))?;
    let link = links.join(name);
    match fs::remove_file(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("replace", &link)(error)),
        _ => symlink(log, &link).map_err(failed("make", &link)),
    }
}

/// Removes the links to logs that are gone. Others' files in the folder are left alone.
pub fn remove_dead_links(links: &Path) {
    for entry in fs::read_dir(links).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_ours =
            entry.file_name().to_str().is_some_and(|name| names::container_id_of_link(name).is_some());
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        if is_ours && is_link && !path.exists() {
            // Whoever else removed it did our work.
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes the log of one container instance with its rotated files.
///
/// # Errors
/// When one cannot be removed.
pub fn remove_logs(log: &Path) -> Result<(), FileError> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let rotated = format!("{name}.");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_of_log =
            entry.file_name().to_str().is_some_and(|file| file == name || file.starts_with(&rotated));
        if is_of_log {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a pod's log folder with everything in it.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_log_folder(folder: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", folder)(error)),
        _ => Ok(()),
    }
}

/// Pods whose sandboxes this node makes or made: empty files, one per UID. Not journalled: they need to
/// survive this process, not the machine, whose sandboxes do not survive either.
#[derive(Debug, Clone)]
pub struct Claims {
    folder: PathBuf,
}

impl Claims {
    /// The claims in a folder, which is made.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn in_folder(folder: PathBuf) -> Result<Self, FileError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed("make", &folder))?;
        Ok(Self { folder })
    }

    /// Claims a pod.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub fn claim(&self, pod: &PodUid) -> Result<(), FileError> {
        let path = self.folder.join(pod.as_str());
        File::create(&path).map(drop).map_err(failed("make", &path))
    }

    /// Whether a pod is claimed.
    pub fn holds(&self, pod: &PodUid) -> bool {
        self.folder.join(pod.as_str()).exists()
    }

    /// Gives a pod up.
    pub fn release(&self, pod: &PodUid) {
        // A claim too many does no harm.
        let _ = fs::remove_file(self.folder.join(pod.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_termination_log_can_be_written_by_anybody() {
        let pod = tempfile::tempdir().unwrap();
        let path = make_termination_log(pod.path(), &"app".parse().unwrap(), 0x0a1b).unwrap();
        assert_eq!(path, pod.path().join("containers/app/00000a1b"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
    }

    #[test]
    fn the_end_of_a_file_is_read_and_nothing_but_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "0123456789").unwrap();
        assert_eq!(tail(&path, 4).unwrap(), ("6789".into(), true));
        assert_eq!(tail(&path, 40).unwrap(), ("0123456789".into(), false));
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(tail(&link, 4).is_err(), "a link is not followed");
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(tail(&pipe, 4).is_err(), "a pipe is not waited for");
    }

    #[test]
    fn a_file_of_variables_stays_in_its_volume() {
        let folder = tempfile::tempdir().unwrap();
        let volume = folder.path().join("volume");
        fs::create_dir(&volume).unwrap();
        fs::write(folder.path().join("secret"), "A='outside'").unwrap();
        fs::write(volume.join("a.env"), "A='inside'").unwrap();
        symlink("../secret", volume.join("out")).unwrap();
        symlink("a.env", volume.join("in")).unwrap();
        assert_eq!(read_env_file(&volume, "in").unwrap(), "A='inside'");
        for path in ["out", "../secret", "none"] {
            assert!(read_env_file(&volume, path).is_err(), "{path}");
        }
    }

    #[test]
    fn only_dead_links_of_ours_are_removed() {
        let links = tempfile::tempdir().unwrap();
        let log = links.path().join("log");
        fs::write(&log, "").unwrap();
        link_log(links.path(), "a_b_c-abcdef.log", &log).unwrap();
        link_log(links.path(), "a_b_c-abcdeg.log", &links.path().join("gone")).unwrap();
        symlink("gone", links.path().join("theirs")).unwrap();
        remove_dead_links(links.path());
        let mut left: Vec<_> = fs::read_dir(links.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["a_b_c-abcdef.log", "log", "theirs"]);
    }

    #[test]
    fn a_log_goes_with_its_rotated_files_and_without_its_neighbours() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["1.log", "1.log.20260101-000000.gz", "11.log", "2.log"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        remove_logs(&folder.path().join("1.log")).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["11.log", "2.log"]);
    }

    #[test]
    fn claims_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let pod = "u-1".parse().unwrap();
        let claims = Claims::in_folder(folder.path().join("pods")).unwrap();
        claims.claim(&pod).unwrap();
        assert!(Claims::in_folder(folder.path().join("pods")).unwrap().holds(&pod));
        claims.release(&pod);
        assert!(!claims.holds(&pod));
    }
}
