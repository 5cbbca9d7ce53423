//! A whole process: begun with a lock and a journal, ended by a signal, its supervisor or the bus.
//!
//! The process is this test program itself, told by its environment to play one.
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use chassis::{Options, Service, testing::BusServer};
use messages::{Owner, pod_lifecycle::Pod};
use std::{
    convert::Infallible,
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{JoinHandle, sleep, spawn},
    time::{Duration, Instant},
};

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);
/// Names the root folder and what the process is to do in it.
const ROOT: &str = "CHASSIS_TEST_ROOT";
const DEED: &str = "CHASSIS_TEST_DEED";

/// The part of the process. Does nothing when run as a test like the others.
#[test]
fn a_process() {
    let Some(root_dir) = env::var_os(ROOT).map(PathBuf::from) else { return };
    let deed = env::var(DEED).unwrap();
    let service = async move |service: Service| {
        service.health.ready();
        if deed == "trespass at the gate" {
            let secrets = http::Request::get("/api/v1/secrets").body(Vec::new()).unwrap();
            let _answer = service.api().unwrap().request_text(secrets).await;
            service.stop.told().await;
        }
        if deed == "trespass" {
            // The prober may read no pod.
            let _hearing = service.bus.hear::<Pod>().await;
            service.stop.told().await;
        }
        service.stop.told().await;
        Ok::<(), Infallible>(())
    };
    let ended = chassis::run(Owner::Prober, Options { root_dir, supervised: true }, service);
    std::process::exit(i32::from(ended.is_err()));
}

struct Process {
    child: Child,
    /// The supervisor's end.
    lifeline: Option<UnixStream>,
    /// What it logged, as it comes.
    log: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Process {
    fn start(root_dir: &Path, deed: &str) -> Self {
        let (lifeline, theirs) = UnixStream::pair().unwrap();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "a_process", "--nocapture"])
            .env(ROOT, root_dir)
            .env(DEED, deed)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let reader = read_into(Arc::clone(&log), child.stderr.take().unwrap());
        Self { child, lifeline: Some(lifeline), log, reader }
    }

    fn has_logged(&self, text: &str) -> bool {
        self.log.lock().unwrap().contains(text)
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Its exit code and its log.
    fn end(mut self) -> (Option<i32>, String) {
        let since = Instant::now();
        while self.is_running() {
            assert!(since.elapsed() < DEADLINE, "it does not end");
            sleep(Duration::from_millis(5));
        }
        wait_until("its log ends", || self.reader.is_finished());
        let log = self.log.lock().unwrap().clone();
        (self.child.wait().unwrap().code(), log)
    }
}

