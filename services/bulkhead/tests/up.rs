//! The executable as an operator meets it: a real nats-server and every process, no runtime. What a node
//! does with pods is tested in `tests/`.
//!
//! Needs root and nats-server; says so and passes where they are not there.

use serde_json::Value;
use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::{fs::MetadataExt, net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// Processes that need nothing from outside, so that they run on any machine.
const ALONE: [&str; 6] =
    ["bulkhead", "nats-server", "api-gate", "prober", "proxy-programmer", "trace-recorder"];

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come about");
        sleep(Duration::from_millis(20));
    }
}

/// A folder for a node, and what it takes to start one there.
struct Place {
    dir: TempDir,
    ports: [u16; 2],
}

impl Place {
    /// None, and a word, where no node can be started.
    fn new() -> Option<Self> {
        let root = rustix::process::geteuid().is_root();
        let bus = ["/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"];
        if !root || !bus.iter().any(|file| Path::new(file).exists()) {
            eprintln!("skipped: a node needs root and nats-server (apt-get install nats-server)");
            return None;
        }
        let taken = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
        let ports = taken.map(|listener| listener.local_addr().expect("its port").port());
        Some(Self { dir: TempDir::new().expect("a folder"), ports })
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("kubelet")
    }

    fn bulkhead(&self, sub_command: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead"));
        command.arg(sub_command).arg("--root-dir").arg(self.root());
        command
    }

    fn up(&self) -> Command {
        let mut up = self.bulkhead("up");
        up.args([
            "--hostname-override",
            "node-1",
            "--container-runtime-endpoint",
            "unix:///nowhere/at/all.sock",
        ]);
        up.args(["--healthz-port", &self.ports[0].to_string(), "--port", &self.ports[1].to_string()]);
        up.arg("--pod-manifest-path").arg(self.dir.path().join("manifests"));
        up.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        up
    }

    fn start(&self) -> Node<'_> {
        self.started_by(self.up())
    }

    fn started_by(&self, mut up: Command) -> Node<'_> {
        let node = Node { place: self, child: up.spawn().expect("the executable starts") };
        until("every process", || {
            let pids = node.pids();
            let runs = |name: &&str| pids.iter().any(|(process, pid)| process == name && *pid > 0);
            ALONE.iter().all(runs).then_some(())
        });
        node
    }

    fn status(&self) -> Value {
        let told = self.bulkhead("status").args(["-o", "json"]).output().expect("the executable starts");
        serde_json::from_slice(&told.stdout).unwrap_or_default()
    }
}

/// A node that runs. Dropped, it is told to leave, so that nothing writes into its folder any more.
struct Node<'p> {
    place: &'p Place,
    child: Child,
}

impl Node<'_> {
    /// Names and ids of what runs, the supervisor first.
    fn pids(&self) -> Vec<(String, u64)> {
        let status = self.place.status();
        let processes = status["processes"].as_array().cloned().unwrap_or_default();
        let pid = |process: &Value| Some((process["name"].as_str()?.to_owned(), process["pid"].as_u64()?));
        processes.iter().filter_map(pid).collect()
    }

    /// The id of a process; 0 while it does not run.
    fn pid(&self, name: &str) -> u64 {
        self.pids().into_iter().find(|(process, _)| process == name).map_or(0, |(_, pid)| pid)
    }

    fn terminate(&mut self) -> ExitStatus {
        signal(u64::from(self.child.id()), rustix::process::Signal::TERM);
        self.child.wait().expect("it is our child")
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.terminate();
        }
    }
}

fn signal(pid: u64, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    rustix::process::kill_process(pid, signal).expect("it is there");
}

