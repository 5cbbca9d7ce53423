//! Spans that are made when they are over: of work of which only the end shows whether it is worth a row.

use super::{Peer, context_of_current, export, keys};
use crate::{clock, error};
use messages::BootTime;
use opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanKind, Status, TraceContextExt, TraceFlags, TraceState},
};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanLinks};
use std::time::{Duration, SystemTime};

/// What took less, its way included, is no row: a trace would be made of them.
const NOTICEABLE: Duration = Duration::from_millis(1);

/// What is over now.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The deed.
    name: &'static str,
    /// Whom it waited for; nobody, for what was set off by a message.
    peer: Option<Peer>,
    /// How long the message was on its way.
    queued_for: Duration,
    /// How long it took itself.
    took: Duration,
    failure: Option<String>,
    attributes: Vec<KeyValue>,
}

impl Ended {
    /// A call to something outside that began at this moment.
    pub fn call(peer: Peer, name: &'static str, begun: BootTime) -> Self {
        let took = clock::now_boot().since(begun);
        Self { peer: Some(peer), took, ..Self::message(name, begun, begun) }
    }

    /// What a message set off that was sent at the one moment and taken up at the other.
    pub fn message(name: &'static str, sent: BootTime, begun: BootTime) -> Self {
        let (queued_for, took) = (begun.since(sent), clock::now_boot().since(begun));
        Self { name, peer: None, queued_for, took, failure: None, attributes: Vec::new() }
    }

    /// Which has these attributes.
    #[must_use]
    pub fn about(self, attributes: Vec<KeyValue>) -> Self {
        Self { attributes, ..self }
    }

    fn is_noticeable(&self) -> bool {
        self.failure.is_some() || self.queued_for + self.took >= NOTICEABLE
    }
}

/// Makes a call to something outside. It is a row of the trace that is under way if it fails, or takes long enough.
///
/// # Errors
/// The call's own.
pub async fn noting<T, E: std::error::Error>(
    (peer, name): (Peer, &'static str),
    attributes: Vec<KeyValue>,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let begun = clock::now_boot();
    let answer = call.await;
    let failure = answer.as_ref().err().map(|failure| error::chain(failure));
    tell_of(&context_of_current(), Ended { failure, ..Ended::call(peer, name, begun).about(attributes) });
    answer
}

/// Exports a span that is part of a context, and is over now; nothing for an empty context, or when it is not worth
/// a row.
pub fn tell_of(context: &Context, ended: Ended) {
    if ended.is_noticeable()
        && let Some(span) = span(context, ended, SystemTime::now())
    {
        export::hand_over(span);
    }
}

fn span(context: &Context, ended: Ended, now: SystemTime) -> Option<SpanData> {
    let parent = context.span().span_context().clone();
    if !parent.is_valid() {
        return None;
    }
    let (trace, id) = (parent.trace_id(), RandomIdGenerator::default().new_span_id());
    let mut attributes = ended.attributes;
    let span_kind = match ended.peer {
        Some(peer) => {
            attributes.push(KeyValue::new(keys::PEER, peer.name()));
            SpanKind::Client
        }
        None => {
            let queued = i64::try_from(ended.queued_for.as_micros()).unwrap_or(i64::MAX);
            attributes.push(KeyValue::new(keys::QUEUED, queued));
            SpanKind::Consumer
        }
    };
    Some(SpanData {
        span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::default()),
        parent_span_id: parent.span_id(),
        parent_span_is_remote: parent.is_remote(),
        span_kind,
        name: ended.name.into(),
        start_time: now.checked_sub(ended.took).unwrap_or(now),
        end_time: now,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: ended.failure.map_or(Status::Unset, Status::error),
        instrumentation_scope: InstrumentationScope::builder("bulkhead").build(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::start_context;

    fn ended(queued_for: u64, took: u64, failure: Option<&str>) -> Ended {
        Ended {
            name: "decide",
            peer: None,
            queued_for: Duration::from_micros(queued_for),
            took: Duration::from_micros(took),
            failure: failure.map(str::to_owned),
            attributes: Vec::new(),
        }
    }

    #[test]
    fn what_is_over_is_part_of_what_it_was_done_for() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let context = start_context(&"0b2c6f1e-7a3d-4d52-9a2b-2f6f0f5b1a11".parse().unwrap(), 0);
        let parent = context.span().span_context().clone();
        let decided = span(&context, ended(300_000, 1_000_000, None), now).unwrap();
        let trace = decided.span_context.trace_id();
        assert_eq!((trace, decided.parent_span_id), (parent.trace_id(), parent.span_id()));
        assert_eq!((decided.start_time, decided.end_time), (now - Duration::from_secs(1), now));
        assert_eq!(decided.attributes, [KeyValue::new(keys::QUEUED, 300_000)]);
        assert_eq!(decided.span_kind, SpanKind::Consumer);
        let call = Ended { peer: Some(Peer::Runtime), ..ended(0, 1, Some("no")) };
        let called = span(&context, call, now).unwrap();
        assert_eq!(called.attributes, [KeyValue::new(keys::PEER, "container-runtime")]);
        assert_eq!((called.span_kind, called.status), (SpanKind::Client, Status::error("no")));
        assert!(span(&Context::new(), ended(1, 1, None), now).is_none(), "nothing is part of nothing");
    }

    #[test]
    fn only_what_can_be_noticed_is_a_row() {
        let cases = [
            ("a moment", ended(0, 400, None), false),
            ("a moment, and a while on the way", ended(700, 400, None), true),
            ("a while", ended(0, 1_000, None), true),
            ("a moment that ended badly", ended(0, 1, Some("no")), true),
        ];
        for (name, ended, is_row) in cases {
            assert_eq!(ended.is_noticeable(), is_row, "{name}");
        }
    }
}
