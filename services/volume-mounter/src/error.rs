//! The service's errors: why it gives up, and why a volume could not be made.

use crate::{
    adapters::{atomic::WriteFault, folders::FolderFault},
    core::{
        check::Mismatch, downward::NoValue, memory::NoPages, payload::Unfilled, reference::Reference,
        spec::BadVolume,
    },
    ports::Denied,
};
use chassis::BusError;

/// Volume-mounter can't do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Commands can't be taken.
    #[error("commands can't be served")]
    Serve(#[source] BusError),
    /// Neighbours can't be heard.
    #[error("the pods can't be heard of")]
    Hear(#[source] BusError),
}

/// Why a volume could not be made. Told in `FailedMount`, so worded as the kubelet words it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unmade {
    /// The spec can't be read.
    #[error(transparent)]
    Spec(#[from] BadVolume),
    /// A kind of volume that is not made yet.
    #[error("{0} volumes are not supported yet")]
    Unsupported(&'static str),
    /// A static pod may not be filled from the API server.
    #[error("a static pod may not refer to secrets, configmaps or tokens")]
    Static,
    /// Names that would become parts of URLs are none.
    #[error("the pod's name, namespace or service account is no valid name")]
    Names,
    /// The API's own pod is not to be had.
    #[error("could not check the pod with the API server")]
    Unchecked(#[source] Denied),
    /// The API's own pod is another one.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// An object is not to be had.
    #[error("failed to fetch {0}")]
    Object(Reference, #[source] Denied),
    /// A token is not to be had.
    #[error("failed to fetch token")]
    Token(#[source] Denied),
    /// The files can't be put together.
    #[error(transparent)]
    Unfilled(#[from] Unfilled),
    /// A size can't be read.
    #[error(transparent)]
    Size(#[from] NoValue),
    /// There are no huge pages for it.
    #[error(transparent)]
    Pages(#[from] NoPages),
    /// A mount, or what else may hang, failed.
    #[error("{0}")]
    Mount(String),
    /// A folder can't be made.
    #[error(transparent)]
    Folder(#[from] FolderFault),
    /// The files can't be written.
    #[error(transparent)]
    Write(#[from] WriteFault),
    /// The process is going down.
    #[error("interrupted")]
    Interrupted,
}

impl Unmade {
    /// Whether it is only that the API server is out of reach for the moment.
    pub(crate) fn is_passing(&self) -> bool {
        let (Self::Unchecked(denied) | Self::Object(_, denied) | Self::Token(denied)) = self else {
            return false;
        };
        matches!(denied, Denied::Away(_))
    }
}
