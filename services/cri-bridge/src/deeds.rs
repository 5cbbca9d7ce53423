//! The deeds: what is done to the runtime for one pod, each a future that a pod's actor begins.
//!
//! A deed sees the pod as it was when it began ([`Subject`]), tells its actor what it sees on the way
//! ([`Saw`]) and ends in one of four ways ([`End`]). It looks at `halt` before it makes anything, and
//! finishes what is under way before it ends.

pub mod collect;
mod follow_up;
pub mod forget;
mod hook;
pub mod pull;
pub mod read;
pub mod sandbox;
pub mod start;
pub mod stop;
pub mod stream;

use crate::{
    actors::gate::{Enter, Pass, TurnedAway},
    adapters::{api_server::Settling, containerd::RuntimeError},
    core::{labels::PodIdentity, node::Node, spec},
    ports::{Told, World},
};
use actix::Recipient;
use chassis::{
    clock,
    telemetry::{self, Ended, Peer, keys},
};
use k8s_openapi::api::core::v1 as core;
use messages::{
    BootTime, ContainerName, Fault, PodUid,
    cri_bridge::{Container, Sandbox},
    pod_lifecycle::{ContainerKind, Pod},
    volume_mounter::Volumes,
};
use opentelemetry::KeyValue;
use std::{collections::BTreeSet, rc::Rc, sync::Arc};
use tokio::sync::watch;

/// How a deed ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Done,
    /// It failed.
    Failed(Fault),
    /// It was given up because the pod is to stop.
    Halted,
    /// The runtime is away. What was done will show when it is back; until then nobody is told of a fault.
    Away,
}

impl End {
    /// How a deed ends whose call failed: with a fault, unless it is only that the runtime is away.
    fn of_call(error: &RuntimeError, fault: impl FnOnce() -> Self) -> Self {
        if error.is_unreached() || error.is_cut_off() { Self::Away } else { fault() }
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

/// An order to stop. Only ever becomes stricter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Halt {
    /// When it was first given, and how many seconds from then containers have.
    pub order: Option<(BootTime, u64)>,
}

/// What a deed tells on its way.
#[derive(Debug, Clone)]
pub enum Saw {
    /// A sandbox, as read at this moment.
    Sandbox(PodIdentity, Sandbox, BootTime),
    /// A container, likewise.
    Container(Container, BootTime),
    /// A sandbox or container that is not there any more.
    Gone(String),
    /// All ids of the pod, as listed at this moment.
    Listed(BTreeSet<String>, BootTime),
    /// The pod's cgroup exists, or does not.
    Cgroup(bool),
    /// A pull of this image has begun.
    Pulling(String),
    /// A preStop hook of this instance was begun: it is not run twice.
    PreStop(String),
}

impl actix::Message for Saw {
    type Result = ();
}

/// A pod as a deed sees it.
#[derive(Clone)]
pub struct Subject {
    /// The world.
    pub world: Rc<World>,
    /// The pod's UID.
    pub uid: PodUid,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// As pod-lifecycle has it; absent for pods that nobody wants.
    pub pod: Option<Rc<Pod>>,
    /// Its volumes, if all are ready.
    pub volumes: Option<Rc<Volumes>>,
    /// What the runtime holds of it.
    pub sandboxes: Vec<Sandbox>,
    /// As `sandboxes`.
    pub containers: Vec<Container>,
    /// Instances whose preStop hook was begun already.
    pub hooked: BTreeSet<String>,
    /// The node.
    pub node: Arc<Node>,
    /// For how long its objects may be out of reach.
    pub settling: Settling,
    /// Its place before the runtime.
    pub place: u64,
    /// Whether it is to stop.
    pub halt: watch::Receiver<Halt>,
    /// Its actor.
    pub to: Recipient<Saw>,
}

impl Subject {
    /// The pod's object; an empty one for a pod that nobody wants.
    pub fn object(&self) -> &core::Pod {
        static NOBODY: std::sync::LazyLock<core::Pod> = std::sync::LazyLock::new(core::Pod::default);
        self.pod.as_ref().map_or(&NOBODY, |pod| &pod.object)
    }

