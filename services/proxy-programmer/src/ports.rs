//! The outside as the programmer needs it: the kernel, and those who are told. What comes from the API server comes as
//! messages to its actor.

use crate::core::nft::{inventory::Inventory, operation::Operation};
use messages::{proxy_programmer::Table, status_reporter::RecordEvent};
use std::{collections::BTreeSet, net::IpAddr};

/// Why nothing was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotWritten {
    /// The kernel finds fault with what was to be written.
    Refused(String),
    /// It could not be tried, or the kernel could not do it now.
    Failed(String),
}

impl NotWritten {
    /// What is told of it.
    pub(crate) fn why(&self) -> &str {
        let (Self::Refused(why) | Self::Failed(why)) = self;
        why
    }
}

/// The kernel. What it does may take seconds, and is done off the actor's thread.
pub(crate) trait Kernel: Send {
    /// Carries out operations as one transaction, all or none.
    fn commit(&mut self, operations: &[Operation]) -> Result<(), NotWritten>;

    /// Whether it would. Changes nothing.
    fn ask(&mut self, operations: &[Operation]) -> Result<(), NotWritten>;

    /// Whether our tables still hold what was written, as far as can be told cheaply. Costs next to nothing while nobody
    /// writes rules.
    fn is_intact(&mut self, own: &Inventory) -> Result<bool, NotWritten>;

    /// The addresses of this machine's interfaces; nothing if they cannot be had.
    fn addresses(&mut self) -> Option<BTreeSet<IpAddr>>;
}

/// Those who are told. Nobody is waited for.
pub(crate) trait Told {
    /// What is programmed.
    fn table(&self, table: Table);

    /// A Kubernetes event.
    fn event(&self, event: RecordEvent);

    /// What the work waits for; nothing if it goes on.
    fn health(&self, waiting_for: Vec<String>);
}
