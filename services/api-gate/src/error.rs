//! Why the gate cannot begin.

use crate::{adapters::socket::SocketError, ports::BoxError};

/// Why the gate cannot begin. Once it has begun, nothing ends it but being told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The credentials cannot be used.
    #[error("there are no credentials for the API server")]
    Credentials(#[source] BoxError),
    /// A socket cannot be served.
    #[error("a peer cannot be served")]
    Socket(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<SocketError> for Error {
    fn from(error: SocketError) -> Self {
        Self::Socket(error.into())
    }
}