    /// The sandbox that containers are made in.
    pub fn active_sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.first().filter(|sandbox| sandbox.ready)
    }

    /// Tells the actor.
    pub fn saw(&self, what: Saw) {
        self.to.do_send(what);
    }

    /// Tells an event about the pod.
    pub fn tell(&self, what: Told) {
        self.world.tell((&self.uid, &self.namespace, &self.name), "", what);
    }

    /// Tells an event about a container.
    pub fn tell_of(&self, kind: ContainerKind, container: &ContainerName, what: Told) {
        let path = spec::field_path(kind, container.as_str());
        self.world.tell((&self.uid, &self.namespace, &self.name), &path, what);
    }

    /// Whether the pod is to stop.
    pub fn is_halted(&self) -> bool {
        self.halt.borrow().order.is_some()
    }

    /// Returns once the pod is to stop. Cancel-safe.
    pub async fn halted(&self) {
        let mut halt = self.halt.clone();
        if halt.wait_for(|halt| halt.order.is_some()).await.is_err() {
            // The actor has gone, and with it whoever could order.
            std::future::pending::<()>().await;
        }
    }

    /// Waits for one's turn to make something; not for a pod that is to stop.
    async fn turn(&self) -> Result<Pass, End> {
        let begun = clock::now_boot();
        let enter = self.world.starts.send(Enter { place: self.place });
        // Both are cancel-safe: a turn that comes after all is passed on.
        let pass = tokio::select! {
            pass = enter => pass,
            () = self.halted() => return Err(End::Halted),
        };
        self.waited_for_runtime(begun);
        match pass {
            Ok(Ok(pass)) if !self.is_halted() => Ok(pass),
            Ok(Ok(_) | Err(TurnedAway::TooOften | TurnedAway::Closed)) | Err(_) => Err(End::Halted),
        }
    }

    /// Waits for one's turn to take sandboxes away; earlier pods go first, so that many that end at once are gone one
    /// after the other instead of all at last. `None` when the process is ending.
    async fn turn_to_end(&self) -> Option<Pass> {
        let begun = clock::now_boot();
        let pass = self.world.ends.send(Enter { place: self.place }).await;
        self.waited_for_runtime(begun);
        pass.ok()?.ok()
    }

    /// The runtime was busy with others until now.
    fn waited_for_runtime(&self, begun: BootTime) {
        let waited = Ended::call(Peer::Runtime, "wait for runtime", begun);
        telemetry::tell_of(&telemetry::context_of_current(), waited.about(self.attributes()));
    }

    /// The pod's attributes, for spans that are made when they are over.
    fn attributes(&self) -> Vec<KeyValue> {
        vec![
            KeyValue::new(keys::POD_UID, self.uid.to_string()),
            KeyValue::new(keys::POD_NAME, self.name.clone()),
            KeyValue::new(keys::NAMESPACE, self.namespace.clone()),
        ]
    }

    /// The same, and the container that it is about.
    fn attributes_of(&self, container: &ContainerName) -> Vec<KeyValue> {
        let mut attributes = self.attributes();
        attributes.push(KeyValue::new(keys::CONTAINER_NAME, container.to_string()));
        attributes
    }
}

/// A span named for a deed that something outside does for us, with the pod's attributes. More may be given.
macro_rules! deed_span {
    ($subject:expr, $peer:ident, $name:literal $(, $($fields:tt)*)?) => {
        chassis::call_span!(
            $peer,
            $name,
            k8s.pod.uid = %$subject.uid,
            k8s.pod.name = $subject.name,
            k8s.namespace.name = $subject.namespace,
            $($($fields)*)?
        )
    };
}
use deed_span;
