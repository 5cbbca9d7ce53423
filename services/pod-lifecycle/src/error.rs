//! Why the service gives up.

use chassis::{BusError, config::ConfigError, journal::JournalError};

/// pod-lifecycle cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neighbours cannot be heard.
    #[error("the neighbours cannot be heard")]
    Hear(#[source] BusError),
    /// Commands cannot be taken.
    #[error("commands cannot be served")]
    Serve(#[source] BusError),
    /// The journal cannot be read at all. What is only damaged in it is set aside by the chassis.
    #[error("the journal cannot be read")]
    Journal(#[source] JournalError),
    /// The headers for `staticPodURL` cannot be read.
    #[error("the headers for staticPodURL cannot be read")]
    Headers(#[source] ConfigError),
}
