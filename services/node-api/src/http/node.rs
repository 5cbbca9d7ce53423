//! What every handler may reach.

use crate::{
    actors::{
        directory::{DirectoryActor, Look},
        gate::Gate,
    },
    core::directory::Directory,
    http::answer::Answer,
    ports::Logs,
};
use actix::Addr;
use chassis::{Bus, config::NodeConfig};
use messages::{BootTime, Incarnation};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Which port a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    /// 10250.
    Secure,
    /// 10255.
    ReadOnly,
    /// 10248.
    Healthz,
}

impl Port {
    /// Its name in metrics.
    pub(crate) fn server_type(self) -> &'static str {
        match self {
            Self::Secure => "readwrite",
            Self::ReadOnly | Self::Healthz => "readonly",
        }
    }
}

/// The node, as handlers see it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Node {
    /// Which port the handler is for.
    pub(crate) port: Port,
    /// The settings.
    pub(crate) config: Arc<NodeConfig>,
    /// This process' life.
    pub(crate) incarnation: Incarnation,
    /// When this process began to listen.
    pub(crate) since: BootTime,
    /// What was heard.
    pub(crate) directory: Addr<DirectoryActor>,
    /// Who gets in.
    pub(crate) gate: Addr<Gate>,
    /// The way to cri-bridge's streams.
    pub(crate) bus: Bus,
    /// The way to log files.
    pub(crate) logs: Arc<dyn Logs>,
    /// Streams that may be open at once.
    pub(crate) streams: Arc<Semaphore>,
}

impl Node {
    /// The same for another port.
    pub(crate) fn at(&self, port: Port) -> Self {
        Self { port, ..self.clone() }
    }

    /// Looks at what was heard.
    pub(crate) async fn look<R: Send + 'static>(
        &self,
        glance: impl FnOnce(&Directory) -> R + Send + 'static,
    ) -> Result<R, Answer> {
        self.directory.send(Look::at(glance)).await.map_err(|_| Answer::leaving())
    }
}
