//! The API server, through api-gate.

use super::object::PodObject;
use crate::{
    core::{
        backoff, events,
        failure::Failure,
        lease, node,
        pod::{View, plan::Deed},
        pods::Name,
    },
    ports::{Answer, Api, NodeSight, PodSight},
};
use futures::{StreamExt, TryFutureExt, future::LocalBoxFuture, stream, stream::LocalBoxStream};
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Event, Node, Pod},
};
use kube::{
    Client, Error,
    api::{Api as Kube, DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    runtime::{
        WatchStreamExt,
        utils::Backoff,
        watcher::{self, watcher},
    },
};
use messages::NodeName;
use serde_json::Value;
use std::time::Duration;
use tokio::time::timeout;
use tracing::debug;

/// How long a request may take. The gate gives up after a little more than a minute by itself.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest pause before a watch that broke is begun again.
const WATCH_AGAIN: Duration = Duration::from_secs(2);

/// The field that the API server blames (422) when a patch is for another object than it has.
const UID: &str = "metadata.uid";

/// The API server, as the one node that this is.
pub(crate) struct ApiServer {
    client: Client,
    node: NodeName,
}

impl ApiServer {
    pub(crate) fn new(client: Client, node: NodeName) -> Self {
        Self { client, node }
    }

    fn nodes(&self) -> Kube<Node> {
        Kube::all(self.client.clone())
    }
}

impl Api for ApiServer {
    fn node(&self, ask: node::Ask) -> Answer<Box<Node>> {
        let (nodes, name) = (self.nodes(), self.node.to_string());
        answer(async move {
            let mut node = match ask {
                node::Ask::Create(node) => nodes.create(&PostParams::default(), &node).await,
                node::Ask::Read => nodes.get(&name).await,
                node::Ask::Patch(patch) => {
                    nodes.patch(&name, &PatchParams::default(), &strategic(patch)).await
                }
                node::Ask::PatchStatus(patch) => {
                    nodes.patch_status(&name, &PatchParams::default(), &strategic(patch)).await
                }
            }?;
            node.metadata.managed_fields = None;
            Ok(Box::new(node))
        })
    }

    fn lease(&self, ask: lease::Ask) -> Answer<Box<Lease>> {
        let leases: Kube<Lease> = Kube::namespaced(self.client.clone(), lease::NAMESPACE);
        let name = self.node.to_string();
        answer(async move {
            let lease = match ask {
                lease::Ask::Read => leases.get(&name).await,
                lease::Ask::Create(lease) => leases.create(&PostParams::default(), &lease).await,
                lease::Ask::Replace(lease) => leases.replace(&name, &PostParams::default(), &lease).await,
            }?;
            Ok(Box::new(lease))
        })
    }

    fn pod(&self, (namespace, name): &Name, deed: Deed) -> Answer<Option<Box<View>>> {
        let pods: Kube<PodObject> = Kube::namespaced(self.client.clone(), namespace);
        let mirrors: Kube<Pod> = Kube::namespaced(self.client.clone(), namespace);
        let name = name.clone();
        let is_deletion = matches!(deed, Deed::Delete { .. } | Deed::DeleteMirror { .. });
        let answer = answer(async move {
            let object = match deed {
                Deed::Patch { patch, .. } => {
                    pods.patch_status(&name, &PatchParams::default(), &strategic(patch)).await?
                }
                Deed::CreateMirror(mirror) => mirrors.create(&PostParams::default(), &mirror).await?.into(),
                Deed::Delete { uid } | Deed::DeleteMirror { uid } => {
                    pods.delete(&name, &at_once(uid)).await?;
                    return Ok(None);
                }
            };
            Ok(Some(Box::new(object.into())))
        });
        // Nothing but its precondition can make a deletion conflict.
        let other = move |failure| {
            if is_deletion && failure == Failure::Conflict { Failure::OtherUid } else { failure }
        };
        Box::pin(answer.map_err(other))
    }

    fn event(&self, ask: events::Ask) -> Answer<()> {
        let client = self.client.clone();
        answer(async move {
            match ask {
                events::Ask::Create(event) => {
                    let namespace = event.metadata.namespace.clone().unwrap_or_default();
                    let events: Kube<Event> = Kube::namespaced(client, &namespace);
                    events.create(&PostParams::default(), &event).await
                }
                events::Ask::Patch { namespace, name, patch } => {
                    let events: Kube<Event> = Kube::namespaced(client, &namespace);
                    events.patch(&name, &PatchParams::default(), &strategic(patch)).await
                }
            }
            .map(|_| ())
        })
    }

    fn watch_node(&self) -> LocalBoxStream<'static, NodeSight> {
        let only = watcher::Config::default().fields(&format!("metadata.name={}", self.node));
        let mut seen_in_list = false;
        let sights = watcher(self.nodes(), only).backoff(Pauses::default()).filter_map(move |event| {
            let sight = node_sight(event, &mut seen_in_list);
            async { sight }
        });
        sights.boxed_local()
    }

    fn watch_pods(&self) -> LocalBoxStream<'static, PodSight> {
        let ours = watcher::Config::default().fields(&format!("spec.nodeName={}", self.node));
        let pods: Kube<PodObject> = Kube::all(self.client.clone());
        let mut listed = Vec::new();
        let sights = watcher(pods, ours)
            .backoff(Pauses::default())
            .flat_map(move |event| stream::iter(pod_sight(event, &mut listed)));
        sights.boxed_local()
    }
}

