//! The span of a container that waits for its first verdict.

use crate::scripted::{Lifecycle, listen, pod, run, tcp};
use chassis::{telemetry, testing::BusServer};
use messages::{
    Owner, PodUid,
    pod_lifecycle::Probes,
    prober::{Finding, ProbeKind},
};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tracing::{Instrument, info_span};
use tracing_subscriber::layer::SubscriberExt;

/// Takes the spans of all tests of this program: a subscriber of one thread would not be asked about
/// spans that another thread was the first to make.
fn exporter() -> InMemorySpanExporter {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();
    exporter
}

#[actix::test]
async fn a_first_wait_is_part_of_the_pods_start_and_later_probes_of_nothing() {
    let exporter = exporter();
    let Some(server) = BusServer::start() else { return };
    let mut lifecycle = Lifecycle::on(&server).await;
    let service = server.service(Owner::Prober).await;
    run(&service);
    let (listener, port) = listen().await;

    let uid: PodUid = "7f0e2d9c-4b1a-48d3-9e6a-5f4c3b2a1908".parse().unwrap();
    let start = telemetry::start_context(&uid, 0);
    let telling = telemetry::child_of(&start, info_span!("tell probes"));
    let probes = Probes { pod: uid.clone(), ..pod(ProbeKind::Readiness, tcp(port)) };
    lifecycle.say(&probes).instrument(telling).await;
    lifecycle.expect_finding(Finding::Success).await;
    drop(listener);
    lifecycle.expect_finding(Finding::Failure).await;

    let mut spans = exporter.get_finished_spans().unwrap();
    spans.retain(|span| span.span_context.trace_id() == telemetry::start_trace_id(&uid, 0));
    let waits: Vec<_> = spans.iter().filter(|span| span.name == "wait for probe").collect();
    let [wait] = waits[..] else { panic!("{spans:?}") };
    let told = spans.iter().find(|span| span.name == "tell probes").unwrap();
    assert_eq!(wait.parent_span_id, told.span_context.span_id());
    let attributes = wait.attributes.iter();
    let attribute =
        |key: &str| attributes.clone().find(|it| it.key.as_str() == key).unwrap().value.to_string();
    assert_eq!(attribute("k8s.container.name"), "app");
    assert_eq!(attribute("probe"), "readiness");
}
