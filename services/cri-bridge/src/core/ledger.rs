//! What is known of one pod, and what a command becomes in the light of it.
//!
//! The pod's actor owns one of these. Facts come in (the spec, the volumes, what the runtime holds, how
//! a deed ended); [`Ledger::judge`] says what to do with a command, [`Ledger::tell`] what to say of the
//! pod.

mod ask;

pub use ask::{Ask, Verdict};

use super::labels::PodIdentity;
use messages::{
    BootTime, ContainerName, Decision, Fault, PodUid,
    cri_bridge::{Container, ContainerState, Deed, ImageState, InFlight, RuntimePod, Sandbox},
    pod_lifecycle::{Pod, Stage},
    volume_mounter::{Volumes, VolumesPhase},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// One pod.
#[derive(Debug)]
pub struct Ledger {
    uid: PodUid,
    identity: Option<PodIdentity>,
    spec: Option<Rc<Pod>>,
    volumes: Option<Rc<Volumes>>,
    sandboxes: Vec<Sandbox>,
    containers: Vec<Container>,
    images: BTreeMap<String, ImageState>,
    failures: BTreeMap<String, u32>,
    in_flight: Vec<InFlight>,
    /// Instances whose postStart hook has not ended well.
    hooks: BTreeSet<(ContainerName, u32)>,
    /// The decision by which the pod was told to stop.
    stopped: Option<Decision>,
    has_cgroup: bool,
    revision: u64,
    /// When each sandbox and container was read last, by CRI id.
    seen: BTreeMap<String, BootTime>,
    /// Something was seen that was not told yet.
    has_news: bool,
}

impl Ledger {
    /// Nothing is known yet.
    pub fn new(uid: PodUid) -> Self {
        Self {
            uid,
            identity: None,
            spec: None,
            volumes: None,
            sandboxes: Vec::new(),
            containers: Vec::new(),
            images: BTreeMap::new(),
            failures: BTreeMap::new(),
            in_flight: Vec::new(),
            hooks: BTreeSet::new(),
            stopped: None,
            has_cgroup: false,
            revision: 0,
            seen: BTreeMap::new(),
            has_news: false,
        }
    }

    /// The pod's UID.
    pub fn uid(&self) -> &PodUid {
        &self.uid
    }

    /// The pod as pod-lifecycle has it, if it does.
    pub fn spec(&self) -> Option<&Rc<Pod>> {
        self.spec.as_ref()
    }

    /// The pod's volumes, once all are ready.
    pub fn ready_volumes(&self) -> Option<&Rc<Volumes>> {
        self.volumes.as_ref().filter(|volumes| volumes.phase == VolumesPhase::Ready)
    }

    /// Sandboxes, newest first.
    pub fn sandboxes(&self) -> &[Sandbox] {
        &self.sandboxes
    }

    /// The sandbox that containers are made in.
    pub fn active_sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.first().filter(|sandbox| sandbox.ready)
    }

    /// Instances of containers, by name, newest first.
    pub fn containers(&self) -> &[Container] {
        &self.containers
    }

    /// One instance.
    pub fn instance(&self, name: &ContainerName, attempt: u32) -> Option<&Container> {
        self.containers.iter().find(|it| it.name == *name && it.attempt == attempt)
    }

    /// The newest instance.
    pub fn newest(&self, name: &ContainerName) -> Option<&Container> {
        self.containers.iter().find(|it| it.name == *name)
    }

    /// What the runtime calls an image, if it was seen there.
    pub fn image_ref(&self, image: &str) -> Option<&str> {
        match self.images.get(image) {
            Some(ImageState::Present { image_ref }) => Some(image_ref),
            _ => None,
        }
    }

    /// Whether the pod was told to stop, by command or by its spec's stage.
    pub fn is_stopping(&self) -> bool {
        let stage_ends = self.spec.as_ref().is_some_and(|spec| spec.stage != Stage::Running);
        self.stopped.is_some() || stage_ends
    }

    /// Whether nothing of the pod is wanted, held or under way.
    pub fn is_empty(&self) -> bool {
        self.spec.is_none() && self.is_gone() && !self.is_busy()
    }

    /// Whether the runtime and the cgroups hold nothing of it.
    pub fn is_gone(&self) -> bool {
        self.sandboxes.is_empty() && self.containers.is_empty() && !self.has_cgroup
    }

    /// Whether a deed or a pull is under way.
    pub fn is_busy(&self) -> bool {
        let pulls = self.images.values().any(|image| *image == ImageState::Pulling);
        pulls || self.in_flight.iter().any(|flight| flight.failed.is_none())
    }

    /// pod-lifecycle has said the pod. A newer decision that it should run lifts an older order to stop:
    /// another life of the same UID has begun.
    pub fn wanted(&mut self, spec: Pod) {
        if spec.stage == Stage::Running && self.stopped.is_some_and(|stopped| stopped < spec.decision) {
            self.stopped = None;
        }
        self.spec = Some(Rc::new(spec));
    }

    /// pod-lifecycle knows the pod no more.
    pub fn unwanted(&mut self) {
        self.spec = None;
        self.images.retain(|_, image| *image == ImageState::Pulling);
        self.failures.clear();
        self.in_flight.retain(|flight| flight.failed.is_none());
    }

    /// volume-mounter has said the pod's volumes, or that there are none any more.
    pub fn mounted(&mut self, volumes: Option<Volumes>) {
        self.volumes = volumes.map(Rc::new);
    }

    /// The pod's cgroup was made, found or removed.
    pub fn cgroup(&mut self, exists: bool) {
        self.has_cgroup = exists;
    }

    /// A sandbox was read at this moment.
    pub fn saw_sandbox(&mut self, identity: PodIdentity, sandbox: Sandbox, at: BootTime) {
        self.identity = Some(identity);
        // Answers can overtake each other; what has ended does not come back.
        let has_ended = self.sandboxes.iter().any(|old| old.id == sandbox.id && !old.ready);
        if !(has_ended && sandbox.ready) {
            self.has_news |= !self.sandboxes.contains(&sandbox);
            self.seen.insert(sandbox.id.clone(), at);
            self.sandboxes.retain(|old| old.id != sandbox.id);
            self.sandboxes.push(sandbox);
            self.sandboxes.sort_by_key(|it| (Reverse(it.attempt), Reverse(it.created_at)));
        }
    }

    /// A container was read at this moment.
    pub fn saw_container(&mut self, container: Container, at: BootTime) {
        let is_older = |old: &Container| old.id == container.id && age(old.state) > age(container.state);
        if self.containers.iter().any(is_older) {
            return;
        }
        if container.state == ContainerState::Exited {
            self.hooks.remove(&(container.name.clone(), container.attempt));
        }
        self.has_news |= !self.containers.contains(&container);
        self.seen.insert(container.id.clone(), at);
        self.containers.retain(|old| old.id != container.id);
        self.containers.push(container);
        let order = |it: &Container| (it.name.clone(), Reverse(it.attempt), Reverse(it.created_at));
        self.containers.sort_by_key(order);
    }

    /// A sandbox or container is not there any more.
    pub fn gone(&mut self, id: &str) {
        self.has_news |= self.seen.remove(id).is_some();
        self.sandboxes.retain(|it| it.id != id);
        self.containers.retain(|it| it.id != id);
    }

    /// All of the pod was listed at this moment, and nothing but these ids is there. What was seen since
    /// is there all the same: the list is older than it.
    pub fn listed(&mut self, ids: &BTreeSet<String>, at: BootTime) {
        let lost =
            |seen: (&String, &BootTime)| (!ids.contains(seen.0) && *seen.1 < at).then(|| seen.0.clone());
        let lost: Vec<String> = self.seen.iter().filter_map(lost).collect();
        lost.iter().for_each(|id| self.gone(id));
    }

    /// Whether something was seen since it was last told of.
    pub fn has_news(&self) -> bool {
        self.has_news
    }

    /// The sandbox that an instance is in.
    pub fn sandbox_of(&self, container_id: &str) -> Option<&str> {
        self.containers.iter().find(|it| it.id == container_id).map(|it| it.sandbox.as_str())
    }

    /// Whether an id stands here with this state; `None` for sandboxes that are ready.
    pub fn stands(&self, id: &str, state: Option<ContainerState>) -> bool {
        match state {
            Some(state) => self.containers.iter().any(|it| it.id == id && it.state == state),
            None => self.sandboxes.iter().any(|it| it.id == id && it.ready),
        }
    }

    /// A deed has begun. What the last one of its kind left behind is forgotten.
    pub fn begun(&mut self, deed: Deed, decision: Decision, now: i64) {
        self.in_flight.retain(|flight| !is_of_same_kind(&flight.deed, &deed));
        if deed == Deed::StopPod {
            self.stopped = self.stopped.max(Some(decision));
        }
        self.in_flight.push(InFlight { deed, decision, failed: None, at: now });
    }

    /// A deed has ended, well or with a fault.
    pub fn ended(&mut self, deed: &Deed, fault: Option<Fault>, now: i64) {
        match fault {
            None => self.in_flight.retain(|flight| flight.deed != *deed),
            Some(fault) => {
                for flight in self.in_flight.iter_mut().filter(|flight| flight.deed == *deed) {
                    flight.failed = Some(fault.clone());
                    flight.at = now;
                }
            }
        }
    }

    /// An instance with a postStart hook is being started.
    pub fn hook_begun(&mut self, container: ContainerName, attempt: u32) {
        self.hooks.insert((container, attempt));
    }

    /// Its hook has ended well.
    pub fn hook_done(&mut self, container: &ContainerName, attempt: u32) {
        self.hooks.remove(&(container.clone(), attempt));
    }

    /// A pull has begun.
    pub fn pulling(&mut self, image: &str) {
        self.images.insert(image.to_owned(), ImageState::Pulling);
    }

    /// An image is there, or is not to be had.
    pub fn pulled(&mut self, image: &str, result: Result<String, Fault>, now: i64) {
        let state = match result {
            Ok(image_ref) => {
                self.failures.remove(image);
                ImageState::Present { image_ref }
            }
            Err(fault) => {
                let failures = self.failures.entry(image.to_owned()).or_default();
                *failures += 1;
                ImageState::Failed { fault, at: now, failures: *failures }
            }
        };
        self.images.insert(image.to_owned(), state);
    }

    /// A pull was given up because the pod is to stop.
    pub fn pull_abandoned(&mut self, image: &str) {
        self.images.remove(image);
    }

    /// The revision that was told last.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What to say of the pod now (nanoseconds since the Unix epoch), as a new revision.
    pub fn tell(&mut self, now: i64) -> RuntimePod {
        self.revision += 1;
        self.has_news = false;
        let (namespace, name) = self.names();
        let mut containers = self.containers.clone();
        for it in &mut containers {
            it.hook_pending = self.hooks.contains(&(it.name.clone(), it.attempt));
        }
        RuntimePod {
            pod: self.uid.clone(),
            namespace,
            name,
            revision: self.revision,
            sandboxes: self.sandboxes.clone(),
            containers,
            images: self.images.clone(),
            in_flight: self.in_flight.clone(),
            cgroup: self.has_cgroup,
            read_at: now,
        }
    }

    /// Namespace and name, from the spec or from the labels.
    pub fn names(&self) -> (String, String) {
        if let Some(spec) = &self.spec {
            let (namespace, name) = (super::spec::namespace(&spec.object), super::spec::name(&spec.object));
            return (namespace.to_owned(), name.to_owned());
        }
        let identity = self.identity.as_ref();
        identity.map(|identity| (identity.namespace.clone(), identity.name.clone())).unwrap_or_default()
    }
}

/// States in the order in which a container goes through them.
fn age(state: ContainerState) -> u8 {
    match state {
        ContainerState::Created => 0,
        ContainerState::Running => 1,
        ContainerState::Unknown => 2,
        ContainerState::Exited => 3,
    }
}

/// Whether the record of one deed takes the place of the other's.
fn is_of_same_kind(one: &Deed, other: &Deed) -> bool {
    match (one, other) {
        (Deed::Start { container: one, .. }, Deed::Start { container: other, .. }) => one == other,
        // A container that is stopped or started anew is past its last fault.
        (
            Deed::Stop { container: one, .. },
            Deed::Start { container: other, .. } | Deed::Stop { container: other, .. },
        ) => one == other,
        (Deed::Sandbox { .. }, Deed::Sandbox { .. })
        | (Deed::StopPod, Deed::StopPod)
        | (Deed::Forget, Deed::Forget) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
