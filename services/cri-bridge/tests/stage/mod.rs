//! A bus, a cgroup root and folders of a test's own, the service on them, and the parts of the others.

mod log_reader;

use chassis::{Bus, Heard, Stop, config::KubeletConfiguration, testing::BusServer};
use messages::{
    Command, ContainerName, Decision, Incarnation, Outcome, Owner, PodUid,
    cri_bridge::{
        Container, ContainerState, EnsureSandbox, ExecProbe, ExecProbeReply, ForgetPod, PullImage,
        RuntimePod, StartContainer, StopPod,
    },
    pod_lifecycle::{ContainerKind, Pod, PodSource, Stage as PodStage},
    prober::ProbeKind,
    status_reporter::{RecordEvent, RecordEventReply},
    volume_mounter::{Volumes, VolumesPhase},
};
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

/// How long anything may take here before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a command is waited for.
const ASKING: Duration = Duration::from_secs(30);

/// Everything a test needs.
pub(crate) struct Stage {
    server: BusServer,
    socket: PathBuf,
    folder: TempDir,
    dir: PathBuf,
    cgroup: String,
    change: fn(&mut KubeletConfiguration),
    lifecycle: Bus,
    mounter: Bus,
    prober: Bus,
    service: Option<(Stop, JoinHandle<()>)>,
    seen: Rc<RefCell<Vec<RuntimePod>>>,
    events: Rc<RefCell<Vec<String>>>,
    revision: Cell<u64>,
    _reporter: chassis::Serving,
}

impl Stage {
    /// With the default configuration; `None`, and a line that says why, where there is no containerd.
    pub(crate) async fn set() -> Option<Self> {
        Self::set_with(|_| {}).await
    }

