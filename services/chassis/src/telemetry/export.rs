//! How spans leave: a bounded queue, and one task that sends batches by OTLP to trace-recorder.
//!
//! Not the SDK's batch processor: it keeps a thread of its own for each process, and its flush blocks
//! the one thread on which the connection lives.

use crate::error;
use hyper_util::rt::TokioIo;
use opentelemetry::Context;
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor},
};
use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};
use tokio::{
    net::UnixStream,
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tonic::transport::{Channel, Endpoint};
use tracing::{debug, warn};

/// Spans that wait for the recorder; about 1 MiB at worst. What comes beyond is dropped.
const QUEUE: usize = 1024;
/// Spans sent at once.
const BATCH: usize = 256;
/// How long a span waits for others to be sent with.
const GATHER: Duration = Duration::from_millis(150);
/// How long one try to send may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Tries for a batch, a pause apart: the recorder may be starting too.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// Where ended spans go; one queue for a process.
static SPANS: OnceLock<mpsc::Sender<SpanData>> = OnceLock::new();

/// The process' trace. [`Telemetry::end`] sends what is left.
#[derive(Debug)]
pub struct Telemetry {
    /// Spans that nobody has taken yet; absent once they are exported.
    queue: Option<mpsc::Receiver<SpanData>>,
    exporting: Option<Exporting>,
}

#[derive(Debug)]
struct Exporting {
    /// Dropped to have the task finish.
    finish: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

/// The queue's two ends, the sending one inside a tracer provider.
pub(super) fn begin() -> (Telemetry, SdkTracerProvider) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    // A second beginning in one process: its spans go to the first one's queue.
    let queue = SPANS.set(sender).is_ok().then_some(receiver);
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder_empty().build())
        .with_span_processor(HandOver)
        .build();
    (Telemetry { queue, exporting: None }, provider)
}

/// Puts a span into the queue; drops it when the queue is full.
pub(super) fn hand_over(span: SpanData) {
    if let Some(spans) = SPANS.get() {
        // Nobody waits for a trace.
        let _ = spans.try_send(span);
    }
}

/// The SDK's way to the queue.
#[derive(Debug)]
struct HandOver;

impl SpanProcessor for HandOver {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            hand_over(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl Telemetry {
    /// Sends spans, past and future, to the recorder's socket. Must be called inside the runtime.
    pub fn export_to(&mut self, socket: &Path, resource: &Resource) {
        let Some(queue) = self.queue.take() else { return };
        match exporter(socket, resource) {
            Ok(exporter) => {
                let (finish, finishing) = mpsc::channel(1);
                let task = tokio::spawn(export(queue, finishing, exporter));
                self.exporting = Some(Exporting { finish, task });
            }
            Err(failure) => warn!(error = error::chain(&failure), "there will be no trace"),
        }
    }

    /// Sends what is left, for at most `patience`.
    pub async fn end(self, patience: Duration) {
        let Some(Exporting { finish, task }) = self.exporting else { return };
        drop(finish);
        if timeout(patience, task).await.is_err() {
            debug!("some spans were not taken in time");
        }
    }
}

fn exporter(
    socket: &Path,
    resource: &Resource,
) -> Result<OtlpExporter, opentelemetry_otlp::ExporterBuildError> {
    let mut exporter = OtlpExporter::builder()
        .with_tonic()
        .with_channel(channel(socket.to_owned()))
        .with_timeout(PATIENCE)
        .build()?;
    exporter.set_resource(resource);
    Ok(exporter)
}

/// A channel that connects when it is first used, and again whenever the recorder was restarted.
fn channel(socket: PathBuf) -> Channel {
    Endpoint::from_static("http://trace-recorder").connect_with_connector_lazy(tower::service_fn(
        move |_: http::Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        },
    ))
}

async fn export(mut queue: mpsc::Receiver<SpanData>, mut finish: mpsc::Receiver<()>, exporter: OtlpExporter) {
    loop {
        let mut batch = Vec::new();
        // Both are cancel-safe: `recv_many` takes nothing unless it completes.
        tokio::select! {
            taken = queue.recv_many(&mut batch, 1) => if taken == 0 { return },
            _ = finish.recv() => break,
        }
        sleep(GATHER).await;
        while batch.len() < BATCH
            && let Ok(span) = queue.try_recv()
        {
            batch.push(span);
        }
        send(&exporter, batch, &mut finish).await;
    }
    let rest: Vec<SpanData> = std::iter::from_fn(|| queue.try_recv().ok()).collect();
    if !rest.is_empty() {
        report(exporter.export(rest).await);
    }
}

/// Sends one batch, again and again for some seconds while nobody takes it.
async fn send(exporter: &OtlpExporter, batch: Vec<SpanData>, finish: &mut mpsc::Receiver<()>) {
    for _ in 1..TRIES {
        if exporter.export(batch.clone()).await.is_ok() {
            return;
        }
        if timeout(PAUSE, finish.recv()).await.is_ok() {
            break;
        }
    }
    report(exporter.export(batch).await);
}

fn report(result: OTelSdkResult) {
    if let Err(failure) = result {
        debug!(error = error::chain(&failure), "spans were dropped");
    }
}
