//! The outside world as one value, shared by everything that acts.

use crate::{
    actors::gate::Gate,
    adapters::{api_server::ApiServer, cgroups::Cgroups, containerd::Containerd, pod_files::Claims},
    config::Settings,
    core::node::Node,
    loops::{events::Following, saying::Saying},
};
use actix::Addr;
use chassis::{Bus, Events, clock};
use messages::{
    PodUid,
    status_reporter::{About, RecordEvent, Severity},
};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::{mpsc, watch};

/// Everything that deeds reach.
pub struct World {
    /// The runtime.
    pub runtime: Containerd,
    /// The API server.
    pub api: ApiServer,
    /// The pods' cgroups.
    pub cgroups: Cgroups,
    /// The other processes.
    pub bus: Bus,
    /// What is to be said of pods, in order.
    pub sayings: mpsc::UnboundedSender<Saying>,
    /// Kubernetes events.
    pub events: Events,
    /// Which pods are ours.
    pub claims: Claims,
    /// Where links to logs are made.
    pub links: PathBuf,
    /// Who may make sandboxes and containers.
    pub starts: Addr<Gate>,
    /// Who may take sandboxes away.
    pub ends: Addr<Gate>,
    /// Who may pull.
    pub pulls: Addr<Gate>,
    /// The settings.
    pub settings: Settings,
    /// The node, as far as it is known.
    pub node: watch::Receiver<Arc<Node>>,
    /// How the runtime is followed.
    pub following: watch::Receiver<Following>,
}

impl World {
    /// The node as it is known now, with its resolver read afresh.
    pub fn node(&self) -> Arc<Node> {
        let known = self.node.borrow().clone();
        let resolver = self.settings.resolver(&known.ips);
        if resolver == known.resolver { known } else { Arc::new(Node { resolver, ..(*known).clone() }) }
    }

    /// Says something of a pod, after everything that was given before.
    pub fn say(&self, saying: Saying) {
        // Fails only when the process is ending.
        let _ = self.sayings.send(saying);
    }

    /// Tells a Kubernetes event about a pod, or about the container at `field_path`.
    pub fn tell(&self, about: (&PodUid, &str, &str), field_path: &str, what: Told) {
        let (pod, namespace, name) = about;
        self.events.record(RecordEvent {
            about: About::Pod {
                pod: pod.clone(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                field_path: field_path.to_owned(),
            },
            severity: what.severity,
            reason: what.reason.to_owned(),
            message: what.message,
            at: clock::now_unix(),
        });
    }
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    severity: Severity,
    reason: &'static str,
    message: String,
}

impl Told {
    /// As it should be.
    pub fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Normal, reason, message: message.into() }
    }

    /// Somebody should look.
    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, reason, message: message.into() }
    }
}
