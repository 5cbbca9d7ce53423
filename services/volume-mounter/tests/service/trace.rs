//! The span tree of a pod's volumes: one child per volume below what asked for them.

use crate::scripted::{Neighbours, ask};
use chassis::telemetry;
use k8s_openapi::api::core::v1 as core;
use messages::{Outcome, PodUid, pod_lifecycle::Stage, volume_mounter::PrepareVolumes};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing::{Instrument, info_span};
use tracing_subscriber::layer::SubscriberExt;

/// A pod that no other test has: all spans of this program come to one place.
fn uid() -> PodUid {
    "7f0e2d9c-4b1a-48d3-9e6a-5f4c3b2a1908".parse().unwrap()
}

fn pod() -> core::Pod {
    serde_json::from_value(serde_json::json!({
        "metadata": { "name": "web", "namespace": "shop", "uid": uid() },
        "spec": {
            "volumes": [{ "name": "a", "emptyDir": {} }, { "name": "b", "emptyDir": { "medium": "Memory" } }],
            "containers": [{ "name": "app", "volumeMounts": [
                { "name": "a", "mountPath": "/a" }, { "name": "b", "mountPath": "/b" },
            ] }],
        },
    }))
    .unwrap()
}

fn named<'a>(spans: &'a [SpanData], name: &str) -> Vec<&'a SpanData> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn attribute(span: &SpanData, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| attribute.value.to_string()).unwrap_or_default()
}

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
async fn each_volume_is_a_child_of_the_command() {
    let exporter = exporter();
    let Some(mut neighbours) = Neighbours::new().await else { return };
    neighbours.run().await;
    let decision = neighbours.desire(&pod(), Stage::Running).await;

    let start = telemetry::start_context(&uid(), 0);
    let asking = telemetry::child_of(&start, info_span!("decide"));
    let command = PrepareVolumes { pod: uid(), decision };
    let outcome = ask(&neighbours.lifecycle, &command).instrument(asking).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");

    let mut spans = exporter.get_finished_spans().unwrap();
    spans.retain(|span| span.span_context.trace_id() == telemetry::start_trace_id(&uid(), 0));
    let [prepare] = named(&spans, "prepare volumes")[..] else { panic!("{spans:?}") };
    let volumes = named(&spans, "mount volume");
    let mut names: Vec<_> = volumes.iter().map(|span| attribute(span, "k8s.volume.name")).collect();
    names.sort();
    assert_eq!(names, ["a", "b"]);
    for span in volumes {
        assert_eq!(span.parent_span_id, prepare.span_context.span_id());
        assert_eq!(attribute(span, "k8s.pod.uid"), uid().to_string());
    }
}
