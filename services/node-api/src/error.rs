//! What keeps node-api from serving.

use crate::core::tls::BadTerms;
use std::{io, net::SocketAddr, path::PathBuf};

/// Why the ports cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port could not be had.
    #[error("could not listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A certificate or key file could not be read.
    #[error(
        "could not read {path}; it must be readable for the user of node-api, or be handed over by the supervisor",
        path = path.display()
    )]
    ReadPem {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} holds no usable {what}", path = path.display())]
    BadPem {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// A certificate could not be minted.
    #[error("could not mint a certificate")]
    Mint(#[source] rcgen::Error),
    /// A minted certificate could not be kept.
    #[error("could not write {path}", path = path.display())]
    WritePem {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The configuration leaves nothing to agree on.
    #[error("the TLS settings are not usable")]
    Terms(#[source] BadTerms),
    /// Certificate and key do not fit together, or the like.
    #[error("the serving certificate is not usable")]
    Certificate(#[source] rustls::Error),
    /// The bus does not know what we hear.
    #[error("could not hear the others")]
    Bus(#[source] chassis::BusError),
}
