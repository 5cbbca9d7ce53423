//! The CRI socket: every call, with its patience and its trace context.
//!
//! There is no trait between this and the deeds: CRI itself is the port. Tests script a server of
//! it (`tests/`), so that what is tested is what goes over the wire.

mod calls;
mod error;

pub use error::RuntimeError;

use chassis::telemetry;
use hyper_util::rt::TokioIo;
use proto::runtime::v1::{
    image_service_client::ImageServiceClient, runtime_service_client::RuntimeServiceClient,
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{net::UnixStream, time::timeout};
use tonic::{
    Request, Response, Status,
    transport::{Channel, Endpoint, Uri},
};
use tower::service_fn;

/// The longest answer that is taken: lists of everything on a full node stay far below.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// The runtime. Cheap to clone; connects at the first call, and again whenever it went away.
#[derive(Debug, Clone)]
pub struct Containerd {
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
    /// `runtimeRequestTimeout`.
    patience: Duration,
}

impl Containerd {
    /// The runtime behind these sockets. Must be called inside the tokio runtime.
    pub fn at(runtime: &Path, images: &Path, patience: Duration) -> Self {
        let channel = channel(runtime.to_owned());
        let image_channel =
            if runtime == images { channel.clone() } else { self::channel(images.to_owned()) };
        Self {
            runtime: RuntimeServiceClient::new(channel).max_decoding_message_size(LONGEST_ANSWER),
            images: ImageServiceClient::new(image_channel).max_decoding_message_size(LONGEST_ANSWER),
            patience,
        }
    }
}

fn channel(socket: PathBuf) -> Channel {
    let connect = move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    };
    // The name is not looked up: the connector knows where to go.
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(service_fn(connect))
}

/// A request that carries the trace context of the current span.
fn traced<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let traceparent = telemetry::traceparent(&telemetry::context_of_current());
    if let Some(traceparent) = traceparent.and_then(|text| text.parse().ok()) {
        request.metadata_mut().insert("traceparent", traceparent);
    }
    request
}

/// Waits for a call's answer, for ever without patience. A call that is given up is cancelled.
fn answered<T>(
    call: &'static str,
    patience: Option<Duration>,
    answer: impl Future<Output = Result<Response<T>, Status>>,
) -> impl Future<Output = Result<T, RuntimeError>> {
    // Requests are large, and whoever waits for an answer would hold a copy at every level.
    let answer = Box::pin(answer);
    async move {
        let answer = match patience {
            None => answer.await,
            Some(patience) => match timeout(patience, answer).await {
                Ok(answer) => answer,
                Err(_) => return Err(RuntimeError::TimedOut { call, patience }),
            },
        };
        answer
            .map(Response::into_inner)
            .map_err(|status| RuntimeError::Said { call, status: Box::new(status) })
    }
}
