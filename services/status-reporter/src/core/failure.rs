//! How a request to the API server failed, as far as it decides what is done next.

use std::time::Duration;

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// 404.
    #[error("there is no such object")]
    NotFound,
    /// 409 to a POST.
    #[error("there is such an object already")]
    AlreadyExists,
    /// 409 to a precondition: the object of this name is not the one that was meant.
    #[error("the object is another one by now")]
    OtherUid,
    /// 409 otherwise: somebody else wrote it at the same time.
    #[error("somebody else wrote the object at the same time")]
    Conflict,
    /// 403.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// 422, 400 and 413: it will fail again just so.
    #[error("refused for good: {0}")]
    Invalid(String),
    /// The API server, or the gate for it, asks to come again later.
    #[error("the API server has no time")]
    Later(Option<Duration>),
    /// Anything else: it may or may not have been acted on.
    #[error("no answer: {0}")]
    Unknown(String),
}

impl Failure {
    /// How long the API server asked to be left alone.
    pub(crate) fn retry_after(&self) -> Duration {
        match self {
            Self::Later(Some(pause)) => *pause,
            _ => Duration::ZERO,
        }
    }
}