    /// With another configuration.
    pub(crate) async fn set_with(change: fn(&mut KubeletConfiguration)) -> Option<Self> {
        let Some(socket) = std::env::var_os("BULKHEAD_CONTAINERD") else {
            eprintln!("skipped: BULKHEAD_CONTAINERD names no CRI socket");
            return None;
        };
        let server = BusServer::start()?;
        let folder = tempfile::tempdir().unwrap();
        let cgroup = format!("/bulkhead-test-{}-{}", std::process::id(), fastrand());
        each_hierarchy(&cgroup, |path| fs::create_dir_all(path).unwrap());
        let (seen, events) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(Vec::new())));
        let (lifecycle, mounter) =
            (server.bus(Owner::PodLifecycle).await, server.bus(Owner::VolumeMounter).await);
        hear(&lifecycle, seen.clone()).await;
        let mut stage = Self {
            prober: server.bus(Owner::Prober).await,
            _reporter: take_events(&server.bus(Owner::StatusReporter).await, events.clone()).await,
            socket: socket.into(),
            folder,
            dir: PathBuf::new(),
            cgroup,
            change,
            lifecycle,
            mounter,
            service: None,
            seen,
            events,
            revision: Cell::new(0),
            server,
        };
        stage.begin().await;
        Some(stage)
    }

    async fn begin(&mut self) {
        let (socket, cgroup, logs) =
            (self.socket.clone(), self.cgroup.clone(), self.folder.path().join("logs"));
        let change = self.change;
        let service = self.server.service_with(Owner::CriBridge, move |config| {
            config.kubelet.container_runtime_endpoint = format!("unix://{}", socket.display());
            config.kubelet.cgroup_root = cgroup;
            config.kubelet.pod_logs_dir = logs;
            // Other tests' pods are none of ours.
            config.takeover = true;
            change(&mut config.kubelet);
        });
        let service = service.await;
        self.dir = service.dir.clone();
        let (stop, health) = (service.stop.clone(), service.health.clone());
        let running = actix::spawn(async move { cri_bridge::run(service).await.unwrap() });
        self.service = Some((stop, running));
        within("the service is ready", async {
            while !health.is_ready() {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Ends the service and begins its next life.
    pub(crate) async fn restart(&mut self) {
        self.end().await;
        self.seen.borrow_mut().clear();
        self.begin().await;
    }

    async fn end(&mut self) {
        if let Some((stop, running)) = self.service.take() {
            stop.tell("a test");
            running.await.unwrap();
        }
    }

    /// Says a pod of this spec, with no volumes, as the others would.
    pub(crate) fn pod(&self, mut spec: Value) -> Rc<Pod> {
        let uid = format!("{:08x}-0000-4000-8000-{:012x}", fastrand() as u32, fastrand() & 0xffff_ffff_ffff);
        spec["enableServiceLinks"] = json!(true);
        spec["dnsPolicy"] = json!("Default");
        let object = json!({"metadata": {"name": "web", "namespace": "shop", "uid": uid}, "spec": spec});
        let pod = Pod {
            pod: uid.parse().unwrap(),
            decision: self.decision(),
            source: PodSource::File,
            stage: PodStage::Running,
            object: serde_json::from_value(object).unwrap(),
        };
        let pod_dir = self.folder.path().join("pods").join(&uid);
        fs::create_dir_all(&pod_dir).unwrap();
        let volumes = Volumes {
            pod: pod.pod.clone(),
            phase: VolumesPhase::Ready,
            revision: 1,
            volumes: Vec::new(),
            pod_dir: pod_dir.to_string_lossy().into_owned(),
            supplemental_groups: Vec::new(),
        };
        let (lifecycle, mounter, said) = (self.lifecycle.clone(), self.mounter.clone(), pod.clone());
        actix::spawn(async move {
            lifecycle.say(&said).await;
            mounter.say(&volumes).await;
        });
        Rc::new(pod)
    }

    fn decision(&self) -> Decision {
        self.revision.set(self.revision.get() + 1);
        Decision { incarnation: Incarnation(1), revision: self.revision.get() }
    }

    async fn ask<C: Command>(&self, command: C) -> C::Reply {
        self.lifecycle.ask(&command, ASKING).await.unwrap()
    }

    pub(crate) async fn ask_pull(&self, pod: &Pod, container: &str) -> Outcome {
        let (pod, decision, container) = (pod.pod.clone(), pod.decision, name(container));
        self.ask(PullImage { pod, decision, container }).await
    }

    pub(crate) async fn pull(&self, pod: &Pod, container: &str) {
        done(self.ask_pull(pod, container).await);
    }

    pub(crate) async fn ensure_sandbox(&self, pod: &Pod, attempt: u32) {
        done(
            self.ask(EnsureSandbox {
                pod: pod.pod.clone(),
                decision: pod.decision,
                attempt,
                volumes_first: true,
            })
            .await,
        );
    }

    pub(crate) async fn ask_start(&self, pod: &Pod, container: &str, attempt: u32) -> Outcome {
        let (pod, decision, container) = (pod.pod.clone(), pod.decision, name(container));
        self.ask(StartContainer { pod, decision, container, kind: ContainerKind::Regular, attempt }).await
    }

    pub(crate) async fn start(&self, pod: &Pod, container: &str, attempt: u32) {
        done(self.ask_start(pod, container, attempt).await);
    }

    /// Brings a pod of one container to run.
    pub(crate) async fn run(&self, pod: &Pod, container: &str) -> RuntimePod {
        self.pull(pod, container).await;
        self.ensure_sandbox(pod, 0).await;
        self.start(pod, container, 0).await;
        self.seen(pod, "it runs", |it| running(it, container)).await
    }

    pub(crate) async fn stop_pod(&self, pod: &Pod, grace_seconds: u64) -> Outcome {
        self.ask(StopPod { pod: pod.pod.clone(), decision: pod.decision, grace_seconds }).await
    }

    pub(crate) async fn forget(&self, pod: &Pod) {
        let command = ForgetPod { pod: pod.pod.clone(), decision: pod.decision, remove_containers: true };
        done(self.ask(command).await);
        let key = messages::Key::from(&pod.pod);
        self.lifecycle.retract::<Pod>(&key).await;
        self.mounter.retract::<Volumes>(&key).await;
    }

    /// Stops and forgets a pod and waits until nothing is left.
    pub(crate) async fn clear(&self, pod: &Pod) {
        self.stop_pod(pod, 0).await;
        self.forget(pod).await;
        self.expect_gone(pod).await;
    }

    pub(crate) async fn probe(&self, pod: &Pod, container: &Container, probe: ProbeKind) -> ExecProbeReply {
        let command = ExecProbe {
            pod: pod.pod.clone(),
            container: container.name.clone(),
            container_id: container.id.clone(),
            probe,
        };
        self.prober.ask(&command, ASKING).await.unwrap()
    }

    pub(crate) async fn stop_behind_our_back(&self, pod: &Pod, container: &str) {
        let last = self.last(&pod.pod).unwrap();
        let id = &last.containers.iter().find(|it| it.name.as_str() == container).unwrap().id;
        let runtime = cri_bridge::adapters::containerd::Containerd::at(&self.socket, &self.socket, PATIENCE);
        runtime.stop_container(id, 5).await.unwrap();
    }

    fn last(&self, uid: &PodUid) -> Option<RuntimePod> {
        self.seen.borrow().iter().rev().find(|it| it.pod == *uid).cloned()
    }

    /// Waits until the pod was said so.
    pub(crate) async fn seen(
        &self,
        pod: &Pod,
        what: &str,
        is_so: impl Fn(&RuntimePod) -> bool,
    ) -> RuntimePod {
        let waiting = async {
            loop {
                match self.last(&pod.pod).filter(&is_so) {
                    Some(seen) => return seen,
                    None => sleep(Duration::from_millis(10)).await,
                }
            }
        };
        let seen = timeout(PATIENCE, waiting).await;
        seen.unwrap_or_else(|_| panic!("not seen: {what}; last: {:#?}", self.last(&pod.pod)))
    }

    /// Waits until nothing of the pod is said and nothing of its cgroup is left.
    pub(crate) async fn expect_gone(&self, pod: &Pod) {
        within("the pod is gone", async {
            while self.last(&pod.pod).is_some() {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        let left: Vec<PathBuf> = hierarchies()
            .into_iter()
            .flat_map(|root| {
                ["", "burstable/", "besteffort/"].map(|class| root.join(self.pod_path(pod, class)))
            })
            .filter(|path| path.exists())
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }

    fn pod_path(&self, pod: &Pod, class: &str) -> String {
        format!("{}/kubepods/{class}pod{}", self.cgroup.trim_start_matches('/'), pod.pod)
    }

    /// The value of a file of a burstable pod's cgroup (v1).
    pub(crate) fn cgroup_value(&self, pod: &Pod, controller: &str, file: &str) -> String {
        let folder = Path::new("/sys/fs/cgroup").join(controller).join(self.pod_path(pod, "burstable/"));
        fs::read_to_string(folder.join(file)).unwrap().trim().to_owned()
    }

    pub(crate) async fn expect_events(&self, reasons: &[&str]) {
        let has_all = || {
            let events = self.events.borrow();
            reasons.iter().all(|reason| events.iter().any(|event| event == reason))
        };
        within(&format!("events {reasons:?}"), async {
            while !has_all() {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Waits until a container has logged just this.
    pub(crate) async fn expect_log(&self, pod: &Pod, container: &str, text: &str) {
        let socket = self.log_socket();
        within(&format!("the log {text:?}"), async {
            while log_reader::text(&socket, &pod.pod, container).await.as_deref() != Some(text) {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }

    /// Follows a log to its end; tells the notices.
    pub(crate) async fn follow_log(&self, pod: &Pod, container: &str) -> Vec<String> {
        let socket = self.log_socket();
        timeout(PATIENCE, log_reader::notices(&socket, &pod.pod, container)).await.unwrap()
    }

    fn log_socket(&self) -> PathBuf {
        self.dir.join("logs.sock")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // From the bottom up, whatever a failed test has left; the pods' own are not ours to kill.
        for below in ["/kubepods/burstable", "/kubepods/besteffort", "/kubepods", ""] {
            each_hierarchy(&format!("{}{below}", self.cgroup), |path| drop(fs::remove_dir(path)));
        }
    }
}

pub(crate) fn running(pod: &RuntimePod, container: &str) -> bool {
    let newest = pod.containers.iter().find(|it| it.name.as_str() == container);
    newest.is_some_and(|it| it.state == ContainerState::Running && !it.hook_pending)
}

pub(crate) fn ended(pod: &RuntimePod, container: &str) -> bool {
    let newest = pod.containers.iter().find(|it| it.name.as_str() == container);
    newest.is_some_and(|it| it.state == ContainerState::Exited)
}

fn name(container: &str) -> ContainerName {
    container.parse().unwrap()
}

fn done(outcome: Outcome) {
    assert!(matches!(outcome, Outcome::Done { .. } | Outcome::Accepted), "{outcome:?}");
}

fn fastrand() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

async fn within(what: &str, waiting: impl Future<Output = ()>) {
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("did not happen: {what}"));
}

fn hierarchies() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let places = mounts.lines().filter(|line| line.contains(" - cgroup cgroup "));
    places.map(|line| PathBuf::from(line.split(' ').nth(4).unwrap())).collect()
}

fn each_hierarchy(path: &str, deed: impl Fn(&Path)) {
    hierarchies().iter().for_each(|root| deed(&root.join(path.trim_start_matches('/'))));
}

async fn hear(bus: &Bus, seen: Rc<RefCell<Vec<RuntimePod>>>) {
    let mut hearing = bus.hear::<RuntimePod>().await.unwrap();
    actix::spawn(async move {
        loop {
            match hearing.next().await {
                Heard::Value { state, .. } => seen.borrow_mut().push(state),
                Heard::Gone { key } => seen.borrow_mut().retain(|it| messages::Key::from(&it.pod) != key),
                Heard::Complete => {}
            }
        }
    });
}

async fn take_events(bus: &Bus, events: Rc<RefCell<Vec<String>>>) -> chassis::Serving {
    bus.serve(move |asked: chassis::Asked<RecordEvent>| {
        events.borrow_mut().push(asked.command.reason);
        async { RecordEventReply::Taken }
    })
    .await
    .unwrap()
}
