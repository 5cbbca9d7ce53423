//! Staying alone: one kubelet per machine and folder, whoever's it is.
//!
//! CRI has one name space for everybody: a second owner of pods would kill the first one's. So the
//! node is not begun while another kubelet holds the folder or the health port. The processes of an
//! earlier supervisor that was killed are waited for; they leave by themselves.
//!
//! Whether the runtime holds sandboxes that nobody here knows is found out by cri-bridge before it
//! touches any (`NodeConfig::takeover`), since the supervisor speaks to no runtime; it then ends with
//! [`crate::supervisor::MUST_NOT_RUN`], and the node with it.

use crate::{host, process::Process};
use chassis::config::NodeConfig;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};
use tracing::info;

/// How long the processes of an earlier supervisor may take to finish what they have in hand.
const EARLIER_LIFE: Duration = Duration::from_secs(30);
/// How often a lock is looked at again.
const AGAIN: Duration = Duration::from_millis(50);

/// Why the node must not begin here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAlone {
    /// Another supervisor of ours.
    #[error("another bulkhead (process {holder}) runs in {dir}; end it with: bulkhead down --root-dir {root}",
        dir = dir.display(), root = dir.parent().unwrap_or(dir).display())]
    Bulkhead {
        /// Who holds the lock.
        holder: String,
        /// Our folder.
        dir: PathBuf,
    },
    /// Processes of ours that outlived their supervisor and do not leave.
    #[error("{process} of an earlier life still runs and does not leave")]
    EarlierLife {
        /// Which.
        process: Process,
    },
    /// Somebody else's kubelet, by its command line.
    #[error("a kubelet (process {pid}) runs in {root_dir}; end it first, for instance with: systemctl stop kubelet",
        root_dir = root_dir.display())]
    Kubelet {
        /// Its process id.
        pid: u32,
        /// The folder of both.
        root_dir: PathBuf,
    },
    /// Somebody answers where we would.
    #[error("something listens on {address}:{port}, the {what}, already: another kubelet, most likely")]
    Port {
        /// Where.
        address: IpAddr,
        /// Where.
        port: u16,
        /// What the port is for.
        what: &'static str,
    },
    /// A lock could not be had at all.
    #[error("could not lock {path}", path = path.display())]
    Lock {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A lock, held until dropped or until the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Makes sure that nobody else is the kubelet here, and keeps it so. Blocks while an earlier life ends.
/// The folders must be there; [`no_other_kubelet`] was asked before they were made.
///
/// # Errors
/// With whom it would not be alone.
pub(crate) fn stay_alone(config: &NodeConfig) -> Result<Lock, NotAlone> {
    let lock = own_lock(&config.dir())?;
    wait_for_earlier_life(&config.dir())?;
    free_ports(config)?;
    Ok(lock)
}

/// The supervisor's lock, with its process id in it.
fn own_lock(node_dir: &Path) -> Result<Lock, NotAlone> {
    let path = lock_path(node_dir);
    let wrong = |source| NotAlone::Lock { path: path.clone(), source };
    let mut file = open(&path).map_err(wrong)?;
    if !try_lock(&file).map_err(wrong)? {
        let holder = holder(node_dir).map_or("unknown".to_owned(), |pid| pid.to_string());
        return Err(NotAlone::Bulkhead { holder, dir: node_dir.to_owned() });
    }
    file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(wrong)?;
    Ok(Lock { _file: file })
}

/// Where the supervisor's lock stands.
pub(crate) fn lock_path(node_dir: &Path) -> PathBuf {
    node_dir.join("bulkhead").join("lock")
}

/// The process that holds the supervisor's lock, if one does.
pub(crate) fn holder(node_dir: &Path) -> Option<u32> {
    let path = lock_path(node_dir);
    let file = File::open(&path).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => std::fs::read_to_string(&path).ok()?.trim().parse().ok(),
        _ => None,
    }
}

/// Takes `--lock-file`, which may be held by whoever the operator wants to go first.
///
/// # Errors
/// When it can be neither made nor locked.
pub(crate) fn operators_lock(path: &Path) -> Result<Lock, NotAlone> {
    let wrong = |source| NotAlone::Lock { path: path.to_owned(), source };
    let file = open(path).map_err(wrong)?;
    let mut said = false;
    while !try_lock(&file).map_err(wrong)? {
        if !said {
            info!(path = %path.display(), "waiting for the lock file");
            said = true;
        }
        sleep(AGAIN);
    }
    Ok(Lock { _file: file })
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)
}

