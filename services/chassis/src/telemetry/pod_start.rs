//! The trace of a pod's start: its ids, which every process works out for itself, and its root span.
//!
//! No process sees the whole start, so none can hold the root span open. All set the same remote
//! parent, and status-reporter exports the root once the API server has accepted Running.

use super::export;
use messages::PodUid;
use opentelemetry::{
    Context, InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Event, SpanContext, SpanKind, Status, TraceContextExt, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use sha2::{Digest, Sha256};
use std::time::SystemTime;

/// Name of the root span.
const ROOT: &str = "pod start";

/// The trace of a pod's start. For the first life (0) it is the UID itself where that is a UUID or 32
/// hex digits, so that an operator who has the one has the other; else, and for later lives, a hash.
pub fn start_trace_id(pod: &PodUid, life: u32) -> TraceId {
    match as_trace_id(pod.as_str()) {
        Some(id) if life == 0 => id,
        _ => TraceId::from_bytes(hash("trace", pod, life)),
    }
}

/// The root span of a pod's start.
pub fn start_span_id(pod: &PodUid, life: u32) -> SpanId {
    SpanId::from_bytes(hash("span", pod, life))
}

/// The parent for every span that is part of a pod's start.
pub fn start_context(pod: &PodUid, life: u32) -> Context {
    Context::new().with_remote_span_context(root_context(pod, life, true))
}

/// Exports the root span of a pod's start. `events` are what happened on the way, such as
/// `containers started`. Called once for each start, by status-reporter.
pub fn export_start_root(
    (pod, life): (&PodUid, u32),
    begin: SystemTime,
    end: SystemTime,
    attributes: Vec<KeyValue>,
    events: Vec<(String, SystemTime)>,
) {
    export::hand_over(root_span((pod, life), begin, end, attributes, events));
}

fn root_span(
    (pod, life): (&PodUid, u32),
    begin: SystemTime,
    end: SystemTime,
    attributes: Vec<KeyValue>,
    events: Vec<(String, SystemTime)>,
) -> SpanData {
    let mut happened = SpanEvents::default();
    happened.events = events.into_iter().map(|(name, at)| Event::new(name, at, Vec::new(), 0)).collect();
    SpanData {
        span_context: root_context(pod, life, false),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: ROOT.into(),
        start_time: begin,
        end_time: end,
        attributes,
        dropped_attributes_count: 0,
        events: happened,
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("bulkhead").build(),
    }
}

fn root_context(pod: &PodUid, life: u32, remote: bool) -> SpanContext {
    SpanContext::new(
        start_trace_id(pod, life),
        start_span_id(pod, life),
        TraceFlags::SAMPLED,
        remote,
        TraceState::default(),
    )
}

/// The 32 hex digits of a UUID or of a static pod's UID. All zeroes mean "no trace".
fn as_trace_id(uid: &str) -> Option<TraceId> {
    let digits: String = match uid.len() {
        32 => uid.to_owned(),
        36 if [8, 13, 18, 23].iter().all(|at| uid.as_bytes()[*at] == b'-') => uid.replace('-', ""),
        _ => return None,
    };
    let id = if digits.len() == 32 { TraceId::from_hex(&digits).ok()? } else { return None };
    (id != TraceId::INVALID).then_some(id)
}

fn hash<const N: usize>(what: &str, pod: &PodUid, life: u32) -> [u8; N] {
    let digest = Sha256::digest(format!("{what}/{pod}/{life}"));
    std::array::from_fn(|at| digest[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(text: &str) -> PodUid {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_life_of_a_uuid_is_its_own_trace() {
        let cases = [
            ("0b2c6f1e-7a3d-4d52-9a2b-2f6f0f5b1a11", "0b2c6f1e7a3d4d529a2b2f6f0f5b1a11"),
            ("7f0e2d9c4b1a48d39e6a5f4c3b2a1908", "7f0e2d9c4b1a48d39e6a5f4c3b2a1908"),
        ];
        for (pod, trace) in cases {
            assert_eq!(start_trace_id(&uid(pod), 0).to_string(), trace);
            assert_ne!(start_trace_id(&uid(pod), 1).to_string(), trace, "a later life is another trace");
        }
    }

    #[test]
    fn any_other_uid_has_a_trace_too() {
        let odd = [
            "a",
            "00000000000000000000000000000000",
            "not-hex-not-hex-not-hex-not-hex-not-",
            "0b2c6f1e-7a3d-4d52-9a2b-2f6f0f5b1a1-",
            "-0b2c6f1e7a3d4d529a2b2f6f0f5b1a1",
        ];
        for pod in odd.map(uid) {
            assert_ne!(start_trace_id(&pod, 0), TraceId::INVALID, "{pod}");
            assert_eq!(start_trace_id(&pod, 0), start_trace_id(&pod, 0), "{pod}");
            assert_ne!(start_trace_id(&pod, 0), start_trace_id(&pod, 1), "{pod}");
        }
    }

    #[test]
    fn the_root_is_what_the_others_call_their_parent() {
        let pod = uid("0b2c6f1e-7a3d-4d52-9a2b-2f6f0f5b1a11");
        let now = SystemTime::UNIX_EPOCH;
        let events = vec![("ready".to_owned(), now)];
        let root = root_span((&pod, 0), now, now, Vec::new(), events);
        let parent = start_context(&pod, 0);
        let parent = parent.span().span_context().clone();
        assert_eq!(root.span_context.trace_id(), parent.trace_id());
        assert_eq!(root.span_context.span_id(), parent.span_id());
        assert!(parent.is_remote() && parent.is_sampled());
        assert_eq!((root.name.as_ref(), root.events.len()), (ROOT, 1));
    }
}
