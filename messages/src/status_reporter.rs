//! What status-reporter is asked for and what it says: events, and the node as it stands.

use crate::{Command, Key, Kind, Message, Owner, PodUid, Refusal, State};
use k8s_openapi::api::core::v1 as core;
use serde::{Deserialize, Serialize};

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "kebab-case")]
pub enum About {
    /// A pod, or a container of it.
    Pod {
        /// The pod.
        pod: PodUid,
        /// `metadata.namespace`.
        namespace: String,
        /// `metadata.name`.
        name: String,
        /// Such as `spec.containers{app}`; empty for the pod itself.
        field_path: String,
    },
    /// The node.
    Node,
}

/// `Normal` or `Warning`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Severity {
    /// As it should be.
    Normal,
    /// Somebody should look.
    Warning,
}

/// `status-reporter.cmd.record-event`: write a Kubernetes event. The sender keeps it in a bounded
/// queue until it is replied to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordEvent {
    /// What it is about.
    pub about: About,
    /// Normal or warning.
    pub severity: Severity,
    /// CamelCase, API.
    pub reason: String,
    /// A sentence for people, at most 1 KiB.
    pub message: String,
    /// When it happened, nanoseconds since the Unix epoch.
    pub at: i64,
}

/// Whether an event was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum RecordEventReply {
    /// It is in the reporter's queue, or was folded into one that is.
    Taken,
    /// Not taken.
    Refused {
        /// Why not.
        refusal: Refusal,
    },
}

impl Message for RecordEvent {
    const OWNER: Owner = Owner::StatusReporter;
    const KIND: Kind = Kind::Command;
    const NAME: &'static str = "record-event";
    fn key(&self) -> Key {
        Key::none()
    }
}
impl Command for RecordEvent {
    type Reply = RecordEventReply;
    fn refuse(refusal: Refusal) -> RecordEventReply {
        RecordEventReply::Refused { refusal }
    }
    fn refusal(reply: &RecordEventReply) -> Option<&Refusal> {
        match reply {
            RecordEventReply::Refused { refusal } => Some(refusal),
            RecordEventReply::Taken => None,
        }
    }
}

/// `status-reporter.state.node`: the Node object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The API server accepted it. Until then (and for ever when standalone) it is the node as it
    /// will be registered.
    pub registered: bool,
    /// There is no API server.
    pub standalone: bool,
    /// The object.
    pub object: Box<core::Node>,
}

impl Message for Node {
    const OWNER: Owner = Owner::StatusReporter;
    const KIND: Kind = Kind::State;
    const NAME: &'static str = "node";
    fn key(&self) -> Key {
        Key::none()
    }
}
impl State for Node {}
