//! Takes one OTLP export apart: a piece per trace, each span cut to a bounded size.
//!
//! Whoever may reach the socket may send what it likes, so nothing here trusts a length. Spans without a
//! valid id are left out; long texts and lists are cut.

use super::model::{START, span_id, text, trace_id};
use chassis::telemetry::keys;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;
use std::collections::HashMap;

/// The longest text of an attribute, in bytes.
const TEXT: usize = 1024;
/// The longest name of a span, an event or a key, in bytes.
const NAME: usize = 128;
/// The most attributes of a span.
const ATTRIBUTES: usize = 48;
/// The most attributes of an event.
const EVENT_ATTRIBUTES: usize = 8;
/// The most events of a span; status changes of a start are about a dozen.
const EVENTS: usize = 32;
/// The most links of a span, as many as one pass may have causes.
const LINKS: usize = 16;

/// The pod that a trace is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.namespace`; empty until a span tells.
    pub namespace: String,
    /// `metadata.name`; empty until a span tells.
    pub name: String,
}

/// Spans of one trace from one export.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// The trace.
    pub trace: TraceId,
    /// The pod, where a span names one.
    pub pod: Option<Pod>,
    /// The name of the span without a parent, when it is among these.
    pub root: Option<String>,
    /// The earliest beginning and the latest end, nanoseconds since the Unix epoch.
    pub between: (u64, u64),
    /// A span failed.
    pub failed: bool,
    /// How many spans.
    pub spans: usize,
    /// An encoded [`ResourceSpans`].
    pub bytes: Vec<u8>,
}

/// The pieces of an export, in the order in which their traces first appear.
pub fn pieces(request: ExportTraceServiceRequest) -> Vec<Piece> {
    request.resource_spans.into_iter().flat_map(of_resource).collect()
}

fn of_resource(batch: ResourceSpans) -> Vec<Piece> {
    let resource = batch.resource.map(slim);
    let mut places: HashMap<TraceId, usize> = HashMap::new();
    let mut traces: Vec<(TraceId, Vec<Span>)> = Vec::new();
    for span in batch.scope_spans.into_iter().flat_map(|scope| scope.spans) {
        let (Some(trace), Some(_)) = (trace_id(&span.trace_id), span_id(&span.span_id)) else { continue };
        let place = *places.entry(trace).or_insert(traces.len());
        if place == traces.len() {
            traces.push((trace, Vec::new()));
        }
        traces[place].1.push(cut_span(span));
    }
    traces.into_iter().map(|(trace, spans)| piece(trace, resource.as_ref(), spans)).collect()
}

fn piece(trace: TraceId, resource: Option<&Resource>, spans: Vec<Span>) -> Piece {
    let begin = spans.iter().map(|span| span.start_time_unix_nano).min().unwrap_or_default();
    let end = spans.iter().map(|span| span.end_time_unix_nano).max().unwrap_or_default();
    let root = spans.iter().find(|span| span_id(&span.parent_span_id).is_none() || span.name == START);
    let root = root.map(|span| span.name.clone());
    let failed = spans.iter().any(|span| span.status.as_ref().is_some_and(|status| status.code == 2));
    let (pod, count) = (pod(&spans), spans.len());
    let scope = ScopeSpans { spans, ..ScopeSpans::default() };
    let batch =
        ResourceSpans { resource: resource.cloned(), scope_spans: vec![scope], schema_url: String::new() };
    let bytes = batch.encode_to_vec();
    Piece { trace, pod, root, between: (begin, end), failed, spans: count, bytes }
}

/// The pod that the spans name, each part from the first that tells it.
fn pod(spans: &[Span]) -> Option<Pod> {
    let find = |key: &str| {
        let mut attributes = spans.iter().flat_map(|span| &span.attributes);
        attributes.find(|at| at.key == key).map(|at| text(at.value.as_ref())).filter(|text| !text.is_empty())
    };
    let uid = find(keys::POD_UID)?;
    let (namespace, name) = (find(keys::NAMESPACE), find(keys::POD_NAME));
    Some(Pod { uid, namespace: namespace.unwrap_or_default(), name: name.unwrap_or_default() })
}

