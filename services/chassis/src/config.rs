//! The node's settings: what they are ([`NodeConfig`], [`KubeletConfiguration`]) and how they come
//! about from files and flags ([`load`]).
//!
//! Only the supervisor loads and checks; every other process reads the result,
//! `<root-dir>/bulkhead/node.json`, and trusts it.

mod access;
mod choices;
mod duration;
mod kubelet;
mod logging;
mod node;
mod parts;
mod table;

pub use access::{Anonymous, Authentication, Authorization, AuthorizationWebhook, TokenWebhook, X509};
pub use choices::{
    AllocatableEnforcement, AuthorizationMode, CgroupDriver, ChangeDetection, CpuManagerPolicy,
    CredentialsVerification, HairpinMode, LogFormat, MemoryManagerPolicy, MemoryReservationPolicy,
    SwapBehavior, TopologyManagerPolicy, TopologyManagerScope,
};
pub use duration::{BadDuration, GoDuration};
pub use kubelet::{KubeletConfiguration, Texts};
pub use logging::{FormatOptions, Logging, OutputRouting, Tracing, VModule};
pub use node::{BusAddress, NodeConfig};
pub use parts::{
    CrashLoopBackOff, MemoryReservation, MemorySwap, RequestHeaders, ShutdownByPriority, UserNamespaces,
};

use std::{io, path::PathBuf};

/// Why the settings could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read.
    #[error("could not read {path}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file that the supervisor writes has another shape.
    #[error("{path} is not what this version of bulkhead writes", path = path.display())]
    NotNode {
        /// Which.
        path: PathBuf,
        /// Where it differs.
        #[source]
        source: serde_json::Error,
    },
}
