//! For tests only (feature `testing`): a bus server of a test's own, with the permissions of a real
//! node, and whole services on it.
//!
//! ```text
//! let Some(server) = BusServer::start() else { return };
//! let service = server.service(Owner::Prober).await;
//! let lifecycle = server.bus(Owner::PodLifecycle).await;   // the test plays the others
//! ```
//!
//! Streams of untrusted processes are made by pod-lifecycle, so that a test of one of those connects a
//! pod-lifecycle too. Everything must run inside an actix system (`#[actix::test]`).

use crate::{
    Bus, Journal, Service, Stop,
    bus::{
        Access, MAX_PAYLOAD,
        permissions::{inbox, permissions},
        reserved_bytes,
    },
    config::{BusAddress, KubeletConfiguration, NodeConfig, ServiceProxy},
};
use messages::{Incarnation, NodeName, Owner, catalog::ROWS};
use nkeys::KeyPair;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long a server may take to listen.
const STARTING: Duration = Duration::from_secs(20);
/// The node of a test.
const NODE: &str = "node-1";

/// The port of every server, each of which has an address of its own.
const PORT: u16 = 14222;

/// A running `nats-server` on a loopback address of its own, empty at its start. Killed when dropped.
pub struct BusServer {
    program: PathBuf,
    dir: TempDir,
    address: SocketAddr,
    keys: BTreeMap<Owner, KeyPair>,
    child: Option<Child>,
}

impl BusServer {
    /// Starts the first server program found; `None`, and a line that says so, when there is none.
    pub fn start() -> Option<Self> {
        Self::programs().into_iter().next().map(|program| Self::of(&program))
    }

    /// The server programs of this machine: Debian's, and the one that `tests/tools/build` builds.
    pub fn programs() -> Vec<PathBuf> {
        let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/tools/bin/nats-server");
        let places = ["/usr/sbin/nats-server", "/usr/bin/nats-server", built];
        let found: Vec<PathBuf> =
            places.into_iter().map(PathBuf::from).filter(|path| path.exists()).collect();
        if found.is_empty() {
            eprintln!("skipped: there is no nats-server (tests/tools/install)");
        }
        found
    }

    /// Starts a server program.
    ///
    /// # Panics
    /// When it does not start.
    pub fn of(program: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let address = SocketAddr::from((own_address(), PORT));
        let keys = Owner::ALL.into_iter().map(|owner| (owner, KeyPair::new_user())).collect();
        let mut server = Self { program: program.to_owned(), dir, address, keys, child: None };
        fs::write(server.path("nats.json"), server.config().to_string()).expect("a file can be written");
        server.start_again();
        server
    }

