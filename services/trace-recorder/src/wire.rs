//! What is said at the query socket.

use crate::core::ring::Summary;
use serde::{Deserialize, Serialize};

/// The name of the socket at which spans arrive, in the process's folder.
pub(crate) const OTLP_SOCKET: &str = "otlp.sock";
/// The name of the socket at which root asks.
pub(crate) const QUERY_SOCKET: &str = "query.sock";
/// The longest question, in bytes.
pub(crate) const LONGEST_QUERY: u64 = 4096;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub(crate) enum Query {
    /// What is kept?
    List,
    /// Which trace is meant by a trace id, a UID, `namespace/name` or a name?
    Trace {
        /// One of these.
        of: String,
    },
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// Everything that is kept, newest first.
    List {
        /// One per trace.
        traces: Vec<Summary>,
    },
    /// A trace follows, as OTLP's `TracesData`.
    Trace {
        /// Its id in hex.
        trace: String,
        /// Spans that were not kept.
        dropped: u32,
        /// How many bytes follow.
        bytes: usize,
    },
    /// The name is that of pods in several namespaces.
    Several {
        /// Each as `namespace/name`.
        pods: Vec<String>,
    },
    /// No such trace.
    Nothing,
}
