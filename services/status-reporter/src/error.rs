//! Why the reporter cannot begin.

use chassis::BusError;

/// Why the reporter cannot begin. Once it has begun, nothing ends it but being told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something cannot be heard or served.
    #[error("the reporter cannot take its place on the bus")]
    Bus(#[from] BusError),
    /// The journal cannot be read.
    #[error("the reporter cannot read what it remembers")]
    Journal(#[from] chassis::journal::JournalError),
}
