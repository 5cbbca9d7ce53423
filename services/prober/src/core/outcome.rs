//! How one probe went.

/// How one probe went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Success,
    /// Well, but somebody should look.
    Warning(String),
    /// Not well.
    Failure(String),
    /// The probe itself went wrong; no result.
    Errored(String),
    /// A compartment of ours was away; no result, and nothing that the pod's owner could mend.
    NotTried(String),
}

impl Outcome {
    /// The container is well.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Success | Self::Warning(_))
    }
}
