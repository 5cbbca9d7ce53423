//! Questions to a pod's actor that change nothing.

use super::PodActor;
use crate::{
    core::{names, spec},
    deeds::stream,
};
use actix::{Context, Handler, Message, MessageResult, ResponseFuture};
use messages::{
    ContainerName,
    cri_bridge::{Container, ContainerState, ExecProbe, ExecProbeReply, OpenStream, OpenStreamReply},
};
use std::path::PathBuf;

/// An exec probe.
pub struct Probe(pub ExecProbe);

impl Message for Probe {
    type Result = ExecProbeReply;
}

impl Handler<Probe> for PodActor {
    type Result = ResponseFuture<ExecProbeReply>;
    fn handle(&mut self, Probe(probe): Probe, context: &mut Context<Self>) -> Self::Result {
        self.taken += 1;
        Box::pin(stream::probe(self.subject(context), probe))
    }
}

/// A stream.
pub struct Open(pub OpenStream);

impl Message for Open {
    type Result = OpenStreamReply;
}

impl Handler<Open> for PodActor {
    type Result = ResponseFuture<OpenStreamReply>;
    fn handle(&mut self, Open(open): Open, context: &mut Context<Self>) -> Self::Result {
        self.taken += 1;
        Box::pin(stream::open(self.subject(context), open.stream))
    }
}

/// Asks where a container's logs are.
pub struct Instances(pub ContainerName);

/// The pod's names, and the container's instances, newest first; `None` for a container that neither
/// spec nor runtime know.
pub struct Found {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// The instances.
    pub instances: Option<Vec<Container>>,
}

impl Message for Instances {
    type Result = Option<Found>;
}

impl Handler<Instances> for PodActor {
    type Result = Option<Found>;
    fn handle(&mut self, Instances(container): Instances, _: &mut Context<Self>) -> Self::Result {
        self.taken += 1;
        let of_name = self.ledger.containers().iter().filter(|it| it.name == container);
        let found: Vec<Container> = of_name.cloned().collect();
        let object = self.ledger.spec().map(|spec| &spec.object);
        let is_known = object.is_some_and(|object| spec::container(object, container.as_str()).is_some());
        let instances = (is_known || !found.is_empty()).then_some(found);
        let (namespace, name) = self.ledger.names();
        Some(Found { namespace, name, instances })
    }
}

/// Asks for the logs of running containers: CRI ids and paths.
pub struct Logs;

impl Message for Logs {
    type Result = Vec<(String, PathBuf)>;
}

impl Handler<Logs> for PodActor {
    type Result = MessageResult<Logs>;
    fn handle(&mut self, _: Logs, _: &mut Context<Self>) -> Self::Result {
        let (namespace, name) = self.ledger.names();
        let folder =
            names::pod_log_directory(self.world.settings.pod_logs(), &namespace, &name, self.ledger.uid());
        let running = self.ledger.containers().iter().filter(|it| it.state == ContainerState::Running);
        let logs =
            running.map(|it| (it.id.clone(), folder.join(names::log_path(it.name.as_str(), it.attempt))));
        MessageResult(logs.collect())
    }
}

/// Asks how many messages were taken, if the pod may be forgotten. Tidies up on the way.
pub struct Census;

impl Message for Census {
    type Result = Option<u64>;
}

impl Handler<Census> for PodActor {
    type Result = Option<u64>;
    fn handle(&mut self, _: Census, context: &mut Context<Self>) -> Option<u64> {
        self.collect(context);
        let is_idle = self.flights.is_empty() && self.waiting.is_empty() && self.reading.is_none();
        (is_idle && self.ledger.is_empty()).then_some(self.taken)
    }
}
