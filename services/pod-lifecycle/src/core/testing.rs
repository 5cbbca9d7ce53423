//! Builders for the tables of the core's tests: a pod's spec, and a pod in the runtime.

use k8s_openapi::{
    api::core::v1::{
        ConfigMapVolumeSource, Container as SpecContainer, ExecAction, Lifecycle, LifecycleHandler, Node,
        NodeStatus, Pod, PodReadinessGate, PodSpec, Probe, ResourceRequirements, Volume,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use messages::{
    Decision, Fault, container_hash,
    cri_bridge::{Container, ContainerState, Deed, ImageState, InFlight, RuntimePod, Sandbox},
    prober::{Finding, ProbeKind, Verdict},
};
use std::collections::BTreeMap;

/// The UID of every pod in these tests.
pub(crate) const UID: &str = "0b2c6f1e-7a3d-4d52-9a2b-2f6f0f5b1a11";
/// Nanoseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000_000;

/// A pod named `default/web`, restarted always, until said otherwise.
#[derive(Clone)]
pub(crate) struct PodBuilder(Pod);

impl PodBuilder {
    pub(crate) fn new() -> Self {
        let mut pod = Pod::default();
        pod.metadata.name = Some("web".into());
        pod.metadata.namespace = Some("default".into());
        pod.metadata.uid = Some(UID.into());
        let spec = PodSpec {
            restart_policy: Some("Always".into()),
            termination_grace_period_seconds: Some(30),
            ..PodSpec::default()
        };
        pod.spec = Some(spec);
        Self(pod)
    }

    pub(crate) fn spec(mut self, change: impl FnOnce(&mut PodSpec)) -> Self {
        change(self.0.spec.as_mut().unwrap());
        self
    }

    pub(crate) fn meta(mut self, change: impl FnOnce(&mut Pod)) -> Self {
        change(&mut self.0);
        self
    }

    pub(crate) fn restart_policy(self, policy: &str) -> Self {
        self.spec(|spec| spec.restart_policy = Some(policy.into()))
    }

    pub(crate) fn host_network(self) -> Self {
        self.spec(|spec| spec.host_network = Some(true))
    }

    pub(crate) fn container(self, name: &str) -> Self {
        self.container_with(name, |_| ())
    }

    pub(crate) fn container_with(self, name: &str, change: impl FnOnce(&mut SpecContainer)) -> Self {
        let mut container = container(name);
        change(&mut container);
        self.spec(|spec| spec.containers.push(container))
    }

    pub(crate) fn init(self, name: &str) -> Self {
        self.init_with(name, |_| ())
    }

    pub(crate) fn sidecar(self, name: &str) -> Self {
        self.init_with(name, |container| container.restart_policy = Some("Always".into()))
    }

    pub(crate) fn init_with(self, name: &str, change: impl FnOnce(&mut SpecContainer)) -> Self {
        let mut container = container(name);
        change(&mut container);
        self.spec(|spec| spec.init_containers.get_or_insert_default().push(container))
    }

    pub(crate) fn readiness_gate(self, condition: &str) -> Self {
        let gate = PodReadinessGate { condition_type: condition.into() };
        self.spec(|spec| spec.readiness_gates.get_or_insert_default().push(gate))
    }

    /// A volume out of an object that somebody has to make.
    pub(crate) fn config_map_volume(self) -> Self {
        let config_map =
            ConfigMapVolumeSource { name: "settings".into(), ..ConfigMapVolumeSource::default() };
        let volume = Volume { name: "settings".into(), config_map: Some(config_map), ..Volume::default() };
        self.spec(|spec| spec.volumes.get_or_insert_default().push(volume))
    }

    pub(crate) fn build(self) -> Pod {
        self.0
    }
}

fn container(name: &str) -> SpecContainer {
    let image = Some(format!("registry.test/{name}:1"));
    SpecContainer {
        name: name.into(),
        image,
        image_pull_policy: Some("IfNotPresent".into()),
        ..SpecContainer::default()
    }
}

/// A probe that runs a command.
pub(crate) fn probe() -> Option<Probe> {
    Some(Probe { exec: Some(ExecAction { command: Some(vec!["true".into()]) }), ..Probe::default() })
}

/// Gives a container requests.
pub(crate) fn asks(requests: &[(&'static str, &'static str)]) -> impl FnOnce(&mut SpecContainer) + use<> {
    let requests =
        requests.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect();
    move |container| {
        container.resources =
            Some(ResourceRequirements { requests: Some(requests), ..ResourceRequirements::default() });
    }
}

/// Gives a container a request of CPU.
pub(crate) fn cpu(amount: &'static str) -> impl FnOnce(&mut SpecContainer) {
    asks(&[("cpu", amount)])
}

/// A node named `node-1` that has so much to give.
pub(crate) fn node(allocatable: &[(&str, &str)]) -> Node {
    let allocatable =
        allocatable.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned())));
    let mut node = Node::default();
    node.metadata.name = Some("node-1".into());
    node.status = Some(NodeStatus { allocatable: Some(allocatable.collect()), ..NodeStatus::default() });
    node
}

