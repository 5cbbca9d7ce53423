//! Why the prober gives up. Everything else is an outcome of a probe.

use chassis::BusError;

/// The prober can't do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is to be probed can't be heard.
    #[error("the pods to probe can't be heard of")]
    Hear(#[source] BusError),
}