fn is_alive(pid: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie whose new parent has not looked yet is not alive.
    !stat.is_empty() && !stat.contains(") Z ")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_killed_process_begins_again_and_no_other() {
    let Some(place) = Place::new() else { return };
    let node = place.start();
    for victim in ["trace-recorder", "nats-server"] {
        let recorder = node.pid(victim);
        signal(recorder, rustix::process::Signal::KILL);
        until("its next life", || {
            let pid = node.pid(victim);
            (pid != 0 && pid != recorder).then_some(())
        });
    }
    let restarts = place.status()["processes"][1]["restarts"].clone();
    assert_eq!(restarts, 1, "the bus server was begun again once");
}

#[test]
fn a_process_that_stands_still_is_killed_and_begins_again() {
    let Some(place) = Place::new() else { return };
    let node = place.start();
    let of = |name: &str| {
        let processes = place.status()["processes"].as_array().cloned().unwrap_or_default();
        processes.into_iter().find(|process| process["name"] == name).unwrap_or_default()
    };
    let victim = until("its first word", || {
        let prober = of("prober");
        (prober["health"] == "waiting").then(|| prober["pid"].as_u64()).flatten()
    });
    signal(victim, rustix::process::Signal::STOP);
    until("that it is seen to stand still", || (of("prober")["health"] == "still").then_some(()));
    until("its next life", || (![0, victim].contains(&node.pid("prober"))).then_some(()));
    assert_eq!(of("prober")["restarts"], 1);
    assert_eq!(of("trace-recorder")["restarts"], 0);
}

#[test]
fn told_to_leave_everything_leaves() {
    let Some(place) = Place::new() else { return };
    let mut node = place.start();
    let pids = node.pids();
    assert!(node.terminate().success());
    let left: Vec<_> = pids.into_iter().filter(|(_, pid)| is_alive(*pid)).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn when_the_supervisor_is_killed_the_others_leave_and_a_new_one_waits_for_them() {
    let Some(place) = Place::new() else { return };
    let mut node = place.start();
    let pids = node.pids();
    node.child.kill().unwrap();
    node.child.wait().unwrap();
    let _next = place.start();
    let left: Vec<_> = pids.into_iter().filter(|(_, pid)| is_alive(*pid)).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn two_nodes_do_not_share_a_folder() {
    let Some(place) = Place::new() else { return };
    let node = place.start();
    let second = place.up().stderr(Stdio::piped()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let named = format!("another bulkhead (process {})", node.child.id());
    assert!(stderr(&second).contains(&named), "{}", stderr(&second));
}

#[test]
fn a_taken_health_port_is_another_kubelet() {
    let Some(place) = Place::new() else { return };
    let _other = TcpListener::bind((Ipv4Addr::LOCALHOST, place.ports[0])).unwrap();
    let refused = place.up().stderr(Stdio::piped()).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("the health port, already"), "{}", stderr(&refused));
}

#[test]
fn whoever_opens_the_lock_file_takes_over() {
    let Some(place) = Place::new() else { return };
    let file = place.dir.path().join("lock");
    let mut up = place.up();
    up.arg("--lock-file").arg(&file).arg("--exit-on-lock-contention");
    let mut node = place.started_by(up);
    fs::File::open(&file).unwrap();
    assert!(node.child.wait().unwrap().success());
}

#[test]
fn a_bad_configuration_touches_nothing() {
    let Some(place) = Place::new() else { return };
    let mut up = place.up();
    up.args(["--max-pods=-1", "--feature-gates=Nonsense=true"]).stderr(Stdio::piped());
    let refused = up.output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("maxPods"), "{}", stderr(&refused));
    assert!(!place.root().exists(), "no folder was made");
}

#[test]
fn each_process_has_its_user_and_no_more_rights_than_it_needs() {
    let Some(place) = Place::new() else { return };
    let node = place.start();
    let of = |name: &str, field: &str| {
        let status = fs::read_to_string(format!("/proc/{}/status", node.pid(name))).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
        line.split_whitespace().next().unwrap_or_default().to_owned()
    };
    for untrusted in ["prober", "trace-recorder", "nats-server"] {
        assert_ne!(of(untrusted, "Uid:"), "0", "{untrusted}");
        assert_eq!(of(untrusted, "CapBnd:"), "0000000000000000", "{untrusted}");
        assert_eq!(of(untrusted, "NoNewPrivs:"), "1", "{untrusted}");
    }
    // CAP_NET_ADMIN is the twelfth.
    assert_eq!(of("proxy-programmer", "CapEff:"), "0000000000001000");
}

#[test]
fn a_header_for_manifests_is_in_no_file_that_others_may_read() {
    let Some(place) = Place::new() else { return };
    let mut up = place.up();
    up.args(["--manifest-url=http://127.0.0.1:9/", "--manifest-url-header=Authorization:Bearer 123"]);
    let _node = place.started_by(up);
    let node_json = fs::read_to_string(place.root().join("bulkhead/node.json")).unwrap();
    assert!(node_json.contains("<masked>") && !node_json.contains("Bearer"), "{node_json}");
    let secret = place.root().join("bulkhead/pod-lifecycle/static-pod-url-header.json");
    assert!(fs::read_to_string(&secret).unwrap().contains("Bearer 123"));
    assert_eq!(fs::metadata(&secret).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn the_service_manager_hears_what_is_waited_for_and_the_end() {
    let Some(place) = Place::new() else { return };
    let socket = place.dir.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = |word: &str| {
        until(word, || {
            let mut bytes = [0; 4096];
            let length = manager.recv(&mut bytes).ok()?;
            let told = String::from_utf8_lossy(&bytes[..length]).into_owned();
            assert!(!told.contains("READY=1"), "there is no runtime: {told}");
            told.contains(word).then_some(())
        });
    };
    let mut up = place.up();
    up.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "1000000");
    let mut node = Node { place: &place, child: up.spawn().unwrap() };
    hear("WATCHDOG=1");
    hear("STATUS=waiting for");
    let leaving = std::thread::scope(|scope| {
        let left = scope.spawn(|| node.terminate());
        hear("STOPPING=1");
        left.join().unwrap()
    });
    assert!(leaving.success());
}
