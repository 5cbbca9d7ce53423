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
    /// What it asked of the API server although the catalog does not allow it.
    pub(crate) forbidden: api::Forbidden,
}

impl Service {
    /// Puts together what a service is given, and begins the tasks behind it: health is said, and events
    /// are sent. Must be called inside an actix system.
    pub(crate) fn begin(
        config: Arc<NodeConfig>,
        bus: Bus,
        incarnation: Incarnation,
        journal: Journal,
        stop: Stop,
    ) -> Self {
        let owner = bus.owner();
        let (events, health) = (Events::default(), HealthHandle::default());
        let dir = config.dir_of(owner);
        actix::spawn(health.clone().keep_saying(bus.clone(), incarnation, dir.clone()));
        if owner != Owner::StatusReporter {
            actix::spawn(events.clone().keep_sending(bus.clone()));
        }
        let forbidden = api::Forbidden::default();
        Self { owner, config, bus, events, incarnation, journal, health, stop, dir, forbidden }
    }

    /// A client of the API server through api-gate; none when the node runs standalone.
    pub fn api(&self) -> Option<kube::Client> {
        let socket = api::socket(&self.config, self.owner);
        (!self.config.is_standalone()).then(|| api::noting_client_at(&socket, self.forbidden.clone()))
    }
}
