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
