//! Everybody whom node-api talks to, scripted.

use crate::client::{Authority, Caller, Reply};
use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use bytes::Bytes;
use chassis::{Bus, Serving, config::NodeConfig, testing::BusServer};
use futures::{FutureExt, SinkExt};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use k8s_openapi::{
    api::core::v1::{
        Container, ContainerState, ContainerStateRunning, ContainerStatus, Pod as PodObject, PodSpec,
        PodStatus,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use messages::{
    Decision, Incarnation, Owner, Refusal,
    cri_bridge::{
        Container as Instance, ContainerState as InstanceState, OpenStream, OpenStreamReply, RuntimePod,
        StreamKind,
    },
    health::Health,
    pod_lifecycle::{Pod, PodSource, Stage, Status},
};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{IoSlice, Seek, SeekFrom, Write},
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener as StdListener},
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::sleep,
};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request as WsRequest, Response as WsResponse},
    },
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A free loopback port.
pub(crate) fn free_port() -> u16 {
    StdListener::bind("127.0.0.1:0").and_then(|at| at.local_addr()).expect("a free port").port()
}

/// Puts a serving certificate into the configuration, and its copy where the supervisor hands it over. The
/// original is not there any more: the copy must do.
pub(crate) fn with_serving_certificate(config: &mut NodeConfig) {
    let (certificate, key) = Authority::new("serving").issue("node-1", "system:nodes");
    config.kubelet.tls_cert_file = Some("/nowhere/tls.crt".into());
    config.kubelet.tls_private_key_file = Some("/nowhere/tls.key".into());
    for file in node_api::handed_over(config) {
        let (label, der) = match file.from.to_str() {
            Some("/nowhere/tls.crt") => ("CERTIFICATE", certificate.to_vec()),
            Some("/nowhere/tls.key") => ("PRIVATE KEY", key.secret_der().to_vec()),
            _ => continue,
        };
        fs::create_dir_all(file.to.parent().expect("a folder")).expect("a folder");
        fs::write(&file.to, pem(label, &der)).expect("a file");
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// An API server behind the gate's socket: knows two tokens, lets jane in, counts.
#[derive(Clone, Default)]
pub(crate) struct Api(Arc<Mutex<ApiState>>);

#[derive(Default)]
struct ApiState {
    away: bool,
    reviews: Vec<Value>,
}

impl Api {
    pub(crate) fn reviews(&self) -> Vec<Value> {
        self.0.lock().expect("a lock").reviews.clone()
    }

    pub(crate) fn go_away(&self) {
        self.0.lock().expect("a lock").away = true;
    }

    fn serve(&self, socket: &Path) {
        fs::create_dir_all(socket.parent().expect("a folder")).expect("a folder");
        let router = Router::new()
            .route("/apis/authentication.k8s.io/v1/tokenreviews", post(token_review))
            .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", post(access_review))
            .with_state(self.clone());
        let listener = UnixListener::bind(socket).expect("a socket");
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
}

async fn token_review(State(_): State<Api>, Json(mut review): Json<Value>) -> Json<Value> {
    let name = review["spec"]["token"].as_str().and_then(|token| token.strip_suffix("-token"));
    review["status"] = match name {
        Some(name) => json!({"authenticated": true, "user": {"username": name, "groups": ["people"]}}),
        None => json!({"authenticated": false}),
    };
    Json(review)
}

async fn access_review(
    State(api): State<Api>,
    Json(mut review): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    let mut state = api.0.lock().expect("a lock");
    if state.away {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    state.reviews.push(review.clone());
    review["status"] = json!({"allowed": review["spec"]["user"] == "jane"});
    Ok(Json(review))
}

/// What happens to a log.
pub(crate) enum LogChange {
    Grown(&'static str),
    Rotated(&'static str),
    Ended,
}

#[derive(Default)]
struct LogState {
    lines: usize,
    live: Option<(PathBuf, u32)>,
    asked: Vec<Value>,
    followers: Vec<Arc<UnixStream>>,
}

/// The node around node-api.
pub(crate) struct World {
    pub(crate) port: u16,
    pub(crate) address: SocketAddr,
    pub(crate) api: Api,
    healthz_port: u16,
    authority: Arc<Authority>,
    lifecycle: Bus,
    bridge: Bus,
    logs: Arc<Mutex<LogState>>,
    streams: Arc<Mutex<Vec<OpenStream>>>,
    heads: Arc<Mutex<Vec<String>>>,
    dir: PathBuf,
    config: Arc<NodeConfig>,
    _serving: Serving,
    bus: Bus,
    server: BusServer,
}

impl World {
    /// Starts everything; `None` where there is no bus server.
    pub(crate) async fn start(change: impl FnOnce(&mut NodeConfig)) -> Option<Self> {
        let server = BusServer::start()?;
        let (port, healthz_port) = (free_port(), free_port());
        let authority = Arc::new(Authority::new("cluster"));
        let service = server
            .service_with(Owner::NodeApi, |config| {
                config.kubeconfig = Some("/etc/kubernetes/kubelet.conf".into());
                config.kubelet.address = [127, 0, 0, 1].into();
                (config.kubelet.port, config.kubelet.healthz_port) = (port, healthz_port);
                let ca = config.root_dir.join("ca.crt");
                fs::create_dir_all(&config.root_dir).expect("a folder");
                fs::write(&ca, &authority.pem).expect("a file");
                config.kubelet.authentication.x509.client_ca_file = Some(ca);
                change(config);
            })
            .await;
        let config = service.config.clone();
        let api = Api::default();
        api.serve(&chassis::api::socket(&config, Owner::NodeApi));
        let (lifecycle, bridge) = (server.bus(Owner::PodLifecycle).await, server.bus(Owner::CriBridge).await);
        let heads = Arc::default();
        let runtime = runtime(Arc::clone(&heads)).await;
        let streams = Arc::default();
        let serving = serve_streams(&bridge, runtime, Arc::clone(&streams)).await;
        let logs = Arc::default();
        serve_logs(&config.dir_of(Owner::CriBridge), Arc::clone(&logs));
        let (health, dir, bus) = (service.health.clone(), service.dir.clone(), service.bus.clone());
        actix::spawn(async move { node_api::run(service).await.expect("node-api runs") });
        let since = Instant::now();
        while !health.is_ready() {
            assert!(since.elapsed() < PATIENCE, "node-api is not ready");
            sleep(Duration::from_millis(5)).await;
        }
        let address = ([127, 0, 0, 1], port).into();
        Some(Self {
            port,
            address,
            api,
            healthz_port,
            authority,
            lifecycle,
            bridge,
            logs,
            streams,
            heads,
            dir,
            config,
            _serving: serving,
            bus,
            server,
        })
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller::new(self.port, self.authority.clone())
    }

    pub(crate) async fn healthz(&self, path: &str) -> Reply {
        self.plain(self.healthz_port, path).await
    }

    /// Every other process says that it is well; each by a connection of its own, with its own permissions.
    pub(crate) async fn everybody_is_well(&self) -> Vec<Bus> {
        let mut buses = Vec::new();
        for owner in Owner::ALL.into_iter().filter(|owner| ![Owner::NodeApi, Owner::Bulkhead].contains(owner))
        {
            let bus = self.server.bus_in_life(owner, 2).await;
            let at = chassis::clock::now_boot();
            let (incarnation, pid) = (Incarnation(2), std::process::id());
            bus.say(&Health { owner, incarnation, pid, ready: true, waiting_for: Vec::new(), at }).await;
            buses.push(bus);
        }
        buses
    }

    /// What the bus forbade node-api so far.
    pub(crate) fn forbidden(&self) -> Option<String> {
        self.bus.forbidden().now_or_never()
    }

    /// Asks again until the answer holds a text.
    pub(crate) async fn healthz_until(&self, path: &str, wanted: &str) -> String {
        let since = Instant::now();
        loop {
            let body = self.healthz(path).await.body;
            if body.contains(wanted) {
                return body;
            }
            assert!(since.elapsed() < PATIENCE, "{path} stays {body}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn plain(&self, port: u16, path: &str) -> Reply {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the port is open");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
        tokio::spawn(connection);
        let request =
            http::Request::get(path).header("host", "node").body(Empty::<Bytes>::new()).expect("a request");
        Reply::of(sender.send_request(request).await.expect("an answer")).await
    }

    pub(crate) fn pki(&self, name: &str) -> PathBuf {
        self.dir.join("pki").join(name)
    }

    pub(crate) fn configured_certificate(&self) -> rustls::pki_types::CertificateDer<'static> {
        use rustls::pki_types::pem::PemObject;
        let copy =
            node_api::handed_over(&self.config).into_iter().find(|file| file.from.ends_with("tls.crt"));
        rustls::pki_types::CertificateDer::from_pem_file(copy.expect("a copy").to).expect("a certificate")
    }

    /// pod-lifecycle and cri-bridge say that a pod runs.
    pub(crate) async fn pod(&self, uid: &str, name: &str, containers: &[&str]) {
        self.lifecycle.say(&pod(uid, name, containers)).await;
        self.lifecycle.say(&status(uid, name, containers)).await;
        self.bridge.say(&runtime_pod(uid, name, containers)).await;
    }

    /// The log so far.
    pub(crate) fn log(&self, lines: &[&str]) {
        let mut logs = self.logs.lock().expect("a lock");
        logs.live = Some((self.config.dir().join("0.log"), 0));
        lines.iter().for_each(|line| logs.write(line));
    }

    pub(crate) async fn log_change(&self, change: LogChange) {
        let (notice, file, followers) = self.logs.lock().expect("a lock").change(change);
        for follower in followers {
            send(&follower, &notice, file.as_slice()).await;
        }
    }

    /// Whoever follows a log is hung up on.
    pub(crate) fn cri_bridge_is_restarted(&self) {
        self.logs.lock().expect("a lock").followers.clear();
    }

    pub(crate) fn logs_asked(&self) -> Vec<Value> {
        self.logs.lock().expect("a lock").asked.clone()
    }

    pub(crate) fn streams_asked(&self) -> Vec<OpenStream> {
        self.streams.lock().expect("a lock").clone()
    }

    pub(crate) fn runtime_heads(&self) -> Vec<String> {
        self.heads.lock().expect("a lock").clone()
    }
}

impl LogState {
    fn write(&mut self, line: &str) {
        let (path, _) = self.live.as_ref().expect("a log");
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).expect("a file");
        writeln!(file, "2026-11-21T12:00:{:02}Z stdout F {line}", self.lines).expect("a line");
        self.lines += 1;
    }

    fn change(&mut self, change: LogChange) -> (String, Vec<File>, Vec<Arc<UnixStream>>) {
        let (notice, files) = match change {
            LogChange::Grown(line) => {
                self.write(line);
                (json!({"notice": "grown"}), Vec::new())
            }
            LogChange::Rotated(line) => {
                let (path, number) = self.live.take().expect("a log");
                self.live = Some((path.with_file_name(format!("{}.log", number + 1)), number + 1));
                self.write(line);
                (json!({"notice": "rotated", "files": [{"name": "0.log", "gzip": false}]}), vec![self.open()])
            }
            LogChange::Ended => (json!({"notice": "ended"}), Vec::new()),
        };
        (notice.to_string(), files, self.followers.clone())
    }

    fn open(&self) -> File {
        let (path, _) = self.live.as_ref().expect("a log");
        let mut file = File::open(path).expect("a file");
        file.seek(SeekFrom::Start(0)).expect("a file");
        file
    }
}

/// cri-bridge's socket for logs.
fn serve_logs(dir: &Path, logs: Arc<Mutex<LogState>>) {
    fs::create_dir_all(dir).expect("a folder");
    let listener = UnixListener::bind(dir.join("logs.sock")).expect("a socket");
    actix::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut reader = BufReader::new(stream);
            let mut line = String::new();
            reader.read_line(&mut line).await.expect("a request");
            let stream = Arc::new(reader.into_inner());
            let file = {
                let mut logs = logs.lock().expect("a lock");
                logs.asked.push(serde_json::from_str(&line).expect("JSON"));
                logs.followers.push(stream.clone());
                logs.open()
            };
            let said = json!({
                "container_id": "c-1", "attempt": 0, "running": true,
                "files": [{"name": "0.log.20261121-110000.gz", "gzip": true}, {"name": "0.log", "gzip": false}],
            });
            let packed = tempfile::tempfile().expect("a file");
            send(&stream, &said.to_string(), &[packed, file]).await;
        }
    });
}

async fn send(stream: &UnixStream, line: &str, files: &[File]) {
    let text = format!("{line}\n");
    let sent = stream.async_io(Interest::WRITABLE, || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        Ok(sendmsg(stream, &[IoSlice::new(text.as_bytes())], &mut control, SendFlags::NOSIGNAL)?)
    });
    // Whoever was only reading the log has gone by now.
    let _ = sent.await;
}

/// cri-bridge's answer to `open-stream`: each container's name says what it is.
async fn serve_streams(bridge: &Bus, runtime: SocketAddr, asked: Arc<Mutex<Vec<OpenStream>>>) -> Serving {
    let serve = bridge.serve::<OpenStream, _, _>(move |at| {
        let mut streams = asked.lock().expect("a lock");
        streams.push(at.command.clone());
        let number = streams.len();
        let container = match &at.command.stream {
            StreamKind::Exec { container, .. } | StreamKind::Attach { container, .. } => container.as_str(),
            StreamKind::PortForward { .. } => "app",
        };
        let reply = match container {
            "gone" => OpenStreamReply::Refused { refusal: Refusal::Unknown { what: "container".into() } },
            "broken" => OpenStreamReply::Failed { why: "the runtime is broken".into() },
            "runs" | "fails" => OpenStreamReply::Opened { url: format!("http://{runtime}/ws/{container}") },
            "teapot" => OpenStreamReply::Opened { url: format!("http://{runtime}/teapot") },
            _ => OpenStreamReply::Opened { url: format!("http://{runtime}/exec/token-{number}") },
        };
        async move { reply }
    });
    serve.await.expect("the command is served")
}

/// The runtime's streaming server: agrees to any protocol, and echoes until somebody says goodbye.
async fn runtime(heads: Arc<Mutex<Vec<String>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(stream_with(stream, heads.clone()));
        }
    });
    address
}

