//! What a message is: its owner, kind, name, version and key.

use crate::{ContainerName, Decision, Refusal, Token};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;

/// A process of the node. The name is the crate, the sub-command, the NATS user and the owner
/// token of its subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// Holds the node's credentials and the one connection to the API server.
    ApiGate,
    /// The supervisor and the command line.
    Bulkhead,
    /// Speaks CRI; owns sandboxes, containers, images, pod cgroups and container logs.
    CriBridge,
    /// Serves the kubelet's ports.
    NodeApi,
    /// Decides what each pod should be doing next.
    PodLifecycle,
    /// Decides whether containers are well.
    Prober,
    /// Writes packet rules.
    ProxyProgrammer,
    /// Writes the node object, statuses, events and deletions.
    StatusReporter,
    /// Remembers recent traces.
    TraceRecorder,
    /// Mounts; owns the pods' folders.
    VolumeMounter,
}

impl Owner {
    /// Every process.
    pub const ALL: [Self; 10] = [
        Self::ApiGate,
        Self::Bulkhead,
        Self::CriBridge,
        Self::NodeApi,
        Self::PodLifecycle,
        Self::Prober,
        Self::ProxyProgrammer,
        Self::StatusReporter,
        Self::TraceRecorder,
        Self::VolumeMounter,
    ];

    /// The name, as it stands in subjects, paths and process listings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiGate => "api-gate",
            Self::Bulkhead => "bulkhead",
            Self::CriBridge => "cri-bridge",
            Self::NodeApi => "node-api",
            Self::PodLifecycle => "pod-lifecycle",
            Self::Prober => "prober",
            Self::ProxyProgrammer => "proxy-programmer",
            Self::StatusReporter => "status-reporter",
            Self::TraceRecorder => "trace-recorder",
            Self::VolumeMounter => "volume-mounter",
        }
    }

    /// The process of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|owner| owner.name() == name)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a message is for; decides its carrier and its promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Request and reply; idempotent.
    Command,
    /// Last value per key, readable at any time.
    State,
    /// A hint to hurry; may be lost.
    Event,
}

impl Kind {
    /// The kind's token in a subject.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Command => "cmd",
            Self::State => "state",
            Self::Event => "evt",
        }
    }
}

/// The last tokens of a subject: what of the many the message is about. Empty for a message
/// of which there is one per node.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<Token>);

impl Key {
    /// The key of a message of which there is one per node.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// The tokens, in order.
    pub fn tokens(&self) -> &[Token] {
        &self.0
    }
}

impl<const N: usize> From<[Token; N]> for Key {
    fn from(tokens: [Token; N]) -> Self {
        Self(tokens.into())
    }
}

impl From<Vec<Token>> for Key {
    fn from(tokens: Vec<Token>) -> Self {
        Self(tokens)
    }
}

impl<T: Into<Token>> From<T> for Key {
    fn from(token: T) -> Self {
        Self(vec![token.into()])
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens: Vec<_> = self.0.iter().map(Token::as_str).collect();
        f.write_str(&tokens.join("."))
    }
}

/// Anything that crosses the bus.
pub trait Message: Serialize + DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static {
    /// Who receives it (a command) or who alone says it (state and events). A message that
    /// every process says of itself names [`Owner::Bulkhead`] and is said under each owner.
    const OWNER: Owner;
    /// The kind.
    const KIND: Kind;
    /// The name: an imperative for commands, a noun for state, a past tense for events.
    const NAME: &'static str;
    /// Raised when a change is more than a new optional field.
    const VERSION: u16 = 1;
    /// What the message is about.
    fn key(&self) -> Key;
}

/// A message that asks its owner for a deed.
pub trait Command: Message {
    /// What the owner answers.
    type Reply: Serialize + DeserializeOwned + fmt::Debug + Send + 'static;
    /// The answer when the command is not acted on.
    fn refuse(refusal: Refusal) -> Self::Reply;
    /// The refusal in a reply, if it is one.
    fn refusal(reply: &Self::Reply) -> Option<&Refusal>;
    /// Why it was not done, if the reply says so: what the command's row in a trace shows. Never
    /// holds a secret.
    fn failure(reply: &Self::Reply) -> Option<String> {
        Self::refusal(reply).map(ToString::to_string)
    }
    /// The one container that the command is about, if there is one.
    fn container(&self) -> Option<&ContainerName> {
        None
    }
    /// The decision that this command carries out, where it stands in the body. The bus sends
    /// it as a header.
    fn decision(&self) -> Option<Decision> {
        None
    }
}

/// A message that is its owner's last word on a key.
pub trait State: Message {}

/// A message that tells of something that happened.
pub trait Event: Message {}
