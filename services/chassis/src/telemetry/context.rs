//! Trace contexts: from one process to the next, and from a span to its parent.

use opentelemetry::{
    Context,
    propagation::TextMapPropagator,
    trace::{TraceContextExt, TraceFlags},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use std::collections::HashMap;
use tracing::{Span, debug};
use tracing_opentelemetry::{OpenTelemetrySpanExt, SetParentError};

/// The header of W3C Trace Context.
const TRACEPARENT: &str = "traceparent";

/// The context of the span that is entered now. Outside of spans, the context that a future was given
/// with `opentelemetry::context::FutureExt` (work that belongs to a trace and is no row of it); else
/// empty.
pub fn context_of_current() -> Context {
    let of_span = Span::current().context();
    if of_span.span().span_context().is_valid() { of_span } else { Context::current() }
}

/// The context of a span; empty where it is part of no trace.
pub fn context_of(span: &Span) -> Context {
    span.context()
}

/// Whether both are part of one trace; an empty context is part of none.
pub fn are_of_one_trace(one: &Context, other: &Context) -> bool {
    let (one, other) = (one.span().span_context().clone(), other.span().span_context().clone());
    one.is_valid() && one.trace_id() == other.trace_id()
}

/// A context as the text of a `traceparent` header; none for an empty context.
pub fn traceparent(context: &Context) -> Option<String> {
    let span = context.span();
    let span = span.span_context();
    let sampled = span.trace_flags() & TraceFlags::SAMPLED;
    span.is_valid().then(|| format!("00-{}-{}-{sampled:02x}", span.trace_id(), span.span_id()))
}

/// The context that a `traceparent` header tells of; empty when there is none or it is malformed.
pub fn context_from(traceparent: Option<&str>) -> Context {
    let Some(traceparent) = traceparent else { return Context::new() };
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier)
}

/// Makes a span the child of a context, wherever it was created. Must be called before the span is
/// entered or has children of its own. An empty context makes it a root.
pub fn child_of(context: &Context, span: Span) -> Span {
    match span.set_parent(context.clone()) {
        // Without a trace (in tests), or below the level: nobody looks for its parent.
        Ok(()) | Err(SetParentError::LayerNotFound | SetParentError::SpanDisabled) => {}
        Err(error) => debug!(%error, "a span keeps its parent"),
    }
    span
}

/// Links a span to a context that is not its parent; nothing for an empty one.
pub fn link_to(context: &Context, span: &Span) {
    span.add_link(context.span().span_context().clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_survives_the_way_through_a_header() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = context_from(Some(header));
        assert!(context.span().span_context().is_remote());
        assert_eq!(traceparent(&context).as_deref(), Some(header));
    }

    #[test]
    fn a_context_that_was_attached_counts_outside_of_spans() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(traceparent(&context_of_current()), None);
        let attached = context_from(Some(header)).attach();
        assert_eq!(traceparent(&context_of_current()).as_deref(), Some(header));
        drop(attached);
        assert_eq!(traceparent(&context_of_current()), None);
    }

    #[test]
    fn what_is_no_context_is_an_empty_one() {
        for header in [None, Some(""), Some("00-0-0-01"), Some("nonsense")] {
            assert_eq!(traceparent(&context_from(header)), None, "{header:?}");
        }
    }
}
