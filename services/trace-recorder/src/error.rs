//! What can go wrong in this crate.

use std::{io, path::PathBuf};

/// Why the recorder cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process's folder could not be opened to the others.
    #[error("could not open {path} to the other processes", path = path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A socket could not be made.
    #[error("could not listen at {path}", path = path.display())]
    Listen {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The OTLP socket broke.
    #[error("could not serve the OTLP socket")]
    Serve(#[source] tonic::transport::Error),
    /// The operator's collector is not one.
    #[error("tracing endpoint {endpoint:?} is not usable: {why}")]
    Endpoint {
        /// As configured.
        endpoint: String,
        /// Why not.
        why: String,
    },
}

/// Why a trace could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody answers at the socket.
    #[error("could not reach trace-recorder at {path}; is the node up?", path = path.display())]
    Connect {
        /// The query socket.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The conversation broke off.
    #[error("trace-recorder broke off")]
    Converse(#[source] io::Error),
    /// The answer is not one.
    #[error("trace-recorder answered something that is not a trace: {what}")]
    Answer {
        /// What part.
        what: &'static str,
    },
    /// Nothing of the kind is kept.
    #[error(
        "no trace of {pod:?} is kept: the pod may not have been started since trace-recorder was, or its trace \
         was pushed out by newer ones"
    )]
    Unknown {
        /// What was asked for.
        pod: String,
    },
    /// The name alone does not tell which.
    #[error("{name:?} is a pod in several namespaces: {}", pods.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Each as `namespace/name`.
        pods: Vec<String>,
    },
}
