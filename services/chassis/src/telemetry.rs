//! The trace and the log, begun first and ended last.
//!
//! Spans are made with `tracing`; they leave by OTLP over trace-recorder's Unix socket. Log records
//! go to standard error, one per line. Neither ever makes a service wait: what cannot be taken is
//! dropped and counted.
//!
//! Spans are named for deeds, with few different names: `admit`, `prepare volumes`, `pull image`,
//! `create sandbox`, `create container`, `start container`, `wait for probe`, `report status`. What a
//! deed is about goes into attributes, whose names are in [`keys`]. Environment values and secrets
//! never become attributes or log fields.

mod afterwards;
mod context;
mod export;
pub mod keys;
mod log;
mod outside;
mod pod_start;

pub use afterwards::{Ended, noting, tell_of};
pub use context::{
    are_of_one_trace, child_of, context_from, context_of, context_of_current, link_to, traceparent,
};
pub use export::Telemetry;
pub use log::Lines;
pub use outside::{Peer, call, fail, is_traced};
pub use pod_start::{export_start_root, start_context, start_span_id, start_trace_id};

use messages::{Incarnation, NodeName, Owner};
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_sdk::{Resource, trace::Tracer};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::{
    Layer, Registry, filter::Targets, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

/// Begins log and trace for this process. Spans wait in a bounded queue until
/// [`Telemetry::export_to`] says where to.
///
/// A second call in one process (as in tests) keeps the first one's log and trace.
pub fn begin(lines: Lines, verbosity: u32) -> Telemetry {
    let (telemetry, provider) = export::begin();
    let tracer = provider.tracer("bulkhead");
    // Refused when a subscriber is there already, which then goes on.
    let _ = Registry::default()
        .with(log::layer(lines).with_filter(log::filter(verbosity)))
        .with(span_layer(tracer).with_filter(spans_of_ours()))
        .try_init();
    telemetry
}

fn span_layer<S>(tracer: Tracer) -> OpenTelemetryLayer<S, Tracer>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    // Source locations, threads and busy times would triple the size of a span.
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
}

/// Spans of libraries tell of requests and polls, not of deeds.
fn spans_of_ours() -> Targets {
    Targets::new().with_targets(our_targets().map(|target| (target, LevelFilter::INFO)))
}

/// The crates of this repository.
fn our_targets() -> impl Iterator<Item = String> {
    Owner::ALL.into_iter().map(|owner| owner.name().replace('-', "_")).chain(["chassis".to_owned()])
}

/// Who sends spans: the process, its life and its node.
pub fn resource(owner: Owner, incarnation: Incarnation, node: &NodeName) -> Resource {
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new(keys::SERVICE_NAME, owner.name()),
            KeyValue::new(keys::SERVICE_INSTANCE, incarnation.to_string()),
            KeyValue::new(keys::NODE_NAME, node.to_string()),
        ])
        .build()
}
