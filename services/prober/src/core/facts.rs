//! What a worker is told, and what it wants done.

use super::{outcome::Outcome, tidings::Tidings};
use messages::{BootTime, prober::Finding};
use std::time::Duration;

/// A moment on both clocks: periods are measured on the one that never steps, a container's
/// age on the one that the runtime tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since boot.
    pub boot: BootTime,
    /// Nanoseconds since the Unix epoch.
    pub unix: i64,
}

/// The container as pod-lifecycle last told of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// CRI id of the current instance.
    pub container_id: Option<String>,
    /// It runs.
    pub running: bool,
    /// Nanoseconds since the Unix epoch, 0 while it was not started.
    pub started_at: i64,
    /// `status.started`.
    pub started: bool,
    /// The pod is being stopped.
    pub terminating: bool,
}

/// What can happen to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The container looks like this.
    Seen(View),
    /// The wake-up has come.
    Woken,
    /// The probe of this instance has ended.
    Probed {
        /// CRI id of the instance.
        container_id: String,
        /// How it went.
        outcome: Outcome,
    },
}

/// What a worker wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Probe this instance and come back with [`Fact::Probed`].
    Probe {
        /// CRI id of the instance.
        container_id: String,
    },
    /// Come back with [`Fact::Woken`] after this time; an earlier wake-up is forgotten.
    WakeAfter(Duration),
    /// Remember and say this verdict.
    Settle(Settled),
    /// Write an event.
    Tell(Tidings),
}

/// What thresholds have settled on about an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// CRI id of the instance.
    pub container_id: String,
    /// What.
    pub finding: Finding,
    /// What the last probe said.
    pub message: String,
}

/// What is the same for all workers of this process: when it began, so that the containers that
/// were there before are not all probed at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beginning {
    /// When this process began.
    pub at: Now,
    /// Which part of its first period this worker lets pass, 0 to 1.
    pub fraction: f64,
}
