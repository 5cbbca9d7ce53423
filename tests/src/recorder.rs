//! What a watcher of the API server sees, from beside the node: every change of the objects of one kind, with its
//! moment. It watches at the API server itself, so that faults between node and API server do not touch it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ContainerStatus, Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::api;
use crate::control_plane::ControlPlane;

/// How long the first list may take.
const STARTING: Duration = Duration::from_secs(30);

/// One change of one object.
#[derive(Clone, Debug)]
pub struct Sighting<T> {
    /// When the watcher was told.
    pub at: Instant,
    /// The object's name.
    pub name: String,
    /// The object is gone; `seen` is what it was last.
    pub gone: bool,
    /// What matters of it.
    pub seen: T,
}

/// A pod, as far as scenarios look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSeen {
    /// `status.phase`.
    pub phase: String,
    /// The condition Ready has the status "True".
    pub ready: bool,
    /// Since when it has the status that it has: changes with each flip, even one that nobody was told of.
    pub ready_since: String,
    /// Every main container's status.
    pub containers: Vec<ContainerSeen>,
}

/// A container's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSeen {
    /// Its name.
    pub name: String,
    /// `containerd://…`; empty before the first start.
    pub id: String,
    /// How often it was started again.
    pub restarts: i32,
    /// Its state is running, and it is started.
    pub running: bool,
}

/// A node, as far as scenarios look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSeen {
    /// The condition Ready has the status "True".
    pub ready: bool,
    /// Since when it has the status that it has.
    pub ready_since: String,
}

impl PodSeen {
    /// Running with every container started: what a user calls running.
    pub fn is_running(&self) -> bool {
        self.phase == "Running"
            && !self.containers.is_empty()
            && self.containers.iter().all(|each| each.running)
    }
}

/// Records until it is dropped.
pub struct Recorder<T> {
    seen: Arc<Mutex<Vec<Sighting<T>>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Recorder<PodSeen> {
    /// Records the pods of a namespace; what is there already is seen first.
    pub fn pods(plane: &ControlPlane, namespace: &str) -> Result<Self> {
        let namespace = namespace.to_owned();
        Self::start(plane, move |client| Api::<Pod>::namespaced(client, &namespace), pod)
    }
}

impl Recorder<NodeSeen> {
    /// Records the nodes.
    pub fn nodes(plane: &ControlPlane) -> Result<Self> {
        Self::start(plane, Api::<Node>::all, node)
    }
}

impl<T: Clone + Send + 'static> Recorder<T> {
    fn start<K>(
        plane: &ControlPlane,
        open: impl FnOnce(Client) -> Api<K> + Send + 'static,
        digest: fn(&K) -> T,
    ) -> Result<Self>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let (told, listed) = mpsc::channel();
        let (kubeconfig, record) = (plane.admin().to_owned(), seen.clone());
        let work = async move {
            let client = api::client(&kubeconfig).await?;
            let note = |name, gone, seen| {
                let sighting = Sighting { at: Instant::now(), name, gone, seen };
                record.lock().unwrap_or_else(PoisonError::into_inner).push(sighting);
            };
            tokio::select! {
                () = follow(open(client), digest, note, told) => {}
                _ = stopped => {}
            }
            anyhow::Ok(())
        };
        let thread = plane.lan().hub().spawn(move || {
            let done = api::runtime().and_then(|runtime| runtime.block_on(work));
            if let Err(error) = done {
                eprintln!("a recorder ended: {error:#}");
            }
        });
        listed.recv_timeout(STARTING).context("the recorder's first list did not come")?;
        Ok(Self { seen, stop: Some(stop), thread: Some(thread) })
    }

    /// All that was seen so far, in order.
    pub fn sightings(&self) -> Vec<Sighting<T>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was seen of one object.
    pub fn of(&self, name: &str) -> Vec<Sighting<T>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|sighting| sighting.name == name).cloned().collect()
    }

    /// When each object was first seen so.
    pub fn moments(&self, so: impl Fn(&Sighting<T>) -> bool) -> BTreeMap<String, Instant> {
        let mut moments = BTreeMap::new();
        for sighting in
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|each| so(each))
        {
            moments.entry(sighting.name.clone()).or_insert(sighting.at);
        }
        moments
    }

    /// Forgets what was seen.
    pub fn clear(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl<T> Drop for Recorder<T> {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Its failure was told where it happened.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Lists, then watches, and again when the watch breaks; tells once, after the first list. What a later list does not
/// have is gone: nobody tells of what was deleted in between.
async fn follow<K, T>(objects: Api<K>, digest: fn(&K) -> T, note: impl Fn(String, bool, T), told: Sender<()>)
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let name = |object: &K| object.meta().name.clone().unwrap_or_default();
    let mut events = Box::pin(watcher::watcher(objects, watcher::Config::default()));
    let (mut there, mut unlisted) = (BTreeMap::new(), BTreeMap::new());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                note(name(&object), false, digest(&object));
                unlisted.remove(&name(&object));
                there.insert(name(&object), object);
            }
            Ok(Event::Delete(object)) => {
                there.remove(&name(&object));
                note(name(&object), true, digest(&object));
            }
            Ok(Event::Init) => unlisted = std::mem::take(&mut there),
            Ok(Event::InitDone) => {
                for (name, last) in std::mem::take(&mut unlisted) {
                    note(name, true, digest(&last));
                }
                // Nobody waits for a later list any more.
                let _ = told.send(());
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

fn pod(pod: &Pod) -> PodSeen {
    let status = pod.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().flatten().find(|each| each.type_ == "Ready");
    PodSeen {
        phase: status.phase.unwrap_or_default(),
        ready: ready.is_some_and(|each| each.status == "True"),
        ready_since: moment(ready.and_then(|each| each.last_transition_time.as_ref())),
        containers: status.container_statuses.unwrap_or_default().iter().map(container).collect(),
    }
}

fn container(status: &ContainerStatus) -> ContainerSeen {
    let running = status.state.as_ref().is_some_and(|state| state.running.is_some());
    ContainerSeen {
        name: status.name.clone(),
        id: status.container_id.clone().unwrap_or_default(),
        restarts: status.restart_count,
        running: running && status.started == Some(true),
    }
}

fn node(node: &Node) -> NodeSeen {
    let conditions = node.status.iter().filter_map(|status| status.conditions.as_ref());
    let ready = conditions.flatten().find(|each| each.type_ == "Ready");
    NodeSeen {
        ready: ready.is_some_and(|each| each.status == "True"),
        ready_since: moment(ready.and_then(|each| each.last_transition_time.as_ref())),
    }
}

fn moment(time: Option<&Time>) -> String {
    time.map(|time| time.0.to_string()).unwrap_or_default()
}
