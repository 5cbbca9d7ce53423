//! A peer's Unix socket. Anybody on the machine may open it; the kernel says who did (SO_PEERCRED), and
//! anybody but the peer is sent away at once.
//!
//! The alternative, a socket that belongs to the peer's user (0600), needs CAP_CHOWN, which is as good as
//! root: more than the whole gate is trusted with otherwise.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
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

/// Listens at a path. A socket that an earlier life left there goes away.
pub(crate) fn listen(path: &Path) -> Result<UnixListener, SocketError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrong("remove", path)(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(wrong("listen at", path))?;
    // Opening a socket means writing to it.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).map_err(wrong("open", path))?;
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
    async fn the_kernel_tells_a_peer_from_everybody_else() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("skipped: acting as another user needs root");
        }
        let folder = tempfile::tempdir().unwrap();
        open_folder(folder.path()).unwrap();
        let path = folder.path().join("status-reporter.sock");
        let listener = listen(&path).unwrap();
        let peer = identity::of(Owner::StatusReporter).uid;
        let cases = [
            ("the peer itself", peer, true),
            ("root, who could become it", 0, true),
            ("another process of ours", identity::of(Owner::Prober).uid, false),
            ("anybody", 1000, false),
        ];
        for (name, uid, is_peer) in cases {
            let _connection = connect_as(uid, &path).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            assert_eq!(is_from(&stream, peer), is_peer, "{name}");
        }
    }

    #[actix::test]
    async fn what_an_earlier_life_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peer.sock");
        drop(listen(&path).unwrap());
        assert!(path.exists());
        listen(&path).unwrap();
    }
}
