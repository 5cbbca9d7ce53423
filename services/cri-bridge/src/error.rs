//! Why cri-bridge gives up.

use crate::{
    adapters::{cgroupfs::CgroupError, pod_files::FileError},
    config::BadSetting,
};
use chassis::BusError;
use std::{io, path::PathBuf};

/// What ends the process. Everything else is told of and tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting.
    #[error("the configuration cannot be used")]
    Setting(#[from] BadSetting),
    /// The bus.
    #[error("the bus cannot be used")]
    Bus(#[from] BusError),
    /// Cgroups above the pods'.
    #[error("the cgroups of pods cannot be set up")]
    Cgroup(#[from] CgroupError),
    /// The process' folder.
    #[error("the claims on pods cannot be kept")]
    Claims(#[source] FileError),
    /// The socket for log files.
    #[error("could not serve log files at {path}", path = .path.display())]
    LogSocket {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Somebody else runs pods here.
    #[error(
        "the runtime runs {count} pods that this node did not make, such as {example}: another kubelet is at \
         work, or takeover must be asked for"
    )]
    OthersPods {
        /// How many.
        count: usize,
        /// One of them, as `namespace/name`.
        example: String,
    },
}
