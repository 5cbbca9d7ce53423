//! A peer's Unix socket: only the peer's own user may open it, and who opened it is asked again of the
//! kernel.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};
use tokio::net::{UnixListener, UnixStream};

/// Why a socket cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("could not {deed} {path}", path = path.display())]
pub(crate) struct SocketError {
    deed: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Lets other users pass through a folder to the sockets in it, and see nothing else there.
pub(crate) fn open_folder(folder: &Path) -> Result<(), SocketError> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).map_err(wrong("open", folder))
}

/// Listens at a path that belongs to `uid` alone. A socket that an earlier life left there goes away.
pub(crate) fn listen(path: &Path, uid: u32) -> Result<UnixListener, SocketError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrong("remove", path)(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(wrong("listen at", path))?;
    // Whoever connects before these two lines is found out by `is_from`.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(wrong("restrict", path))?;
    chown(path, Some(uid), Some(uid)).map_err(wrong("give away", path))?;
    Ok(listener)
}

/// Whether the process at the other end was started as `uid` (SO_PEERCRED), or as root, who could
/// become it anyway.
pub(crate) fn is_from(stream: &UnixStream, uid: u32) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == uid || peer.uid() == 0)
}

fn wrong(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SocketError {
    move |source| SocketError { deed, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chassis::identity;
    use messages::Owner;
    use std::{os::unix::net::UnixStream as BlockingStream, thread};

    /// Connects as a user from a thread of its own: a thread's user is its own affair.
    fn connect_as(uid: u32, path: &Path) -> io::Result<BlockingStream> {
        let path = path.to_owned();
        let connecting = thread::spawn(move || {
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(uid))?;
            BlockingStream::connect(path)
        });
        connecting.join().unwrap()
    }

    #[actix::test]
    async fn only_the_peers_own_user_gets_through() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("skipped: giving a socket to another user needs root");
        }
        let folder = tempfile::tempdir().unwrap();
        open_folder(folder.path()).unwrap();
        let path = folder.path().join("status-reporter.sock");
        let uid = identity::of(Owner::StatusReporter).uid;
        let listener = listen(&path, uid).unwrap();

        let other = connect_as(identity::of(Owner::Prober).uid, &path).unwrap_err();
        assert_eq!(other.kind(), io::ErrorKind::PermissionDenied, "the socket is the peer's alone");

        let _own = connect_as(uid, &path).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        assert!(is_from(&stream, uid));
        assert!(!is_from(&stream, identity::of(Owner::Prober).uid), "the kernel knows who it is");
    }

    #[actix::test]
    async fn what_an_earlier_life_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peer.sock");
        let uid = rustix::process::geteuid().as_raw();
        drop(listen(&path, uid).unwrap());
        assert!(path.exists());
        listen(&path, uid).unwrap();
    }
}
