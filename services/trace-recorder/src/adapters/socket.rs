//! Unix sockets that only processes of this node may use, and tell who is at the other end.

use crate::Error;
use chassis::identity;
use futures::{Stream, StreamExt as _};
use messages::Owner;
use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::wrappers::UnixListenerStream;
use tracing::warn;

/// Who may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peers {
    /// Every process of the node.
    Ours,
    /// Root.
    Root,
}

impl Peers {
    /// The socket file's mode. The kernel's check comes first, ours by user id is the exact one.
    fn mode(self) -> u32 {
        match self {
            Self::Ours => 0o666,
            Self::Root => 0o600,
        }
    }

    /// Whether a user may connect; our own always may, so that a test need not be root.
    fn include(self, uid: u32, own: u32) -> bool {
        uid == 0 || uid == own || (self == Self::Ours && identity::owner_of(uid).is_some())
    }
}

/// Listens at a path, in place of whoever listened there before: the lock that this process holds says
/// that it is nobody alive.
pub(crate) fn listen(path: &Path, peers: Peers) -> Result<UnixListener, Error> {
    let listening = |source| Error::Listen { path: path.to_owned(), source };
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(listening(error)),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(listening)?;
    fs::set_permissions(path, fs::Permissions::from_mode(peers.mode())).map_err(listening)?;
    Ok(listener)
}

/// The connections of those who may connect.
pub(crate) fn connections(
    listener: UnixListener,
    peers: Peers,
) -> impl Stream<Item = io::Result<UnixStream>> + Send + Unpin {
    let own = chassis::identity::of(Owner::TraceRecorder).uid;
    Box::pin(UnixListenerStream::new(listener).filter(move |accepted| {
        let allowed = accepted.as_ref().is_ok_and(|stream| allowed(stream, peers, own));
        async move { allowed }
    }))
}

fn allowed(stream: &UnixStream, peers: Peers, own: u32) -> bool {
    let uid = stream.peer_cred().map(|peer| peer.uid());
    let allowed = uid.as_ref().is_ok_and(|uid| peers.include(*uid, own));
    if !allowed {
        warn!(uid = uid.ok(), "a stranger was turned away");
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_socket_is_for_those_who_need_it() {
        let prober = identity::of(Owner::Prober).uid;
        let own = identity::of(Owner::TraceRecorder).uid;
        let cases = [
            ("root sends spans", Peers::Ours, 0, true),
            ("so does the prober", Peers::Ours, prober, true),
            ("a user of the machine does not", Peers::Ours, 1000, false),
            ("root asks for traces", Peers::Root, 0, true),
            ("the prober does not", Peers::Root, prober, false),
            ("the recorder itself may", Peers::Root, own, true),
        ];
        for (name, peers, uid, allowed) in cases {
            assert_eq!(peers.include(uid, own), allowed, "{name}");
        }
    }
}
