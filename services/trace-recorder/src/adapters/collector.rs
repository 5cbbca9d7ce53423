//! Hands spans on to the operator's collector, without ever making anybody wait for it.
//!
//! One task, one bounded queue. A collector that is away is tried again, longer and longer apart, with the
//! same batch; meanwhile the queue fills, and what comes beyond it is dropped and counted.

use crate::Error;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, trace_service_client::TraceServiceClient,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::sleep};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tracing::{info, warn};

/// Exports that wait; each holds at most 256 spans, so this is some 10 MiB at the very worst and 100 KiB in
/// a calm hour.
const QUEUE: usize = 64;
/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pauses between tries, from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The near end of the queue.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    queue: mpsc::Sender<ExportTraceServiceRequest>,
    dropped: Arc<AtomicU64>,
}

impl Collector {
    /// Begins to hand on to an endpoint such as `http://collector:4317`. Connects when there is something to
    /// send. Must be called inside the runtime.
    pub(crate) fn start(endpoint: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Endpoint { endpoint: endpoint.to_owned(), why: why.to_owned() };
        if !endpoint.starts_with("http://") {
            return Err(wrong("only http:// is spoken here; put a collector of your own in between for TLS"));
        }
        let target = Endpoint::from_shared(endpoint.to_owned()).map_err(|_| wrong("it is no URL"))?;
        let channel = target.timeout(PATIENCE).connect_timeout(PATIENCE).connect_lazy();
        let (queue, waiting) = mpsc::channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        actix::spawn(hand_on(waiting, channel, dropped.clone()));
        Ok(Self { queue, dropped })
    }

    /// Queues an export, or drops it when the queue is full.
    pub(crate) fn take(&self, export: ExportTraceServiceRequest) {
        if self.queue.try_send(export).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn hand_on(
    mut waiting: mpsc::Receiver<ExportTraceServiceRequest>,
    channel: Channel,
    dropped: Arc<AtomicU64>,
) {
    let mut client = TraceServiceClient::new(channel);
    let mut pause = PAUSES.0;
    while let Some(export) = waiting.recv().await {
        while let Err(status) = client.export(export.clone()).await {
            if !is_worth_retrying(&status) {
                warn!(code = ?status.code(), why = status.message(), "the collector refused spans");
                break;
            }
            if pause == PAUSES.0 {
                warn!(code = ?status.code(), "the collector does not answer; trying again");
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
        if pause != PAUSES.0 {
            info!(dropped = dropped.swap(0, Ordering::Relaxed), "the collector answers again");
            pause = PAUSES.0;
        }
    }
}

/// The codes that the OTLP specification calls retryable, and what tonic makes of a failed connection.
fn is_worth_retrying(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::DataLoss
            | Code::Unknown
    )
}