/// Of a resource only who it is: the rest is the same for every process of the node.
fn slim(resource: Resource) -> Resource {
    let mut attributes = resource.attributes;
    attributes.retain(|at| at.key == keys::SERVICE_NAME || at.key == keys::SERVICE_INSTANCE);
    Resource { attributes: cut_attributes(attributes, 2), ..Resource::default() }
}

fn cut_span(mut span: Span) -> Span {
    cut(&mut span.name, NAME);
    cut(&mut span.trace_state, NAME);
    span.attributes = cut_attributes(std::mem::take(&mut span.attributes), ATTRIBUTES);
    span.events.truncate(EVENTS);
    for event in &mut span.events {
        cut(&mut event.name, NAME);
        event.attributes = cut_attributes(std::mem::take(&mut event.attributes), EVENT_ATTRIBUTES);
    }
    span.links.truncate(LINKS);
    for link in &mut span.links {
        link.attributes.clear();
        link.trace_state.clear();
    }
    if let Some(status) = &mut span.status {
        cut(&mut status.message, TEXT);
    }
    span
}

fn cut_attributes(mut attributes: Vec<KeyValue>, most: usize) -> Vec<KeyValue> {
    attributes.truncate(most);
    for attribute in &mut attributes {
        cut(&mut attribute.key, NAME);
        if !matches!(
            attribute.value.as_ref().and_then(|value| value.value.as_ref()),
            Some(Value::BoolValue(_) | Value::IntValue(_) | Value::DoubleValue(_))
        ) {
            let mut short = text(attribute.value.as_ref());
            cut(&mut short, TEXT);
            attribute.value = Some(AnyValue { value: Some(Value::StringValue(short)) });
        }
    }
    attributes
}

/// Shortens a text to at most `most` bytes, at a character's edge.
fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let edge = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(edge);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, Deed};

    #[test]
    fn an_export_is_sorted_by_trace() {
        let request = samples::export(&[
            Deed::new(1, 1, None, "pod start"),
            Deed::new(2, 7, None, "renew lease"),
            Deed::new(1, 2, Some(1), "admit"),
        ]);
        let pieces = pieces(request);
        let seen: Vec<_> = pieces.iter().map(|piece| (piece.trace, piece.spans)).collect();
        assert_eq!(seen, [(samples::trace(1), 2), (samples::trace(2), 1)]);
        assert_eq!(pieces[0].root.as_deref(), Some("pod start"));
    }

    #[test]
    fn what_is_too_long_is_cut_and_what_has_no_id_is_left_out() {
        let mut request = samples::export(&[Deed::new(1, 1, None, "x"), Deed::new(1, 2, None, "y")]);
        let spans = &mut request.resource_spans[0].scope_spans[0].spans;
        spans[0].name = "ä".repeat(4 * NAME);
        spans[0].attributes = vec![samples::attribute("k", &"v".repeat(1 << 16)); 100];
        spans[1].span_id = vec![1, 2, 3];
        let pieces = pieces(request);
        assert_eq!(pieces[0].spans, 1);
        assert!(pieces[0].bytes.len() < ATTRIBUTES * (TEXT + 64), "{} bytes", pieces[0].bytes.len());
    }

    #[test]
    fn the_pod_is_taken_from_the_first_spans_that_name_it() {
        let uid = samples::attribute(keys::POD_UID, "u-1");
        let name = samples::attribute(keys::POD_NAME, "web");
        let request = samples::export(&[
            Deed::new(1, 1, None, "a").with(uid),
            Deed::new(1, 2, Some(1), "b").with(name),
        ]);
        let pod = pieces(request).remove(0).pod.unwrap();
        assert_eq!((pod.uid.as_str(), pod.name.as_str(), pod.namespace.as_str()), ("u-1", "web", ""));
    }
}
