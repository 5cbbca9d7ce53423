//! What is shown of a container that is to run and does not yet.

use messages::Fault;

/// What is shown of a container that does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// `state.waiting.reason`.
    pub reason: String,
    /// `state.waiting.message`.
    pub message: String,
    /// Set for back-offs: which round it is, so that each is told of once.
    pub round: Option<u32>,
}

impl From<&Fault> for Waiting {
    fn from(fault: &Fault) -> Self {
        Self { reason: fault.reason.clone(), message: fault.message.clone(), round: None }
    }
}
