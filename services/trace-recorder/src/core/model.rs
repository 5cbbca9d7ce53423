//! A trace as it is looked at: plain spans, read from OTLP.
//!
//! What arrives is kept as bytes ([`super::ring`]); only somebody who looks pays for this form.

use chassis::telemetry::keys;
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, Span as WireSpan,
        span::{Event as WireEvent, SpanKind},
        status::StatusCode,
    },
};
use std::{collections::BTreeMap, time::Duration};

/// The name of the root span of a pod's start.
pub const START: &str = "pod start";

/// Attributes that tell what of the pod a span is about, the first that is there.
const SUBJECTS: &[&str] = &[keys::CONTAINER_NAME, keys::VOLUME_NAME, keys::IMAGE, "k8s.pod.phase"];

/// Spans of one trace, as far as they arrived and were kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The trace's id; of a pod's first start, its UID.
    pub id: TraceId,
    /// By time of beginning; each id once.
    pub spans: Vec<Span>,
    /// Spans that arrived and were not kept, because the trace was full.
    pub dropped: u32,
}

/// One deed.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Its id.
    pub id: SpanId,
    /// The span that it is part of; `None` for a root.
    pub parent: Option<SpanId>,
    /// The deed, such as `create sandbox`.
    pub name: String,
    /// The process that did it (`service.name`).
    pub process: String,
    /// Whom it was between.
    pub kind: Kind,
    /// Nanoseconds since the Unix epoch.
    pub begin: u64,
    /// As `begin`; never before it.
    pub end: u64,
    /// What went wrong; `None` when nothing did.
    pub error: Option<String>,
    /// Attributes, by key.
    pub attributes: Vec<(String, String)>,
    /// Moments within it.
    pub events: Vec<Event>,
    /// Ids of traces that it points to.
    pub links: Vec<TraceId>,
}

/// Between whom a deed was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nobody else took part.
    Internal,
    /// Somebody asked for it.
    Server,
    /// It was asked of somebody, such as what is outside of the node.
    Client,
    /// It sent a message off.
    Producer,
    /// A message set it off.
    Consumer,
}

/// A moment within a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What happened.
    pub name: String,
    /// Nanoseconds since the Unix epoch.
    pub at: u64,
    /// Attributes, by key.
    pub attributes: Vec<(String, String)>,
}

impl Trace {
    /// Reads the spans of trace `id`. A span that arrived twice counts once: exporters repeat a batch whose
    /// answer they missed.
    pub fn read(id: TraceId, batches: &[ResourceSpans], dropped: u32) -> Self {
        let mut by_id = BTreeMap::new();
        for batch in batches {
            let process = process(batch.resource.as_ref());
            for wire in batch.scope_spans.iter().flat_map(|scope| &scope.spans) {
                let span = Span::read(wire, &process);
                by_id.insert(span.id.to_bytes(), span);
            }
        }
        let mut spans: Vec<Span> = by_id.into_values().collect();
        spans.sort_by_key(|span| (span.begin, std::cmp::Reverse(span.end)));
        Self { id, spans, dropped }
    }

    /// The first value of an attribute that any span has.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.spans.iter().find_map(|span| span.attribute(key))
    }

    /// The pod as `namespace/name`, as far as the spans name it.
    pub fn pod(&self) -> Option<String> {
        let name = self.attribute(keys::POD_NAME)?;
        Some(match self.attribute(keys::NAMESPACE) {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        })
    }
}

impl Span {
    fn read(wire: &WireSpan, process: &str) -> Self {
        Self {
            id: span_id(&wire.span_id).unwrap_or(SpanId::INVALID),
            parent: span_id(&wire.parent_span_id),
            name: wire.name.clone(),
            process: process.to_owned(),
            kind: Kind::of(wire.kind()),
            begin: wire.start_time_unix_nano,
            end: wire.end_time_unix_nano.max(wire.start_time_unix_nano),
            error: error(wire),
            attributes: attributes(&wire.attributes),
            events: wire.events.iter().map(event).collect(),
            links: wire.links.iter().filter_map(|link| trace_id(&link.trace_id)).collect(),
        }
    }

    /// An attribute's value.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// From beginning to end.
    pub fn took(&self) -> Duration {
        Duration::from_nanos(self.end - self.begin)
    }

    /// When that was sent which set it off: it was on its way until the deed began.
    pub fn sent(&self) -> u64 {
        let queued = u64::try_from(self.queued().as_nanos()).unwrap_or(u64::MAX);
        self.begin.saturating_sub(queued)
    }

    /// How long the deed waited before it began; zero when nobody said.
    pub fn queued(&self) -> Duration {
        let micros = self.attribute(keys::QUEUED).and_then(|text| text.parse().ok());
        Duration::from_micros(micros.unwrap_or_default())
    }

    /// What of the pod it is about, such as the container's name.
    pub fn subject(&self) -> Option<&str> {
        SUBJECTS.iter().find_map(|key| self.attribute(key))
    }
}

impl Kind {
    fn of(wire: SpanKind) -> Self {
        match wire {
            SpanKind::Server => Self::Server,
            SpanKind::Client => Self::Client,
            SpanKind::Producer => Self::Producer,
            SpanKind::Consumer => Self::Consumer,
            SpanKind::Internal | SpanKind::Unspecified => Self::Internal,
        }
    }

    /// Its name in OpenTelemetry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// A trace id of exactly 16 bytes, not all zero.
pub fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    let id = TraceId::from_bytes(bytes.try_into().ok()?);
    (id != TraceId::INVALID).then_some(id)
}

/// A span id of exactly 8 bytes, not all zero.
pub fn span_id(bytes: &[u8]) -> Option<SpanId> {
    let id = SpanId::from_bytes(bytes.try_into().ok()?);
    (id != SpanId::INVALID).then_some(id)
}

/// A value as text.
pub fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(is)) => is.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::ArrayValue(list)) => {
            list.values.iter().map(|value| text(Some(value))).collect::<Vec<_>>().join(", ")
        }
        Some(Value::KvlistValue(_) | Value::BytesValue(_) | Value::StringValueStrindex(_)) | None => {
            String::new()
        }
    }
}

fn process(resource: Option<&Resource>) -> String {
    let named =
        resource.and_then(|resource| resource.attributes.iter().find(|at| at.key == keys::SERVICE_NAME));
    named.map_or_else(|| "unknown".to_owned(), |attribute| text(attribute.value.as_ref()))
}

fn error(wire: &WireSpan) -> Option<String> {
    let status = wire.status.as_ref().filter(|status| status.code == StatusCode::Error as i32)?;
    Some(if status.message.is_empty() { "failed".to_owned() } else { status.message.clone() })
}

fn attributes(wire: &[KeyValue]) -> Vec<(String, String)> {
    wire.iter().map(|at| (at.key.clone(), text(at.value.as_ref()))).collect()
}

fn event(wire: &WireEvent) -> Event {
    Event { name: wire.name.clone(), at: wire.time_unix_nano, attributes: attributes(&wire.attributes) }
}
