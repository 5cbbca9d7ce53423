//! What can go wrong on the bus. That it is away is none of it, save for asking.

use async_nats::SubscribeError;
use messages::Owner;
use std::{path::PathBuf, time::Duration};

/// Why the bus cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The seed of this process' key could not be read.
    #[error("could not read the bus key {path}", path = path.display())]
    Seed {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The address or key is not usable. A server that does not answer is no error.
    #[error("could not connect to the bus at {url}")]
    Connect {
        /// Where.
        url: String,
        /// Why not.
        #[source]
        source: async_nats::ConnectError,
    },
    /// No subscription could be made.
    #[error("could not subscribe to {subject}")]
    Subscribe {
        /// To what.
        subject: String,
        /// Why not.
        #[source]
        source: SubscribeError,
    },
    /// The message type has no row in the catalog.
    #[error("{name} does not stand in the catalog")]
    NotInCatalog {
        /// Its name.
        name: &'static str,
    },
    /// The message type is another process' to say or to serve.
    #[error("{owner} does not own {name}")]
    NotOurs {
        /// Its name.
        name: &'static str,
        /// Who wanted to say it.
        owner: Owner,
    },
}

/// Why a command has no reply.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The bus is away; the command was not sent.
    #[error("the bus is away")]
    Disconnected,
    /// Nobody serves the command now; nothing happened.
    #[error("nobody serves {name} now")]
    NoResponder {
        /// The command.
        name: &'static str,
    },
    /// No reply came in time. Whether anything happened is unknown: the owner's next state will tell.
    #[error("no reply to {name} within {patience:?}")]
    TimedOut {
        /// The command.
        name: &'static str,
        /// How long was waited.
        patience: Duration,
    },
    /// The connection on which the command was sent was lost before its reply came. Whether anything
    /// happened is unknown.
    #[error("the bus was lost before the reply to {name} came")]
    Lost {
        /// The command.
        name: &'static str,
    },
    /// The reply is not of the type that the contract promises. What happened is unknown.
    #[error("the reply to {name} could not be read")]
    BadReply {
        /// The command.
        name: &'static str,
        /// Where it differs.
        #[source]
        source: serde_json::Error,
    },
    /// The command cannot be sent as it is, such as when it is too large; nothing happened.
    #[error("{name} cannot be sent")]
    Unsendable {
        /// The command.
        name: &'static str,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl AskError {
    /// Whether it is certain that the command was not acted on.
    pub fn nothing_happened(&self) -> bool {
        !matches!(self, Self::TimedOut { .. } | Self::Lost { .. } | Self::BadReply { .. })
    }
}
