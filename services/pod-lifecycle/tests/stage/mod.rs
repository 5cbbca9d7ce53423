//! The stage for pod-lifecycle: a real bus, and scripted neighbours that do what they are asked.

use chassis::{Bus, Heard, Service, testing::BusServer};
use k8s_openapi::{
    api::core::v1::{Node as NodeObject, NodeAddress, NodeStatus},
    apimachinery::pkg::api::resource::Quantity,
};
use messages::{
    Key, Outcome, Owner, PodUid, container_hash,
    cri_bridge::{
        Container, ContainerState, EnsureSandbox, ForgetPod, PullImage, Runtime, RuntimePod, Sandbox,
        StartContainer, StopContainer, StopPod,
    },
    pod_lifecycle::{Pod, Status},
    status_reporter::{Node, RecordEvent, RecordEventReply},
    volume_mounter::{PrepareVolumes, ReleaseVolumes, Volumes, VolumesPhase},
};
use std::{cell::RefCell, collections::BTreeMap, path::PathBuf, rc::Rc, time::Duration};
use tempfile::TempDir;
use tokio::time::timeout;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node without pod-lifecycle.
pub(crate) struct Stage {
    pub(crate) server: BusServer,
    pub(crate) manifests: TempDir,
    pub(crate) runtime: Rc<ScriptedRuntime>,
    pub(crate) reporter: Rc<ScriptedReporter>,
    serving: Vec<chassis::Serving>,
}

impl Stage {
    /// `None` where there is no bus server.
    pub(crate) async fn set() -> Option<Self> {
        let server = BusServer::start()?;
        // Streams of untrusted processes are made by pod-lifecycle.
        drop(server.bus_in_life(Owner::PodLifecycle, 0).await);
        let mut serving = Vec::new();
        let runtime = ScriptedRuntime::begin(server.bus(Owner::CriBridge).await, &mut serving).await;
        begin_mounter(server.bus(Owner::VolumeMounter).await, &mut serving).await;
        let reporter = ScriptedReporter::begin(server.bus(Owner::StatusReporter).await, &mut serving).await;
        let manifests = tempfile::tempdir().unwrap();
        Some(Self { server, manifests, runtime, reporter, serving })
    }

    /// Starts a pod-lifecycle that reads the manifests; it ends when its `stop` is told.
    pub(crate) async fn start(&self) -> Service {
        let path = self.manifests.path().to_owned();
        let service = self
            .server
            .service_with(Owner::PodLifecycle, |config| config.kubelet.static_pod_path = Some(path))
            .await;
        let running = service.clone();
        actix::spawn(async move { pod_lifecycle::run(running).await.unwrap() });
        service
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.manifests.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, manifest: &str) {
        // Written aside and renamed, as whoever means it does.
        let aside = self.path(".aside");
        std::fs::write(&aside, manifest).unwrap();
        std::fs::rename(aside, self.path(name)).unwrap();
    }

    pub(crate) fn is_serving(&self) -> bool {
        !self.serving.is_empty()
    }
}

/// A manifest of one container.
pub(crate) fn manifest(name: &str, image: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: app, image: {image}}}]}}}}"
    )
}

/// Waits until a look at the world gives something.
pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("in time: {what}"))
}

/// A runtime that does everything at once, and remembers what it was asked for.
pub(crate) struct ScriptedRuntime {
    bus: Bus,
    pods: RefCell<BTreeMap<PodUid, RuntimePod>>,
    asked: RefCell<Vec<String>>,
    /// What pod-lifecycle says of pods.
    wanted: RefCell<BTreeMap<PodUid, Pod>>,
    revision: RefCell<u64>,
}

macro_rules! serve {
    ($runtime:expr, $serving:expr, $command:ty, $method:ident) => {
        let own = $runtime.clone();
        let handler = move |asked: chassis::Asked<$command>| {
            let own = own.clone();
            async move { own.$method(asked.command).await }
        };
        $serving.push($runtime.bus.serve::<$command, _, _>(handler).await.unwrap());
    };
}

impl ScriptedRuntime {
    async fn begin(bus: Bus, serving: &mut Vec<chassis::Serving>) -> Rc<Self> {
        let runtime = Rc::new(Self {
            bus,
            pods: RefCell::default(),
            asked: RefCell::default(),
            wanted: RefCell::default(),
            revision: RefCell::default(),
        });
        serve!(runtime, serving, PullImage, pull);
        serve!(runtime, serving, EnsureSandbox, sandbox);
        serve!(runtime, serving, StartContainer, start);
        serve!(runtime, serving, StopContainer, stop);
        serve!(runtime, serving, StopPod, stop_pod);
        serve!(runtime, serving, ForgetPod, forget);
        runtime.bus.say(&well()).await;
        runtime.bus.complete::<Runtime>().await;
        runtime.bus.complete::<RuntimePod>().await;
        actix::spawn(runtime.clone().listen());
        runtime
    }

