//! The outside world as the actors see it: what mounts, and where objects come from.

use crate::core::{
    downward::Allocatable,
    payload::Object,
    reference::Reference,
    token::Lease,
    volume::{HostPathType, Token},
};
use chassis::call_span;
use futures::{future::LocalBoxFuture, stream::LocalBoxStream};
use k8s_openapi::api::core::v1 as core;
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf, rc::Rc, sync::Arc, time::Duration};
use tracing::Span;

/// Something that may hang, and is therefore done by a process of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "kebab-case")]
pub enum Deed {
    /// Make a folder and mount a file system of the kernel's own on it.
    Mount {
        /// The folder.
        at: PathBuf,
        /// Which file system.
        what: FileSystem,
    },
    /// Look whether a path of the host is what it should be, and make it where its type says so.
    CheckHostPath {
        /// The path.
        path: PathBuf,
        /// What it should be.
        kind: HostPathType,
    },
    /// Bind a path below a volume, made when missing, without ever leaving the volume.
    BindSubpath {
        /// The volume's root.
        root: PathBuf,
        /// The path below it.
        below: String,
        /// Where it is bound.
        at: PathBuf,
    },
    /// Unmount everything in a folder.
    UnmountBelow {
        /// The folder.
        folder: PathBuf,
    },
}

impl Deed {
    /// Its row in the trace that is under way.
    pub(crate) fn span(&self) -> Span {
        match self {
            Self::Mount { .. } => call_span!(Kernel, "mount file system"),
            Self::CheckHostPath { .. } => call_span!(Kernel, "check host path"),
            Self::BindSubpath { .. } => call_span!(Kernel, "bind path"),
            Self::UnmountBelow { .. } => call_span!(Kernel, "unmount"),
        }
    }

    /// The path that a hanging deed would keep busy.
    pub fn subject(&self) -> &PathBuf {
        match self {
            Self::Mount { at, .. } | Self::BindSubpath { at, .. } => at,
            Self::CheckHostPath { path, .. } => path,
            Self::UnmountBelow { folder } => folder,
        }
    }
}

/// A file system that has no device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FileSystem {
    /// Memory.
    Tmpfs {
        /// At most so many bytes; the kernel's default is half of the machine's memory.
        size: Option<u64>,
    },
    /// Huge pages.
    Hugetlbfs {
        /// Bytes of a page.
        page: u64,
    },
}

/// What mounts.
pub trait Mounter {
    /// Does a deed, idempotently; fails with a sentence when it takes too long.
    fn perform<'a>(&'a self, deed: &'a Deed) -> LocalBoxFuture<'a, Result<(), String>>;

    /// The kernel's table of mounts.
    ///
    /// # Errors
    /// When it can't be read.
    fn table(&self) -> std::io::Result<String>;
}

/// Why the API server did not give something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There is no such thing.
    #[error("not found")]
    NotFound,
    /// This node may not have it, or not yet.
    #[error("{0}")]
    Forbidden(String),
    /// The server is away or has no time.
    #[error("{0}")]
    Away(String),
    /// It said no for another reason.
    #[error("{0}")]
    Failed(String),
    /// The node runs without an API server.
    #[error("there is no API server")]
    Standalone,
}

/// An object with the version at which it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versioned {
    /// `metadata.resourceVersion`.
    pub version: String,
    /// Its keys.
    pub object: Arc<Object>,
}

/// A token and when it ends.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The token.
    pub token: Vec<u8>,
    /// When it ends, nanoseconds since the Unix epoch.
    pub expires_at: i64,
    /// How long it was given for.
    pub lifetime: Duration,
}

impl fmt::Debug for Issued {
    /// Never the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issued(until {})", self.expires_at)
    }
}

impl Issued {
    /// When to ask for the next one.
    pub fn lease(&self, jitter: Duration) -> Lease {
        Lease::new(self.expires_at, self.lifetime, jitter)
    }
}

/// The pod that a token is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Bearer<'a> {
    /// Namespace of pod and service account.
    pub namespace: &'a str,
    /// The service account.
    pub account: &'a str,
    /// The pod's name.
    pub pod: &'a str,
    /// The pod's UID.
    pub uid: &'a str,
}

/// Where objects come from.
pub trait Objects {
    /// The API's copy of a pod.
    fn pod<'a>(&'a self, namespace: &'a str, name: &'a str) -> LocalBoxFuture<'a, Result<core::Pod, Denied>>;

    /// A config map or secret.
    fn object<'a>(&'a self, reference: &'a Reference) -> LocalBoxFuture<'a, Result<Versioned, Denied>>;

    /// A token for a pod's service account.
    fn token<'a>(
        &'a self,
        bearer: Bearer<'a>,
        token: &'a Token,
    ) -> LocalBoxFuture<'a, Result<Issued, Denied>>;

    /// A config map or secret and every change of it; `None` while it does not exist. Never ends.
    fn watch(&self, reference: &Reference) -> LocalBoxStream<'static, Option<Versioned>>;
}

/// What volumes are made with. One for all pods.
pub struct Tools {
    /// What mounts.
    pub mounter: Rc<dyn Mounter>,
    /// Where objects come from.
    pub objects: Rc<dyn Objects>,
    /// The node's allocatable resources, once they are known.
    pub allocatable: tokio::sync::watch::Receiver<Option<Rc<Allocatable>>>,
}