    /// The server's URL.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// The node whose bus it is.
    pub fn node(&self) -> NodeName {
        NODE.parse().expect("the test node's name is valid")
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts the server again at the same address, empty.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        self.kill();
        let log = File::create(self.path("log")).expect("a file can be made");
        let child = Command::new(&self.program)
            .arg("--config")
            .arg(self.path("nats.json"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the server program can be started");
        self.child = Some(child);
        self.wait_until_it_listens();
    }

    /// What the server, in this life, says that somebody tried and may not do.
    ///
    /// # Panics
    /// When its log cannot be read.
    pub fn violations(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("log")).expect("the log can be read");
        log.lines().filter(|line| line.contains("Violation")).map(str::to_owned).collect()
    }

    /// A connection as one of the processes, with its key and permissions, in its first life.
    pub async fn bus(&self, owner: Owner) -> Bus {
        self.bus_in_life(owner, 1).await
    }

    /// A connection as one of the processes in a later life. Returns once it is connected.
    ///
    /// # Panics
    /// When it cannot be connected.
    pub async fn bus_in_life(&self, owner: Owner, incarnation: u64) -> Bus {
        let access = Access::with_seed(self.url(), &self.seed(owner)).expect("the seed can be read");
        let bus = Bus::connect(self.node(), owner, Incarnation(incarnation), Some(access))
            .await
            .expect("the address is valid");
        let since = Instant::now();
        while !bus.is_connected() {
            assert!(since.elapsed() < STARTING, "{owner} cannot connect");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bus
    }

    /// A bare client as one of the processes, for what the bus' verbs would not do.
    ///
    /// # Panics
    /// When it cannot be connected.
    pub async fn client(&self, owner: Owner) -> async_nats::Client {
        self.client_options(owner).connect(self.url()).await.expect("the server takes the key")
    }

    /// The options of [`Self::client`], to be added to.
    ///
    /// # Panics
    /// When the seed cannot be read.
    pub fn client_options(&self, owner: Owner) -> async_nats::ConnectOptions {
        let seed = fs::read_to_string(self.seed(owner)).expect("the seed can be read");
        async_nats::ConnectOptions::with_nkey(seed).custom_inbox_prefix(inbox(owner))
    }

    /// All that a process is given, on this bus, with the default configuration and a folder below the
    /// test's own. Says its health and sends its events.
    pub async fn service(&self, owner: Owner) -> Service {
        self.service_with(owner, |_| {}).await
    }

    /// As [`Self::service`], with another configuration.
    ///
    /// # Panics
    /// When a folder cannot be made.
    pub async fn service_with(&self, owner: Owner, change: impl FnOnce(&mut NodeConfig)) -> Service {
        let mut config = self.node_config();
        change(&mut config);
        let dir = config.dir_of(owner);
        fs::create_dir_all(&dir).expect("a folder can be made");
        let journal = Journal::open(&dir.join("journal")).expect("a journal can be opened");
        let incarnation = journal.raise_incarnation(0).expect("a journal can be written");
        let bus = self.bus_in_life(owner, incarnation.0).await;
        Service::begin(Arc::new(config), bus, incarnation, journal, Stop::new())
    }

    /// A root folder as the supervisor leaves it to a process: the settings and the process' key.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn root_dir_for(&self, owner: Owner) -> PathBuf {
        let config = self.node_config();
        let dir = config.dir_of(owner);
        fs::create_dir_all(&dir).expect("a folder can be made");
        fs::copy(self.seed(owner), dir.join("bus.seed")).expect("a file can be copied");
        let text = serde_json::to_string(&config).expect("settings can be written as JSON");
        fs::write(NodeConfig::path(&config.root_dir), text).expect("a file can be written");
        config.root_dir
    }

    fn node_config(&self) -> NodeConfig {
        NodeConfig {
            node_name: self.node(),
            root_dir: self.path("root"),
            kubeconfig: None,
            bootstrap_kubeconfig: None,
            cert_dir: self.path("pki"),
            node_ips: Vec::new(),
            node_labels: BTreeMap::new(),
            external_cloud_provider: false,
            image_credential_provider_config: None,
            image_credential_provider_bin_dir: None,
            runtime_cgroups: String::new(),
            takeover: false,
            proxy: ServiceProxy::None,
            bus: BusAddress { url: self.url() },
            otlp_endpoint: None,
            kubelet: KubeletConfiguration::default(),
        }
    }

    /// The server's configuration: JSON is one of the forms that it reads.
    fn config(&self) -> Value {
        let node = self.node();
        let user = |(owner, key): (&Owner, &KeyPair)| {
            let seed = key.seed().expect("a new key has a seed");
            fs::write(self.seed(*owner), seed).expect("a file can be written");
            json!({"nkey": key.public_key(), "permissions": permissions(&node, ROWS, *owner)})
        };
        json!({
            "listen": self.address.to_string(),
            "max_payload": MAX_PAYLOAD,
            "jetstream": {"store_dir": self.path("store"), "max_memory_store": reserved_bytes()},
            "authorization": {"users": self.keys.iter().map(user).collect::<Vec<_>>()},
        })
    }

    fn wait_until_it_listens(&self) {
        let since = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(since.elapsed() < STARTING, "nats-server does not listen:\n{log}");
            sleep(Duration::from_millis(5));
        }
    }

    fn seed(&self, owner: Owner) -> PathBuf {
        self.path(&format!("{owner}.seed"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for BusServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A loopback address that no other server and no other test process uses: a port that was found free may be
/// another's before the server listens there.
fn own_address() -> Ipv4Addr {
    static SERVERS: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high, low, SERVERS.fetch_add(1, Ordering::Relaxed))
}
