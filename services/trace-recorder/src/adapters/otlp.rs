//! OTLP over gRPC: where every process of the node sends its spans.

use super::socket::{Peers, connections};
use crate::{
    Error,
    actor::{Record, Recorder},
};
use actix::Addr;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use tokio::net::UnixListener;
use tonic::{Request, Response, Status, transport::Server};

/// The largest export, in bytes. Exporters of the chassis send 256 spans at once, some 200 KiB.
const LARGEST: usize = 2 << 20;
/// Exports under way on one connection; an exporter has one.
const AT_ONCE: usize = 4;

struct Receiver {
    recorder: Addr<Recorder>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let recorded = self.recorder.send(Record(request.into_inner())).await;
        recorded.map_err(|_| Status::unavailable("the recorder is leaving"))?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Serves the socket until it breaks.
pub(crate) async fn serve(listener: UnixListener, recorder: Addr<Recorder>) -> Result<(), Error> {
    let service = TraceServiceServer::new(Receiver { recorder }).max_decoding_message_size(LARGEST);
    Server::builder()
        .concurrency_limit_per_connection(AT_ONCE)
        .initial_connection_window_size(1 << 20)
        .serve_with_incoming(service, connections(listener, Peers::Ours))
        .await
        .map_err(Error::Serve)
}
