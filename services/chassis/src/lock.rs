//! One life at a time: a lock on `<root-dir>/bulkhead/<owner>/lock`.

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::sleep;
use tracing::info;

/// How often a held lock is tried again. The holder is usually an earlier life that finishes the
/// effect in hand.
const AGAIN: Duration = Duration::from_millis(50);

/// Why the lock cannot be taken.
#[derive(Debug, thiserror::Error)]
#[error("could not lock {path}", path = path.display())]
pub struct LockError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The lock, held until dropped or until the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a folder; waits, and says so, while another process holds it.
    ///
    /// # Errors
    /// When the file cannot be made or locked at all.
    pub(crate) async fn take(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join("lock");
        let wrong = |source| LockError { path: path.clone(), source };
        let file = open(&path).map_err(wrong)?;
        let mut said = false;
        while !try_lock(&file).map_err(wrong)? {
            if !said {
                info!(path = %path.display(), "waiting for the lock that another life holds");
                said = true;
            }
            sleep(AGAIN).await;
        }
        Ok(Self { _file: file })
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

fn try_lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[actix::test]
    async fn a_second_life_waits_for_the_first_to_end() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path()).await.unwrap();
        let second = Lock::take(dir.path());
        tokio::pin!(second);
        assert!(timeout(AGAIN * 2, &mut second).await.is_err(), "it is held");
        drop(first);
        timeout(Duration::from_secs(5), second).await.unwrap().unwrap();
    }

    #[actix::test]
    async fn an_error_names_the_file() {
        let error = Lock::take(Path::new("/nowhere/at/all")).await.unwrap_err();
        assert_eq!(error.to_string(), "could not lock /nowhere/at/all/lock");
    }
}
