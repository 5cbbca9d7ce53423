//! The outside as small traits, so that a test can script it.

use crate::core::{access::Attributes, directory::LogTarget, user::User};
use futures::future::{BoxFuture, LocalBoxFuture};
use std::fs::File;

/// The API server's word on callers.
pub(crate) trait Reviews {
    /// Whose a token is; nobody's when it does not count.
    fn token(&self, token: String) -> LocalBoxFuture<'static, Result<Option<User>, NoReview>>;
    /// Whether a user may.
    fn access(&self, question: Attributes) -> LocalBoxFuture<'static, Result<bool, NoReview>>;
}

/// Why there is no word.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoReview {
    /// The API server, or the gate before it, said something else.
    #[error("the API server did not review")]
    Refused(#[source] Box<kube::Error>),
    /// It said nothing.
    #[error("the API server did not review in time")]
    TimedOut,
}

/// Where container logs come from.
pub(crate) trait Logs: Send + Sync {
    /// Opens the log of an instance: the files there are, and what happens to them afterwards.
    fn open(&self, target: LogTarget) -> BoxFuture<'static, Result<OpenLog, NoLog>>;
}

/// A log, opened.
#[derive(Debug)]
pub(crate) struct OpenLog {
    /// Files that can be read as they are, the oldest first, the one that grows last.
    pub(crate) files: Vec<File>,
    /// The container runs, so that more may come.
    pub(crate) is_growing: bool,
    /// What happens to it.
    pub(crate) changes: Box<dyn Changes>,
}

/// What happens to a log that is open.
pub(crate) trait Changes: Send + std::fmt::Debug {
    /// The next thing that happens. Cancel-safe.
    fn next(&mut self) -> BoxFuture<'_, Change>;
}

/// Something that happened to a log.
#[derive(Debug)]
pub(crate) enum Change {
    /// There is more to read.
    Grown,
    /// It goes on in another file; the last one should be read to its end first.
    Rotated(File),
    /// The container has ended, and nothing more is written.
    Ended,
    /// Nobody tells any more.
    Lost,
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoLog {
    /// cri-bridge does not answer.
    #[error("cri-bridge does not answer")]
    Away(#[source] std::io::Error),
    /// Its answer cannot be read.
    #[error("cri-bridge answered something that is not a log")]
    Unreadable,
    /// It has no such log.
    #[error("cri-bridge has no such log: {0}")]
    Refused(String),
}