fn read_into(log: Arc<Mutex<String>>, from: ChildStderr) -> JoinHandle<()> {
    spawn(move || {
        for line in BufReader::new(from).lines() {
            *log.lock().unwrap() += &(line.unwrap() + "\n");
        }
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn health(root_dir: &Path) -> String {
    fs::read_to_string(root_dir.join("bulkhead/prober").join(chassis::HEALTH_FILE)).unwrap_or_default()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < DEADLINE, "{what}");
        sleep(Duration::from_millis(5));
    }
}

fn is_ready(root_dir: &Path, pid: u32) -> bool {
    let health = health(root_dir);
    health.contains(&format!("\"pid\":{pid},")) && health.contains("\"ready\":true")
}

#[test]
fn it_shows_that_it_does_not_stand_still() {
    let Some(server) = BusServer::start() else { return };
    let process = Process::start(&server.root_dir_for(Owner::Prober), "wait");
    let mut lifeline = process.lifeline.as_ref().unwrap();
    lifeline.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut beats = [1; 2];
    lifeline.read_exact(&mut beats).unwrap();
    assert_eq!(beats, [0, 0]);
}

#[test]
fn a_signal_ends_it_well() {
    let Some(server) = BusServer::start() else { return };
    let root_dir = server.root_dir_for(Owner::Prober);
    let process = Process::start(&root_dir, "wait");
    let pid = process.child.id();
    wait_until("it is ready", || is_ready(&root_dir, pid));

    process.signal(rustix::process::Signal::TERM);

    let (code, log) = process.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains(r#""why":"SIGTERM""#), "{log}");
}

#[test]
fn the_loss_of_its_supervisor_ends_it() {
    let Some(server) = BusServer::start() else { return };
    let root_dir = server.root_dir_for(Owner::Prober);
    let mut process = Process::start(&root_dir, "wait");
    let pid = process.child.id();
    wait_until("it is ready", || is_ready(&root_dir, pid));

    drop(process.lifeline.take());

    let (code, log) = process.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("the supervisor is gone"), "{log}");
}

#[test]
fn a_supervisor_that_takes_the_log_with_it_is_no_failure() {
    let Some(server) = BusServer::start() else { return };
    let root_dir = server.root_dir_for(Owner::Prober);
    let mut process = Process::start(&root_dir, "wait");
    let pid = process.child.id();
    wait_until("it is ready", || is_ready(&root_dir, pid));

    drop((process.child.stderr.take(), process.lifeline.take()));

    wait_until("it ends", || !process.is_running());
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_life_begins_when_the_first_has_ended_however_it_ended() {
    let Some(server) = BusServer::start() else { return };
    let root_dir = server.root_dir_for(Owner::Prober);
    let mut first = Process::start(&root_dir, "wait");
    let pid = first.child.id();
    wait_until("the first is ready", || is_ready(&root_dir, pid));
    let second = Process::start(&root_dir, "wait");
    let journal = root_dir.join("bulkhead/prober/journal/incarnation.json");
    let before = fs::read_to_string(&journal).unwrap();

    first.child.kill().unwrap();

    let pid = second.child.id();
    wait_until("the second is ready", || is_ready(&root_dir, pid));
    assert_ne!(fs::read_to_string(&journal).unwrap(), before, "it is another life");
}

#[test]
fn what_the_catalog_does_not_allow_ends_it_with_the_subject_in_the_log() {
    let Some(server) = BusServer::start() else { return };
    let root_dir = server.root_dir_for(Owner::Prober);

    let (code, log) = Process::start(&root_dir, "trespass").end();

    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("the catalog does not allow what prober tried on the bus"), "{log}");
    assert!(log.contains("node-1_pod-lifecycle_pod"), "{log}");
}

/// Lets the process be of a cluster, whose gate answers its first request with a refusal of its own.
fn join_a_cluster_that_refuses(root_dir: &Path) -> JoinHandle<()> {
    let file = root_dir.join("bulkhead/node.json");
    let mut node: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    node["kubeconfig"] = "/nowhere/kubelet.conf".into();
    fs::write(&file, node.to_string()).unwrap();
    let folder = root_dir.join("bulkhead/api-gate");
    fs::create_dir_all(&folder).unwrap();
    let gate = UnixListener::bind(folder.join("prober.sock")).unwrap();
    spawn(move || {
        let (mut peer, _) = gate.accept().unwrap();
        let refusal =
            "HTTP/1.1 403 Forbidden\r\nbulkhead-forbidden-by: api-gate\r\ncontent-length: 0\r\n\r\n";
        let mut lines = BufReader::new(peer.try_clone().unwrap()).lines();
        lines.find(|line| line.as_ref().unwrap().is_empty());
        peer.write_all(refusal.as_bytes()).unwrap();
    })
}

#[test]
fn what_api_gate_does_not_allow_ends_it_with_the_request_in_the_log() {
    let Some(server) = BusServer::start() else { return };
    let root_dir = server.root_dir_for(Owner::Prober);
    let gate = join_a_cluster_that_refuses(&root_dir);

    let (code, log) = Process::start(&root_dir, "trespass at the gate").end();

    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("the catalog does not allow what prober asked of the API server"), "{log}");
    assert!(log.contains("GET /api/v1/secrets"), "{log}");
    gate.join().unwrap();
}

#[test]
fn without_a_bus_it_waits_and_can_be_ended() {
    let Some(mut server) = BusServer::start() else { return };
    let root_dir = server.root_dir_for(Owner::Prober);
    server.kill();
    let process = Process::start(&root_dir, "wait");
    let pid = process.child.id();
    wait_until("it is ready", || is_ready(&root_dir, pid));
    wait_until("it tells what it waits for", || process.has_logged("cannot connect to the bus"));

    process.signal(rustix::process::Signal::INT);

    let (code, log) = process.end();
    assert_eq!(code, Some(0), "{log}");
}
