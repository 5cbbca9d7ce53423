//! One connection of a peer: HTTP/1.1 or HTTP/2 without TLS, as the client likes.

use super::{Ask, Peer, refusal_response};
use crate::{core::refusal::Refusal, ports::Body};
use actix::Addr;
use http::{Request, Response};
use hyper::{body::Incoming, rt::Executor, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use std::{convert::Infallible, time::Duration};
use tokio::{net::UnixStream, sync::OwnedSemaphorePermit};
use tracing::debug;

/// How long a client may take over a request's headers, and how long a connection may be without a request:
/// longer than our client keeps one (`chassis::api`), so that none is closed just when it is used again.
const HEADERS: Duration = Duration::from_secs(90);
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 1024;

/// Runs what hyper spawns on this thread, where actors' futures may live.
#[derive(Clone)]
struct ThisThread;

impl<F: Future + 'static> Executor<F> for ThisThread {
    fn execute(&self, future: F) {
        actix::spawn(async { drop(future.await) });
    }
}

/// Serves a connection until its client closes it.
pub(super) fn serve(stream: UnixStream, peer: Addr<Peer>, permit: OwnedSemaphorePermit) {
    let service = service_fn(move |request| answer(peer.clone(), request));
    actix::spawn(async move {
        let mut server = Builder::new(ThisThread);
        server.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
        server.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS);
        if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
            debug!(error, "a peer's connection broke");
        }
        drop(permit);
    });
}

async fn answer(peer: Addr<Peer>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let answer = peer.send(Ask(request)).await;
    // An error means that the actor has ended, with the process.
    Ok(answer.unwrap_or_else(|_| refusal_response(&Refusal::Broken)))
}
