//! Everything that a service is given.

use crate::{Bus, Events, HealthHandle, Journal, Stop, api, config::NodeConfig};
use messages::{Incarnation, Owner};
use std::{path::PathBuf, sync::Arc};

/// One service's connection to the rest of the node. Made by [`crate::run`] before the service's
/// own `run` is called.
#[derive(Debug, Clone)]
pub struct Service {
    /// Which process this is.
    pub owner: Owner,
    /// The node's settings.
    pub config: Arc<NodeConfig>,
    /// The only way to other processes.
    pub bus: Bus,
    /// Kubernetes events on their way to status-reporter.
    pub events: Events,
    /// This life, greater than every earlier one.
    pub incarnation: Incarnation,
    /// What is remembered across lives.
    pub journal: Journal,
    /// What this process tells of itself.
    pub health: HealthHandle,
    /// Told when the process is to leave.
    pub stop: Stop,
    /// `<root-dir>/bulkhead/<owner>/`, which belongs to this process alone.
    pub dir: PathBuf,
}

impl Service {
    /// A client of the API server through api-gate; none when the node runs standalone.
    pub fn api(&self) -> Option<kube::Client> {
        api::client(&self.config, self.owner)
    }
}