/// A runtime's WebSocket of `v4.channel.k8s.io`: some output, and how the command ended.
async fn websocket(stream: TcpStream, fails: bool) {
    #[expect(clippy::result_large_err, reason = "the library's own type")]
    let agree = |request: &WsRequest, mut response: WsResponse| {
        assert_eq!(request.headers()["sec-websocket-protocol"], "v4.channel.k8s.io");
        response
            .headers_mut()
            .insert("sec-websocket-protocol", "v4.channel.k8s.io".parse().expect("a header"));
        Ok(response)
    };
    let mut socket = accept_hdr_async(stream, agree).await.expect("a handshake");
    let ended: &[u8] = match fails {
        true => br#"{"status":"Failure","details":{"causes":[{"reason":"ExitCode","message":"3"}]}}"#,
        false => br#"{"status":"Success"}"#,
    };
    let ended = [&[3], ended].concat();
    for message in [b"\x01out".to_vec(), b"\x02err".to_vec(), ended] {
        socket.send(Message::Binary(message.into())).await.expect("a message");
    }
    socket.close(None).await.expect("an end");
}

async fn stream_with(mut stream: TcpStream, heads: Arc<Mutex<Vec<String>>>) {
    let mut begin = [0; 12];
    while stream.peek(&mut begin).await.expect("a head") < begin.len() {}
    if begin.starts_with(b"GET /ws/") {
        return websocket(stream, begin.ends_with(b"fail")).await;
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    let head = String::from_utf8(head).expect("text");
    heads.lock().expect("a lock").push(head.clone());
    if head.contains("/teapot") {
        let said = "HTTP/1.1 418 Teapot\r\ncontent-length: 13\r\n\r\nI am a teapot";
        stream.write_all(said.as_bytes()).await.expect("an answer");
        return;
    }
    let protocol = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("upgrade: ").map(|_| line[9..].to_owned()));
    let said = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {}\r\nX-From-The-Runtime: yes\r\n\r\n",
        protocol.expect("an upgrade")
    );
    stream.write_all(said.as_bytes()).await.expect("an answer");
    let mut bytes = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
        stream.write_all(&bytes[..length]).await.expect("an echo");
        if &bytes[..length] == b"bye" {
            return;
        }
    }
}

