//! What is known of one pod, and what a command becomes in the light of it.
//!
//! The pod's actor owns one of these. Facts come in (the spec, the volumes, what the runtime holds, how
//! a deed ended); [`Ledger::judge`] says what to do with a command, [`Ledger::tell`] what to say of the
//! pod.

mod ask;

pub use ask::{Ask, Verdict};

use super::labels::PodIdentity;
use messages::{
    ContainerName, Decision, Fault, PodUid,
    cri_bridge::{Container, ContainerState, Deed, ImageState, InFlight, RuntimePod, Sandbox},
    pod_lifecycle::{Pod, Stage},
    volume_mounter::{Volumes, VolumesPhase},
};
use std::collections::{BTreeMap, BTreeSet};

/// One pod.
#[derive(Debug)]
pub struct Ledger {
    uid: PodUid,
    identity: Option<PodIdentity>,
    spec: Option<Pod>,
    volumes: Option<Volumes>,
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
    read_at: i64,
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
            read_at: 0,
        }
    }

    /// The pod's UID.
    pub fn uid(&self) -> &PodUid {
        &self.uid
    }

    /// The pod as pod-lifecycle has it, if it does.
    pub fn spec(&self) -> Option<&Pod> {
        self.spec.as_ref()
    }

    /// The pod's volumes, once all are ready.
    pub fn ready_volumes(&self) -> Option<&Volumes> {
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
        self.spec = Some(spec);
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
        self.volumes = volumes;
    }

    /// The pod's cgroup was made, found or removed.
    pub fn cgroup(&mut self, exists: bool) {
        self.has_cgroup = exists;
    }

    /// The runtime was read: everything that it holds of the pod.
    pub fn read(
        &mut self,
        identity: Option<PodIdentity>,
        sandboxes: Vec<Sandbox>,
        containers: Vec<Container>,
    ) {
        self.identity = identity.or(self.identity.take());
        self.sandboxes = sandboxes;
        self.containers = containers;
        self.put_in_order();
    }

    /// One sandbox was read.
    pub fn read_sandbox(&mut self, identity: PodIdentity, sandbox: Sandbox) {
        self.identity = Some(identity);
        self.sandboxes.retain(|old| old.id != sandbox.id);
        self.sandboxes.push(sandbox);
        self.put_in_order();
    }

    /// One container was read.
    pub fn read_container(&mut self, container: Container) {
        self.containers.retain(|old| old.id != container.id);
        self.containers.push(container);
        self.put_in_order();
    }

    fn put_in_order(&mut self) {
        self.sandboxes.sort_by(|a, b| b.attempt.cmp(&a.attempt).then(b.created_at.cmp(&a.created_at)));
        let age = |it: &Container| (std::cmp::Reverse(it.attempt), std::cmp::Reverse(it.created_at));
        self.containers.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| age(a).cmp(&age(b))));
        let ended = |hook: &(ContainerName, u32), containers: &[Container]| {
            containers
                .iter()
                .any(|it| (&it.name, it.attempt) == (&hook.0, hook.1) && it.state == ContainerState::Exited)
        };
        let containers = std::mem::take(&mut self.containers);
        self.hooks.retain(|hook| !ended(hook, &containers));
        self.containers = containers;
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

    /// When the runtime was read last, nanoseconds since the Unix epoch.
    pub fn read_at(&mut self, now: i64) {
        self.read_at = now;
    }

    /// What to say of the pod, as a new revision.
    pub fn tell(&mut self) -> RuntimePod {
        self.revision += 1;
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
            read_at: self.read_at,
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