    async fn listen(self: Rc<Self>) {
        let mut heard = self.bus.hear::<Pod>().await.unwrap();
        loop {
            match heard.next().await {
                Heard::Value { state, .. } => drop(self.wanted.borrow_mut().insert(state.pod.clone(), state)),
                Heard::Gone { key } => {
                    let uid = key.tokens()[0].as_str().parse().unwrap();
                    self.wanted.borrow_mut().remove(&uid);
                }
                Heard::Complete => {}
            }
        }
    }

    /// What was asked since the last look.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.borrow_mut())
    }

    /// Everything it holds is gone.
    pub(crate) fn is_empty(&self) -> bool {
        self.pods.borrow().is_empty()
    }

    /// What pod-lifecycle says that it wants.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted.borrow().len()
    }

    /// The newest attempt of `app` that runs.
    pub(crate) fn running(&self, uid: &PodUid) -> Option<u32> {
        let pods = self.pods.borrow();
        let running = pods.get(uid)?.containers.iter().filter(|it| it.state == ContainerState::Running);
        running.map(|it| it.attempt).max()
    }

    /// Everything of a pod that runs ends by itself.
    pub(crate) async fn exits(&self, uid: &PodUid, exit_code: i32) {
        self.change(uid, |pod| end_all(pod, exit_code)).await;
    }

    fn note(&self, what: String) {
        self.asked.borrow_mut().push(what);
    }

    async fn change(&self, uid: &PodUid, change: impl FnOnce(&mut RuntimePod)) -> Outcome {
        *self.revision.borrow_mut() += 1;
        let revision = *self.revision.borrow();
        let said = {
            let mut pods = self.pods.borrow_mut();
            let pod = pods.entry(uid.clone()).or_insert_with(|| nothing(uid));
            change(pod);
            pod.revision = revision;
            pod.clone()
        };
        self.bus.say(&said).await;
        Outcome::Done { revision }
    }

    async fn pull(&self, command: PullImage) -> Outcome {
        self.note(format!("pull {}", command.container));
        Outcome::Done { revision: *self.revision.borrow() }
    }

    async fn sandbox(&self, command: EnsureSandbox) -> Outcome {
        let attempt = command.attempt;
        self.note(format!("sandbox {attempt}"));
        self.change(&command.pod, |pod| pod.sandboxes.insert(0, sandbox(attempt))).await
    }

    async fn start(&self, command: StartContainer) -> Outcome {
        let StartContainer { container, attempt, .. } = &command;
        self.note(format!("start {container} {attempt}"));
        let image = self.image(&command.pod);
        let made = running(&command, image);
        self.change(&command.pod, |pod| pod.containers.push(made)).await
    }

    /// The image that the spec wants; empty when the spec has not come yet.
    fn image(&self, uid: &PodUid) -> String {
        let wanted = self.wanted.borrow();
        let spec = wanted.get(uid).and_then(|pod| pod.object.spec.clone());
        spec.and_then(|spec| spec.containers[0].image.clone()).unwrap_or_default()
    }

    async fn stop(&self, command: StopContainer) -> Outcome {
        self.note(format!("stop {}", command.container));
        self.change(&command.pod, |pod| end_all(pod, 137)).await
    }

    async fn stop_pod(&self, command: StopPod) -> Outcome {
        self.note(format!("stop-pod {}", command.grace_seconds));
        self.change(&command.pod, |pod| {
            end_all(pod, 0);
            pod.sandboxes.iter_mut().for_each(|sandbox| sandbox.ready = false);
        })
        .await
    }

    async fn forget(&self, command: ForgetPod) -> Outcome {
        self.note(format!("forget {}", command.remove_containers));
        self.pods.borrow_mut().remove(&command.pod);
        self.bus.retract::<RuntimePod>(&Key::from(&command.pod)).await;
        Outcome::Done { revision: 0 }
    }
}

fn end_all(pod: &mut RuntimePod, exit_code: i32) {
    for it in pod.containers.iter_mut().filter(|it| it.state == ContainerState::Running) {
        (it.state, it.exit_code, it.finished_at) =
            (ContainerState::Exited, exit_code, chassis::clock::now_unix());
    }
}

fn nothing(uid: &PodUid) -> RuntimePod {
    RuntimePod {
        pod: uid.clone(),
        namespace: "default".into(),
        name: "web".into(),
        revision: 0,
        sandboxes: Vec::new(),
        containers: Vec::new(),
        images: BTreeMap::new(),
        in_flight: Vec::new(),
        cgroup: true,
        read_at: 0,
    }
}

fn sandbox(attempt: u32) -> Sandbox {
    let (id, ips) = (format!("sandbox-{attempt}"), vec!["10.0.0.9".into()]);
    Sandbox { id, attempt, ready: true, created_at: 0, host_network: false, ips }
}