fn pod(uid: &str, name: &str, containers: &[&str]) -> Pod {
    let container = |name: &&str| Container { name: (*name).to_owned(), ..Container::default() };
    let spec = PodSpec { containers: containers.iter().map(container).collect(), ..PodSpec::default() };
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some("default".to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectMeta::default()
    };
    Pod {
        pod: uid.parse().expect("a UID"),
        decision: Decision::default(),
        source: PodSource::Api,
        stage: Stage::Running,
        object: Box::new(PodObject { metadata, spec: Some(spec), status: None }),
    }
}

fn status(uid: &str, name: &str, containers: &[&str]) -> Status {
    let running =
        ContainerState { running: Some(ContainerStateRunning::default()), ..ContainerState::default() };
    let container = |name: &&str| ContainerStatus {
        name: (*name).to_owned(),
        container_id: Some("containerd://c-1".to_owned()),
        state: Some(running.clone()),
        ..ContainerStatus::default()
    };
    let status = PodStatus {
        phase: Some("Running".to_owned()),
        container_statuses: Some(containers.iter().map(container).collect()),
        ..PodStatus::default()
    };
    Status {
        pod: uid.parse().expect("a UID"),
        namespace: "default".into(),
        name: name.into(),
        source: PodSource::Api,
        status: Box::new(status),
        mirror: None,
        release: false,
        seen_at: 0,
        life: 0,
    }
}

fn runtime_pod(uid: &str, name: &str, containers: &[&str]) -> RuntimePod {
    let instance = |name: &&str| Instance {
        id: "c-1".into(),
        name: name.parse().expect("a name"),
        attempt: 0,
        sandbox: "s-1".into(),
        state: InstanceState::Running,
        created_at: 1,
        started_at: 2,
        finished_at: 0,
        exit_code: 0,
        reason: String::new(),
        message: String::new(),
        image: "registry.example/app:1".into(),
        image_ref: "sha256:1".into(),
        hash: String::new(),
        user: None,
        resources: None,
        hook_pending: false,
    };
    RuntimePod {
        pod: uid.parse().expect("a UID"),
        namespace: "default".into(),
        name: name.into(),
        revision: 1,
        sandboxes: Vec::new(),
        containers: containers.iter().map(instance).collect(),
        images: BTreeMap::new(),
        in_flight: Vec::new(),
        cgroup: true,
        read_at: 0,
    }
}
