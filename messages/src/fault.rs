//! How a command ends when it is not simply done.

use serde::{Deserialize, Serialize};

/// Why a receiver did not act on a command. A refusal is an answer: the sender need not
/// wonder whether anything happened, nothing did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "refusal", rename_all = "kebab-case")]
pub enum Refusal {
    /// `Expires` had passed when the command was read.
    #[error("the command had expired")]
    Expired,
    /// A newer decision for the same pod is known, or the pod was told to stop.
    #[error("the decision is older than the newest known for the pod")]
    Superseded,
    /// The body could not be read as the type that the subject promises.
    #[error("the command could not be read: {why}")]
    Malformed {
        /// What the parser said; never a value of the body.
        why: String,
    },
    /// The receiver does not know the pod (or object) and cannot act on it.
    #[error("unknown: {what}")]
    Unknown {
        /// What is not known.
        what: String,
    },
    /// The receiver is leaving, has too much in hand, or does not reach what it needs for everything.
    #[error("the receiver is busy, leaving or cut off")]
    Unavailable,
    /// The command asks for what its receiver never does.
    #[error("not allowed: {why}")]
    NotAllowed {
        /// The rule that forbids it.
        why: String,
    },
}

/// Something that went wrong while acting, in Kubernetes' words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// A CamelCase reason that is API, such as `ErrImagePull` or `CreateContainerError`.
    pub reason: String,
    /// A sentence for people. Never contains a secret.
    pub message: String,
    /// Nothing is wrong with what was asked: something that it needs, such as the API server, is out of reach
    /// for the moment. Worth trying again within seconds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passing: bool,
}

impl Fault {
    /// A fault of this reason and message.
    pub fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into(), passing: false }
    }

    /// The same, as one that will pass by itself or not.
    #[must_use]
    pub fn passing(self, passing: bool) -> Self {
        Self { passing, ..self }
    }
}

/// The usual reply to a command that changes something in the owner's world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It is done, and the owner's state of at least this revision shows it.
    Done {
        /// Revision of the owner's state for the pod in which the result is visible.
        revision: u64,
    },
    /// It takes longer; the owner's state will tell how it went.
    Accepted,
    /// It was tried and failed.
    Failed {
        /// Reason and message.
        fault: Fault,
    },
    /// It was not tried.
    Refused {
        /// Why not.
        refusal: Refusal,
    },
}

impl Outcome {
    /// Why it was not done, if it was not.
    pub fn failure(&self) -> Option<String> {
        match self {
            Self::Failed { fault } => Some(format!("{}: {}", fault.reason, fault.message)),
            Self::Refused { refusal } => Some(refusal.to_string()),
            Self::Done { .. } | Self::Accepted => None,
        }
    }
}
