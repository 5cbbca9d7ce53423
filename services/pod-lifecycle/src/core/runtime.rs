//! What the runtime holds of a pod, as the rules ask about it.

use messages::cri_bridge::{Container, ContainerState, Deed, ImageState, InFlight, RuntimePod, Sandbox};

/// A pod in the runtime, or its absence.
#[derive(Debug, Clone, Copy)]
pub struct View<'a>(pub Option<&'a RuntimePod>);

impl<'a> View<'a> {
    /// Its sandboxes, newest first.
    pub fn sandboxes(self) -> &'a [Sandbox] {
        self.0.map_or(&[], |pod| &pod.sandboxes)
    }

    /// All instances of all containers.
    pub fn containers(self) -> &'a [Container] {
        self.0.map_or(&[], |pod| &pod.containers)
    }

    /// Instances of one container, newest first.
    pub fn instances(self, name: &str) -> Vec<&'a Container> {
        let mut found: Vec<_> = self.containers().iter().filter(|it| it.name.as_str() == name).collect();
        found.sort_by_key(|it| std::cmp::Reverse((it.attempt, it.created_at)));
        found
    }

    /// The newest instance of a container.
    pub fn newest(self, name: &str) -> Option<&'a Container> {
        self.instances(name).into_iter().next()
    }

    /// The newest instance of a container within one sandbox.
    pub fn newest_in(self, sandbox: &str, name: &str) -> Option<&'a Container> {
        self.instances(name).into_iter().find(|it| it.sandbox == sandbox)
    }

    /// The newest sandbox, when it is ready.
    pub fn active_sandbox(self) -> Option<&'a Sandbox> {
        self.sandboxes().first().filter(|sandbox| sandbox.ready)
    }

    /// Instances that run, or of which it is not known that they do not.
    pub fn alive(self) -> impl Iterator<Item = &'a Container> {
        let alive = |it: &&Container| matches!(it.state, ContainerState::Running | ContainerState::Unknown);
        self.containers().iter().filter(alive)
    }

    /// Nothing of it runs: no container, no sandbox.
    pub fn is_stopped(self) -> bool {
        self.alive().next().is_none() && self.sandboxes().iter().all(|sandbox| !sandbox.ready)
    }

    /// The runtime and the cgroups hold nothing of it. Its owner may still say that it knows the pod.
    pub fn is_empty(self) -> bool {
        let busy = |flight: &InFlight| flight.failed.is_none();
        self.0.is_none_or(|pod| {
            let nothing = pod.sandboxes.is_empty() && pod.containers.is_empty() && !pod.cgroup;
            nothing && !pod.in_flight.iter().any(busy)
        })
    }

    /// How having an image goes.
    pub fn image(self, image: &str) -> Option<&'a ImageState> {
        self.0.and_then(|pod| pod.images.get(image))
    }

    /// The record of a deed under way or failed.
    pub fn in_flight(self, deed: impl Fn(&Deed) -> bool) -> Option<&'a InFlight> {
        self.0.and_then(|pod| pod.in_flight.iter().find(|flight| deed(&flight.deed)))
    }

    /// Whether the pod's cgroup exists.
    pub fn has_cgroup(self) -> bool {
        self.0.is_some_and(|pod| pod.cgroup)
    }
}
