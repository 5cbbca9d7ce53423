//! The trace of a deed that takes two processes, as trace-recorder receives it. One test, since a
//! process has one trace.
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use chassis::{AskError, Asked, Heard, telemetry, testing::BusServer};
use messages::{
    Decision, Incarnation, Outcome, Owner, PodUid,
    cri_bridge::StopPod,
    volume_mounter::{Volumes, VolumesPhase},
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::Span,
};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};
use tokio::{net::UnixListener, time::timeout};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status, transport::Server};
use tracing::{Instrument, info_span};

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);
const POD: &str = "0b2c6f1e-7a3d-4d52-9a2b-2f6f0f5b1a11";

/// Plays trace-recorder: keeps what it is sent.
#[derive(Clone, Default)]
struct Recorder {
    received: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

#[tonic::async_trait]
impl TraceService for Recorder {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.received.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Recorder {
    fn serve(&self, socket: &Path) {
        let listener = UnixListener::bind(socket).unwrap();
        let server = Server::builder().add_service(TraceServiceServer::new(self.clone()));
        actix::spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
    }

    fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        let resources = received.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    fn span(&self, name: &str) -> Span {
        let spans = self.spans();
        let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        let found = spans.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("{name} is not among {names:?}")).clone()
    }
}

fn text(span: &Span, key: &str) -> Option<String> {
    let value = span.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value?;
    match value {
        Value::StringValue(text) => Some(text),
        other => Some(format!("{other:?}")),
    }
}

fn pod() -> PodUid {
    POD.parse().unwrap()
}

fn volumes() -> Volumes {
    Volumes {
        pod: pod(),
        phase: VolumesPhase::Ready,
        revision: 1,
        volumes: Vec::new(),
        pod_dir: String::new(),
        supplemental_groups: Vec::new(),
    }
}

#[actix::test]
async fn what_two_processes_do_for_a_pod_is_one_trace() {
    let Some(server) = BusServer::start() else { return };
    let mut telemetry = telemetry::begin(telemetry::Lines::Json, 0);
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("otlp.sock");
    let resource = telemetry::resource(Owner::PodLifecycle, Incarnation(7), &server.node());
    telemetry.export_to(&socket, &resource);
    let recorder = Recorder::default();

    let bridge = server.bus(Owner::CriBridge).await;
    let lifecycle = server.bus(Owner::PodLifecycle).await;
    let _serving = bridge
        .serve(|_: Asked<StopPod>| {
            async { Outcome::Done { revision: 1 } }
                .instrument(info_span!(target: "pod_lifecycle", "kill container"))
        })
        .await
        .unwrap();
    let start = telemetry::start_context(&pod(), 0);
    let deed = telemetry::child_of(&start, info_span!(target: "pod_lifecycle", "decide", k8s.pod.uid = POD));
    let command = StopPod { pod: pod(), decision: Decision::default(), grace_seconds: 1 };
    async {
        while let Err(AskError::NoResponder { .. }) = lifecycle.ask(&command, DEADLINE).await {
            tokio::task::yield_now().await;
        }
    }
    .instrument(deed.clone())
    .await;
    let mounter = server.bus(Owner::VolumeMounter).await;
    let said = telemetry::child_of(&start, info_span!(target: "pod_lifecycle", "prepare volumes"));
    mounter.say(&volumes()).instrument(said.clone()).await;
    let mut hearing = lifecycle.hear::<Volumes>().await.unwrap();
    let heard = timeout(DEADLINE, hearing.next()).await.unwrap();
    let Heard::Value { context, .. } = heard else { panic!("{heard:?}") };
    drop((telemetry::child_of(&context, info_span!(target: "pod_lifecycle", "see volumes")), deed, said));
    let (begin, end) = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    telemetry::export_start_root((&pod(), 0), begin, end, Vec::new(), vec![("ready".to_owned(), end)]);

    // The recorder comes late, as it does when a node starts; nothing is lost meanwhile.
    recorder.serve(&socket);
    telemetry.end(DEADLINE).await;

    let root = recorder.span("pod start");
    let (decide, stop, kill) =
        (recorder.span("decide"), recorder.span("stop pod"), recorder.span("kill container"));
    let (prepare, see) = (recorder.span("prepare volumes"), recorder.span("see volumes"));
    for (child, parent) in
        [(&decide, &root), (&stop, &decide), (&kill, &stop), (&prepare, &root), (&see, &prepare)]
    {
        assert_eq!(child.parent_span_id, parent.span_id, "{} is part of {}", child.name, parent.name);
        assert_eq!(child.trace_id, root.trace_id, "{} is in the pod's trace", child.name);
    }
    let trace_id: String = root.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(trace_id, POD.replace('-', ""));
    assert_eq!((root.parent_span_id.len(), root.events.len()), (0, 1));
    assert_eq!(text(&stop, telemetry::keys::POD_UID).as_deref(), Some(POD));
    assert_eq!(text(&stop, telemetry::keys::CALLER).as_deref(), Some("pod-lifecycle"));
    assert!(text(&stop, telemetry::keys::QUEUED).is_some());
    assert!(text(&decide, telemetry::keys::PATIENCE).is_some());
}
