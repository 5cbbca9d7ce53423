//! What the prober says: one verdict per container and kind of probe.

use crate::{ContainerName, Key, Kind, Message, Owner, PodUid, State, Token};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The three kinds of probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeKind {
    /// Opens the other two once it has succeeded.
    Startup,
    /// Its failure restarts the container.
    Liveness,
    /// Decides `ready`.
    Readiness,
}

impl ProbeKind {
    /// All three, startup first.
    pub const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    /// The name, as in metrics and messages of the kubelet.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
        }
    }

    fn token(self) -> Token {
        self.name().parse().expect("a probe kind's name is a token")
    }
}

impl fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the thresholds have settled on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// Well.
    Success,
    /// Not well: not ready, or to be restarted.
    Failure,
    /// Nothing settled yet; a reader keeps what it last knew.
    Unknown,
}

/// `prober.state.verdict.{pod}.{container}.{probe}`. Counts only while `container_id` is the
/// container's current id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The pod.
    pub pod: PodUid,
    /// The container.
    pub container: ContainerName,
    /// Which of its probes.
    pub probe: ProbeKind,
    /// CRI id of the instance that was probed.
    pub container_id: String,
    /// What was settled.
    pub finding: Finding,
    /// What the last probe that decided said, at most 1 KiB; empty on success.
    pub message: String,
}

impl Message for Verdict {
    const OWNER: Owner = Owner::Prober;
    const KIND: Kind = Kind::State;
    const NAME: &'static str = "verdict";
    fn key(&self) -> Key {
        Key::from([Token::from(&self.pod), Token::from(&self.container), self.probe.token()])
    }
}
impl State for Verdict {}