fn try_lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Waits for the locks of processes whose supervisor was killed.
fn wait_for_earlier_life(node_dir: &Path) -> Result<(), NotAlone> {
    let deadline = Instant::now() + EARLIER_LIFE;
    for process in Process::all() {
        let path = process.dir(node_dir).join("lock");
        let mut said = false;
        while is_held(&path) {
            if !said {
                info!(%process, "waiting for an earlier life to leave");
                said = true;
            }
            if Instant::now() > deadline {
                return Err(NotAlone::EarlierLife { process });
            }
            sleep(AGAIN);
        }
    }
    Ok(())
}

fn is_held(path: &Path) -> bool {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    file.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK))
}

/// Looks for a kubelet of the same folder among the machine's processes; changes nothing.
///
/// # Errors
/// When there is one.
pub(crate) fn no_other_kubelet(root_dir: &Path) -> Result<(), NotAlone> {
    let own = std::process::id();
    for pid in host::processes().into_iter().filter(|pid| *pid != own) {
        if root_of_kubelet(&host::command_line(pid)).is_some_and(|root| is_same_folder(pid, &root, root_dir))
        {
            return Err(NotAlone::Kubelet { pid, root_dir: root_dir.to_owned() });
        }
    }
    Ok(())
}

/// Whether a path means the same folder to a process as another does to us. It does not where that
/// process is in a container of its own, as the kubelets of kind are.
fn is_same_folder(pid: u32, theirs: &Path, ours: &Path) -> bool {
    let within = theirs.strip_prefix("/").unwrap_or(theirs);
    let seen = std::fs::metadata(Path::new("/proc").join(pid.to_string()).join("root").join(within));
    match (seen, std::fs::metadata(ours)) {
        (Ok(theirs), Ok(ours)) => (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()),
        _ => false,
    }
}

/// The folder of a kubelet, by its command line; none when it is no kubelet.
fn root_of_kubelet(command_line: &[String]) -> Option<PathBuf> {
    let (program, arguments) = command_line.split_first()?;
    if Path::new(program).file_name()? != "kubelet" {
        return None;
    }
    let mut arguments = arguments.iter();
    let mut root = crate::settings::ROOT_DIR;
    while let Some(argument) = arguments.next() {
        match argument.trim_start_matches('-').replace('_', "-").split_once('=') {
            Some(("root-dir", _)) => root = argument.split_once('=')?.1,
            None if argument.trim_start_matches('-').replace('_', "-") == "root-dir" => {
                root = arguments.next()?
            }
            _ => {}
        }
    }
    Some(root.into())
}

fn free_ports(config: &NodeConfig) -> Result<(), NotAlone> {
    let kubelet = &config.kubelet;
    let mut ports = vec![(kubelet.healthz_bind_address, kubelet.healthz_port, "health port")];
    if kubelet.enable_server {
        ports.push((kubelet.address, kubelet.port, "kubelet's port"));
        ports.push((kubelet.address, kubelet.read_only_port, "read-only port"));
    }
    for (address, port, what) in ports.into_iter().filter(|(_, port, _)| *port != 0) {
        if host::listens(address, port) {
            return Err(NotAlone::Port { address, port, what });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubelet_is_known_by_its_command_line() {
        let cases = [
            ("the usual folder", "/usr/bin/kubelet --config=/c", Some("/var/lib/kubelet")),
            ("another one", "kubelet --root-dir=/r -v 2", Some("/r")),
            ("after a space", "./kubelet --root-dir /r", Some("/r")),
            ("with underscores", "kubelet --root_dir=/r", Some("/r")),
            ("something that speaks of kubelets", "tail -f /var/log/kubelet", None),
            ("nothing", "", None),
        ];
        for (name, line, root) in cases {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(root_of_kubelet(&words), root.map(PathBuf::from), "{name}");
        }
    }

    #[test]
    fn a_second_supervisor_learns_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("bulkhead")).unwrap();
        assert_eq!(holder(dir.path()), None);
        let first = own_lock(dir.path()).unwrap();
        assert_eq!(holder(dir.path()), Some(std::process::id()));
        let told = own_lock(dir.path()).unwrap_err().to_string();
        assert!(told.contains(&format!("process {}", std::process::id())), "{told}");
        drop(first);
        assert_eq!(holder(dir.path()), None);
    }
}
