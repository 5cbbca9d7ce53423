//! The node's settings: what they are ([`NodeConfig`], [`KubeletConfiguration`]) and how they come
//! about from files and flags ([`load`]).
//!
//! Only the supervisor loads and checks; every other process reads the result,
//! `<root-dir>/bulkhead/node.json`, and trusts it.

mod access;
mod choices;
mod document;
mod duration;
mod faults;
mod gates;
mod kubelet;
mod labels;
mod layers;
mod load;
mod logging;
mod node;
mod parts;
mod rules;
mod table;

pub use access::{Anonymous, Authentication, Authorization, AuthorizationWebhook, TokenWebhook, X509};
pub use choices::{
    AllocatableEnforcement, AuthorizationMode, CgroupDriver, ChangeDetection, CpuManagerPolicy,
    CredentialsVerification, HairpinMode, LogFormat, MemoryManagerPolicy, MemoryReservationPolicy,
    ServiceProxy, SwapBehavior, TopologyManagerPolicy, TopologyManagerScope,
};
pub use duration::{BadDuration, GoDuration};
pub use faults::{Fault, Faults};
pub use kubelet::{KubeletConfiguration, Texts};
pub use load::{Base, Sources, check_node_labels, load};
pub use logging::{FormatOptions, Logging, OutputRouting, Tracing, VModule};
pub use node::{BusAddress, KUBELET_VERSION, NodeConfig};
pub use parts::{
    CrashLoopBackOff, MemoryReservation, MemorySwap, RequestHeaders, ShutdownByPriority, UserNamespaces,
};
pub use rules::Machine;

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
    /// A file holds fields that are unknown, or values that are none.
    #[error("{path} is not a usable KubeletConfiguration: {faults}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Everything that is wrong.
        faults: Faults,
    },
    /// Flags hold values that are none.
    #[error("the command line is not usable: {0}")]
    Flags(Faults),
    /// The configuration as a whole breaks rules.
    #[error("the configuration is not usable: {0}")]
    Broken(Faults),
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
