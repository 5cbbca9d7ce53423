//! Spans for this crate's tests, made as an exporter makes them.

use crate::core::model::Trace;
use chassis::telemetry::keys;
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::Event},
};

/// One span of an export, and the process that did it.
#[derive(Clone)]
pub(crate) struct Deed(Span, &'static str);

pub(crate) fn trace(number: u8) -> TraceId {
    TraceId::from_bytes([number; 16])
}

pub(crate) fn span(number: u8) -> SpanId {
    SpanId::from_bytes([number; 8])
}

pub(crate) fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// A moment in milliseconds after an arbitrary one, in nanoseconds since the Unix epoch.
pub(crate) fn moment(millis: u64) -> u64 {
    1_700_000_000_000_000_000 + millis * 1_000_000
}

impl Deed {
    pub(crate) fn new(in_trace: u8, id: u8, parent: Option<u8>, name: &str) -> Self {
        let span = Span {
            trace_id: trace(in_trace).to_bytes().to_vec(),
            span_id: span(id).to_bytes().to_vec(),
            parent_span_id: parent.map(|id| span(id).to_bytes().to_vec()).unwrap_or_default(),
            name: name.to_owned(),
            ..Span::default()
        };
        Self(span, "prober")
    }

    pub(crate) fn by(mut self, process: &'static str) -> Self {
        self.1 = process;
        self
    }

    /// A moment within it, in milliseconds after the arbitrary one.
    pub(crate) fn event(mut self, name: &str, at: u64) -> Self {
        let event = Event { name: name.to_owned(), time_unix_nano: moment(at), ..Event::default() };
        self.0.events.push(event);
        self
    }

    /// From and to, in milliseconds after an arbitrary moment.
    pub(crate) fn at(mut self, begin: u64, end: u64) -> Self {
        self.0.start_time_unix_nano = moment(begin);
        self.0.end_time_unix_nano = moment(end);
        self
    }

    pub(crate) fn with(mut self, attribute: KeyValue) -> Self {
        self.0.attributes.push(attribute);
        self
    }

    pub(crate) fn failing(mut self, message: &str) -> Self {
        self.0.status = Some(Status { code: 2, message: message.to_owned() });
        self
    }
}

/// All deeds as one export, a batch per run of the same process.
pub(crate) fn export(deeds: &[Deed]) -> ExportTraceServiceRequest {
    let batches = deeds.chunk_by(|one, next| one.1 == next.1);
    ExportTraceServiceRequest { resource_spans: batches.map(batch).collect() }
}

fn batch(deeds: &[Deed]) -> ResourceSpans {
    let process = deeds.first().map_or("", |deed| deed.1);
    let attributes = vec![attribute("service.name", process)];
    let scope =
        ScopeSpans { spans: deeds.iter().map(|deed| deed.0.clone()).collect(), ..ScopeSpans::default() };
    ResourceSpans {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_spans: vec![scope],
        schema_url: String::new(),
    }
}

/// A pod's start of two containers and an init container, as the node makes it.
pub(crate) fn pod_start() -> Trace {
    let deed = |id, parent, name: &str, (begin, end)| Deed::new(1, id, Some(parent), name).at(begin, end);
    let container = |deed: Deed, name: &str| deed.with(attribute(keys::CONTAINER_NAME, name));
    let waited = |deed: Deed, micros: &str| deed.with(attribute(keys::QUEUED, micros));
    let deeds = [
        Deed::new(1, 1, None, "pod start")
            .at(0, 412)
            .by("status-reporter")
            .with(attribute(keys::POD_UID, "0b2c6f1e-7a3d-4d52-9a2b-2f6f0f5b1a11"))
            .with(attribute(keys::NAMESPACE, "default"))
            .with(attribute(keys::POD_NAME, "web-7d9f8c6b5-x2x4q"))
            .event("containers started", 371)
            .event("ready", 398),
        deed(2, 1, "admit", (0, 2)).by("pod-lifecycle"),
        container(waited(deed(3, 1, "pull image", (3, 118)), "300").by("cri-bridge"), "app"),
        container(waited(deed(4, 1, "pull image", (3, 9)), "400").by("cri-bridge"), "sidecar"),
        waited(deed(5, 1, "prepare volumes", (3, 41)), "600").by("volume-mounter"),
        deed(6, 5, "mount", (4, 39))
            .by("volume-mounter")
            .with(attribute(keys::VOLUME_NAME, "kube-api-access-7x2kd")),
        deed(7, 5, "mount", (4, 11)).by("volume-mounter").with(attribute(keys::VOLUME_NAME, "config")),
        waited(deed(8, 1, "create sandbox", (43, 171)), "500").by("cri-bridge"),
        deed(9, 8, "RunPodSandbox", (46, 170)).by("cri-bridge"),
        waited(container(deed(10, 1, "create container", (172, 198)), "init"), "400").by("cri-bridge"),
        container(deed(11, 1, "start container", (199, 247)), "init").by("cri-bridge"),
        waited(container(deed(12, 1, "create container", (266, 291)), "app"), "12500").by("cri-bridge"),
        container(deed(13, 1, "start container", (292, 344)), "app")
            .by("cri-bridge")
            .failing("postStart hook: exit status 1"),
        container(deed(14, 1, "create container", (267, 301)), "sidecar").by("cri-bridge"),
        container(deed(15, 1, "start container", (302, 371)), "sidecar").by("cri-bridge"),
        container(deed(16, 1, "wait for probe", (372, 396)), "app").by("prober"),
        waited(deed(17, 1, "report status", (398, 411)), "1200").by("status-reporter"),
        deed(18, 17, "PATCH pods/status", (399, 410)).by("api-gate"),
    ];
    Trace::read(trace(1), &export(&deeds).resource_spans, 0)
}