fn node_sight(event: watcher::Result<watcher::Event<Node>>, seen_in_list: &mut bool) -> Option<NodeSight> {
    let seen = |mut node: Node| {
        node.metadata.managed_fields = None;
        Some(NodeSight::Seen(Box::new(node)))
    };
    match event {
        Ok(watcher::Event::Init) => {
            *seen_in_list = false;
            None
        }
        Ok(watcher::Event::InitApply(node)) => {
            *seen_in_list = true;
            seen(node)
        }
        Ok(watcher::Event::InitDone) => (!*seen_in_list).then_some(NodeSight::Gone),
        Ok(watcher::Event::Apply(node)) => seen(node),
        Ok(watcher::Event::Delete(_)) => Some(NodeSight::Gone),
        Err(error) => {
            debug!(error = %error, "the watch of the node broke");
            None
        }
    }
}

fn pod_sight(event: watcher::Result<watcher::Event<PodObject>>, listed: &mut Vec<Name>) -> Option<PodSight> {
    match event {
        Ok(watcher::Event::Init) => {
            listed.clear();
            None
        }
        Ok(watcher::Event::InitApply(pod)) => {
            listed.push(pod.name());
            Some(PodSight::Seen(pod.name(), Box::new(pod.into())))
        }
        Ok(watcher::Event::InitDone) => Some(PodSight::All(std::mem::take(listed))),
        Ok(watcher::Event::Apply(pod)) => Some(PodSight::Seen(pod.name(), Box::new(pod.into()))),
        Ok(watcher::Event::Delete(pod)) => Some(PodSight::Gone(pod.name(), View::from(pod).uid)),
        Err(error) => {
            debug!(error = %error, "the watch of pods broke");
            None
        }
    }
}

/// Pauses between tries to watch.
#[derive(Default)]
struct Pauses {
    failures: u32,
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        let policy = backoff::Policy { longest: WATCH_AGAIN, ..backoff::WRITES };
        Some(policy.pause(self.failures, rand::random(), &Failure::Unknown(String::new())))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

fn strategic(patch: Value) -> Patch<Value> {
    Patch::Strategic(patch)
}

/// A deletion with no grace, of the object of this UID and no other.
fn at_once(uid: String) -> DeleteParams {
    DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions { uid: Some(uid), resource_version: None }),
        ..DeleteParams::default()
    }
}

/// The answer, in time, and its failure as far as it matters.
fn answer<T: 'static>(
    asking: impl Future<Output = Result<T, Error>> + 'static,
) -> LocalBoxFuture<'static, Result<T, Failure>> {
    Box::pin(async move {
        match timeout(PATIENCE, asking).await {
            Ok(answer) => answer.map_err(failure),
            Err(_) => Err(Failure::Unknown("it took too long".to_owned())),
        }
    })
}

fn failure(error: Error) -> Failure {
    let Error::Api(status) = error else { return Failure::Unknown(chassis::error::chain(&error)) };
    let retry_after = status.details.as_ref().map(|details| u64::from(details.retry_after_seconds));
    let retry_after = retry_after.filter(|seconds| *seconds > 0).map(Duration::from_secs);
    let blames = |field: &str| {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes.into_iter().any(|cause| cause.field == field)
    };
    match status.code {
        404 => Failure::NotFound,
        409 if status.reason == "AlreadyExists" => Failure::AlreadyExists,
        409 => Failure::Conflict,
        403 => Failure::Forbidden(status.message),
        422 if blames(UID) => Failure::OtherUid,
        400 | 413 | 415 | 422 => Failure::Invalid(status.message),
        429 | 503 => Failure::Later(retry_after),
        _ => Failure::Unknown(status.message),
    }
}