/// A postStart hook that runs a command.
pub(crate) fn post_start() -> Option<Lifecycle> {
    let exec = Some(ExecAction { command: Some(vec!["true".into()]) });
    Some(Lifecycle {
        post_start: Some(LifecycleHandler { exec, ..LifecycleHandler::default() }),
        ..Lifecycle::default()
    })
}

/// What the runtime holds of the pod. Containers belong to the sandbox named last.
pub(crate) struct RuntimeBuilder {
    pod: RuntimePod,
    current: String,
}

impl RuntimeBuilder {
    pub(crate) fn new() -> Self {
        let pod = RuntimePod {
            pod: UID.parse().unwrap(),
            namespace: "default".into(),
            name: "web".into(),
            revision: 1,
            sandboxes: Vec::new(),
            containers: Vec::new(),
            images: BTreeMap::new(),
            in_flight: Vec::new(),
            cgroup: true,
            read_at: 0,
        };
        Self { pod, current: String::new() }
    }

    /// The usual beginning: one ready sandbox with an address.
    pub(crate) fn ready() -> Self {
        Self::new().sandbox(0, true, &["10.0.0.1"])
    }

    pub(crate) fn sandbox(mut self, attempt: u32, ready: bool, ips: &[&str]) -> Self {
        self.current = format!("sandbox-{attempt}");
        let ips = ips.iter().map(ToString::to_string).collect();
        let id = self.current.clone();
        let sandbox = Sandbox { id, attempt, ready, created_at: 0, host_network: false, ips };
        self.pod.sandboxes.push(sandbox);
        self
    }

    /// A ready sandbox of a later attempt, in front of the others.
    pub(crate) fn newer_sandbox(self, attempt: u32) -> Self {
        let mut with = self.sandbox(attempt, true, &["10.0.0.2"]);
        with.pod.sandboxes.rotate_right(1);
        with
    }

    pub(crate) fn host_sandbox(self, attempt: u32) -> Self {
        let mut with = self.sandbox(attempt, true, &[]);
        with.pod.sandboxes.iter_mut().for_each(|sandbox| sandbox.host_network = true);
        with
    }

    pub(crate) fn running(self, name: &str, attempt: u32) -> Self {
        self.instance(name, attempt, |it| {
            it.state = ContainerState::Running;
            it.started_at = SECOND;
        })
    }

    pub(crate) fn exited(self, name: &str, attempt: u32, exit_code: i32) -> Self {
        self.exited_at(name, attempt, exit_code, 10)
    }

    pub(crate) fn exited_at(self, name: &str, attempt: u32, exit_code: i32, second: i64) -> Self {
        self.instance(name, attempt, |it| {
            it.state = ContainerState::Exited;
            it.started_at = SECOND;
            it.finished_at = second * SECOND;
            it.exit_code = exit_code;
            it.reason = if exit_code == 0 { "Completed".into() } else { "Error".into() };
        })
    }

    /// An instance in state `Created`, changed as wished.
    pub(crate) fn instance(mut self, name: &str, attempt: u32, change: impl FnOnce(&mut Container)) -> Self {
        let image = format!("registry.test/{name}:1");
        let mut container = Container {
            id: format!("{name}-{attempt}"),
            name: name.parse().unwrap(),
            attempt,
            sandbox: self.current.clone(),
            state: ContainerState::Created,
            created_at: SECOND,
            started_at: 0,
            finished_at: 0,
            exit_code: 0,
            reason: String::new(),
            message: String::new(),
            hash: container_hash(name, &image),
            image_ref: format!("sha256:{name}"),
            image,
            user: None,
            resources: None,
            hook_pending: false,
        };
        change(&mut container);
        self.pod.containers.push(container);
        self
    }

    pub(crate) fn image(mut self, name: &str, state: ImageState) -> Self {
        self.pod.images.insert(format!("registry.test/{name}:1"), state);
        self
    }

    pub(crate) fn in_flight(mut self, deed: Deed, failed: Option<(&str, i64)>) -> Self {
        let at = failed.map_or(0, |(_, at)| at);
        let failed = failed.map(|(reason, _)| Fault::new(reason, "it failed"));
        self.pod.in_flight.push(InFlight { deed, decision: Decision::default(), failed, at });
        self
    }

    pub(crate) fn revision(mut self, revision: u64) -> Self {
        self.pod.revision = revision;
        self
    }

    pub(crate) fn build(self) -> RuntimePod {
        self.pod
    }
}

/// A verdict about an instance that the builder above made.
pub(crate) fn verdict(name: &str, attempt: u32, probe: ProbeKind, finding: Finding) -> Verdict {
    Verdict {
        pod: UID.parse().unwrap(),
        container: name.parse().unwrap(),
        probe,
        container_id: format!("{name}-{attempt}"),
        finding,
        message: String::new(),
    }
}