fn running(command: &StartContainer, image: String) -> Container {
    let now = chassis::clock::now_unix();
    let StartContainer { pod, container, attempt, .. } = command;
    Container {
        id: format!("{pod}-{container}-{attempt}"),
        name: container.clone(),
        attempt: *attempt,
        sandbox: "sandbox-0".into(),
        state: ContainerState::Running,
        created_at: now,
        started_at: now,
        finished_at: 0,
        exit_code: 0,
        reason: String::new(),
        message: String::new(),
        hash: if image.is_empty() { String::new() } else { container_hash(container.as_str(), &image) },
        image,
        image_ref: "sha256:1".into(),
        user: None,
        resources: None,
        hook_pending: false,
    }
}

fn well() -> Runtime {
    Runtime {
        reachable: true,
        error: String::new(),
        name: "containerd".into(),
        version: "2.0".into(),
        conditions: Vec::new(),
        handlers: Vec::new(),
        supplemental_groups_policy: true,
        events: true,
        cgroup_driver: "cgroupfs".into(),
    }
}

/// Mounts and unmounts everything at once.
async fn begin_mounter(bus: Bus, serving: &mut Vec<chassis::Serving>) {
    let preparing = bus.clone();
    let prepare = move |asked: chassis::Asked<PrepareVolumes>| {
        let bus = preparing.clone();
        async move {
            let volumes = Volumes {
                pod: asked.command.pod,
                phase: VolumesPhase::Ready,
                revision: 1,
                volumes: Vec::new(),
                pod_dir: "/pods/u".into(),
                supplemental_groups: Vec::new(),
            };
            bus.say(&volumes).await;
            Outcome::Done { revision: 1 }
        }
    };
    serving.push(bus.serve::<PrepareVolumes, _, _>(prepare).await.unwrap());
    let releasing = bus.clone();
    let release = move |asked: chassis::Asked<ReleaseVolumes>| {
        let bus = releasing.clone();
        async move {
            bus.retract::<Volumes>(&Key::from(&asked.command.pod)).await;
            Outcome::Done { revision: 2 }
        }
    };
    serving.push(bus.serve::<ReleaseVolumes, _, _>(release).await.unwrap());
    bus.complete::<Volumes>().await;
}

/// Hears statuses and takes events.
pub(crate) struct ScriptedReporter {
    bus: Bus,
    statuses: RefCell<BTreeMap<PodUid, Status>>,
    /// The trace that each `(phase, pod)` was said in.
    pub(crate) traces: RefCell<Vec<(String, String)>>,
    pub(crate) events: RefCell<Vec<RecordEvent>>,
}

impl ScriptedReporter {
    async fn begin(bus: Bus, serving: &mut Vec<chassis::Serving>) -> Rc<Self> {
        let reporter = Rc::new(Self {
            bus,
            statuses: RefCell::default(),
            traces: RefCell::default(),
            events: RefCell::default(),
        });
        let taking = reporter.clone();
        let take = move |asked: chassis::Asked<RecordEvent>| {
            taking.events.borrow_mut().push(asked.command);
            std::future::ready(RecordEventReply::Taken)
        };
        serving.push(reporter.bus.serve::<RecordEvent, _, _>(take).await.unwrap());
        reporter.bus.say(&node()).await;
        reporter.bus.complete::<Node>().await;
        actix::spawn(reporter.clone().listen());
        reporter
    }

    async fn listen(self: Rc<Self>) {
        use opentelemetry::trace::TraceContextExt;
        let mut heard = self.bus.hear::<Status>().await.unwrap();
        loop {
            match heard.next().await {
                Heard::Value { state, context, .. } => {
                    let phase = state.status.phase.clone().unwrap_or_default();
                    let span = context.span();
                    let span = span.span_context();
                    let trace = if span.is_valid() { span.trace_id().to_string() } else { String::new() };
                    self.traces.borrow_mut().push((phase, trace));
                    self.statuses.borrow_mut().insert(state.pod.clone(), state);
                }
                Heard::Gone { key } => {
                    let uid = key.tokens()[0].as_str().parse().unwrap();
                    self.statuses.borrow_mut().remove(&uid);
                }
                Heard::Complete => {}
            }
        }
    }

    /// The pods that have this phase.
    pub(crate) fn of_phase(&self, phase: &str) -> Vec<PodUid> {
        let statuses = self.statuses.borrow();
        let of = statuses.values().filter(|status| status.status.phase.as_deref() == Some(phase));
        of.map(|status| status.pod.clone()).collect()
    }

    pub(crate) fn status(&self, uid: &PodUid) -> Option<Status> {
        self.statuses.borrow().get(uid).cloned()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.statuses.borrow().is_empty()
    }
}

fn node() -> Node {
    let allocatable = [("cpu", "4"), ("memory", "8Gi"), ("pods", "10")];
    let allocatable = allocatable.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())));
    let address = NodeAddress { address: "192.168.0.7".into(), type_: "InternalIP".into() };
    let mut object = NodeObject::default();
    object.metadata.name = Some("node-1".into());
    object.status = Some(NodeStatus {
        allocatable: Some(allocatable.into()),
        addresses: Some(vec![address]),
        ..NodeStatus::default()
    });
    Node { registered: false, standalone: true, object: Box::new(object) }
}
