//! The outside world as the actors see it.

use crate::core::{check::Check, outcome::Outcome};
use futures::future::LocalBoxFuture;
use messages::{ContainerName, PodUid, prober::ProbeKind};
use std::time::Duration;

/// Whose probe it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The pod.
    pub pod: PodUid,
    /// The container.
    pub container: ContainerName,
    /// CRI id of the instance.
    pub container_id: String,
    /// Which of its probes.
    pub probe: ProbeKind,
}

/// What is probed.
pub trait Target {
    /// Probes once. Never takes much longer than `timeout`; may be dropped at any time.
    fn probe<'a>(
        &'a self,
        subject: &'a Subject,
        check: &'a Check,
        timeout: Duration,
    ) -> LocalBoxFuture<'a, Outcome>;
}
