//! The whole recorder: real sockets, a real bus, exporters and a collector that speak OTLP.

use chassis::{Service, telemetry::keys, testing::BusServer};
use hyper_util::rt::TokioIo;
use messages::Owner;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_client::TraceServiceClient,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, UnixStream},
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    transport::{Channel, Endpoint, Server},
};
use trace_recorder::{
    FetchError, client,
    core::{model::Trace, ring::Summary},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A recorder under way, and the folder that its clients are told of.
struct Recorder {
    root: PathBuf,
    dir: PathBuf,
    service: Service,
}

impl Recorder {
    async fn start(server: &BusServer, endpoint: Option<String>) -> Self {
        let service =
            server.service_with(Owner::TraceRecorder, |config| config.otlp_endpoint = endpoint).await;
        let recorder = Self {
            root: service.config.root_dir.clone(),
            dir: service.dir.clone(),
            service: service.clone(),
        };
        actix::spawn(async move { trace_recorder::run(service).await.expect("the recorder runs") });
        eventually("the recorder is ready", || recorder.service.health.is_ready()).await;
        recorder
    }

    async fn exporter(&self) -> TraceServiceClient<Channel> {
        let socket = self.dir.join("otlp.sock");
        let connect = tower::service_fn(move |_: http::Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://trace-recorder");
        TraceServiceClient::new(endpoint.connect_with_connector(connect).await.expect("the socket answers"))
    }

    async fn fetch(&self, pod: &str) -> Result<Trace, FetchError> {
        let (root, pod) = (self.root.clone(), pod.to_owned());
        tokio::task::spawn_blocking(move || client::fetch(&root, &pod)).await.expect("the client returns")
    }

    async fn list(&self) -> Vec<Summary> {
        let root = self.root.clone();
        tokio::task::spawn_blocking(move || client::list(&root))
            .await
            .expect("the client returns")
            .expect("a list")
    }
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "waited in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// One span of a pod's start; number 1 is the root.
fn export(pod: u8, number: u8, name: &str) -> ExportTraceServiceRequest {
    let span = Span {
        trace_id: vec![pod; 16],
        span_id: vec![number; 8],
        parent_span_id: if number == 1 { Vec::new() } else { vec![1; 8] },
        name: name.to_owned(),
        start_time_unix_nano: 1_000_000,
        end_time_unix_nano: 2_000_000,
        attributes: vec![
            text(keys::POD_UID, &format!("uid-{pod}")),
            text(keys::NAMESPACE, "default"),
            text(keys::POD_NAME, &format!("web-{pod}")),
        ],
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
    }
}

#[actix::test]
async fn a_trace_that_came_in_parts_is_found_by_the_pods_names() {
    let Some(server) = BusServer::start() else { return };
    let recorder = Recorder::start(&server, None).await;
    let mut exporter = recorder.exporter().await;
    exporter.export(export(7, 2, "admit")).await.unwrap();
    exporter.export(export(7, 1, "pod start")).await.unwrap();

    for name in ["web-7", "default/web-7", "uid-7", &"07".repeat(16)] {
        let trace = recorder.fetch(name).await.unwrap();
        let spans: Vec<_> = trace.spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(spans.len(), 2, "{name}: {spans:?}");
    }
    let listed = recorder.list().await;
    assert_eq!((listed[0].name.as_str(), listed[0].root.as_str()), ("web-7", "pod start"));
    let unknown = recorder.fetch("nobody").await.unwrap_err();
    assert!(matches!(unknown, FetchError::Unknown { .. }), "{unknown}");
}

#[actix::test]
async fn spans_may_come_from_everybody_and_questions_only_from_root() {
    let Some(server) = BusServer::start() else { return };
    let recorder = Recorder::start(&server, None).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&recorder.dir), 0o711);
    assert_eq!(mode(&recorder.dir.join("otlp.sock")), 0o666);
    assert_eq!(mode(&recorder.dir.join("query.sock")), 0o600);
}

#[actix::test]
async fn a_client_that_talks_nonsense_disturbs_nobody() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Some(server) = BusServer::start() else { return };
    let recorder = Recorder::start(&server, None).await;
    for nonsense in ["\n", "{}\n", "not json\n", &"x".repeat(100_000)] {
        let mut stream = UnixStream::connect(recorder.dir.join("query.sock")).await.unwrap();
        // The recorder may hang up before it has read everything.
        let _ = stream.write_all(nonsense.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end");
        assert!(answer.is_empty(), "{answer:?}");
    }
    assert!(recorder.list().await.is_empty());
}

#[actix::test]
async fn after_a_restart_the_sockets_are_served_again() {
    let Some(server) = BusServer::start() else { return };
    let first = Recorder::start(&server, None).await;
    first.service.stop.tell("a test");
    let second = Recorder::start(&server, None).await;
    second.exporter().await.export(export(3, 1, "pod start")).await.unwrap();
    assert_eq!(second.fetch("web-3").await.unwrap().spans.len(), 1);
}

/// The operator's collector: hands on what it receives.
struct Operator(mpsc::Sender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Operator {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).await.expect("the test listens");
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[actix::test]
async fn spans_reach_the_operators_collector_even_if_it_comes_later() {
    let Some(server) = BusServer::start() else { return };
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let recorder = Recorder::start(&server, Some(format!("http://{address}"))).await;
    let mut exporter = recorder.exporter().await;
    exporter.export(export(9, 1, "pod start")).await.unwrap();

    let (sender, mut received) = mpsc::channel(8);
    let listener = TcpListenerStream::new(TcpListener::bind(address).await.unwrap());
    let operator = TraceServiceServer::new(Operator(sender));
    actix::spawn(Server::builder().serve_with_incoming(operator, listener));

    let handed_on = timeout(PATIENCE, received.recv()).await.expect("in time").unwrap();
    let span = &handed_on.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(span.name, "pod start");
}

#[actix::test]
async fn an_endpoint_that_is_none_is_refused_by_name() {
    let Some(server) = BusServer::start() else { return };
    let service = server
        .service_with(Owner::TraceRecorder, |config| config.otlp_endpoint = Some("https://collector".into()))
        .await;
    let refused = trace_recorder::run(service).await.unwrap_err();
    assert!(refused.to_string().contains("https://collector"), "{refused}");
}

#[test]
fn without_a_recorder_the_client_says_where_it_looked() {
    let nowhere = tempfile::tempdir().unwrap();
    let error = client::list(nowhere.path()).unwrap_err();
    assert!(error.to_string().contains("trace-recorder/query.sock"), "{error}");
}
