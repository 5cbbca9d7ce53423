//! Hands an upgraded connection through to the runtime's streaming server, byte for byte.
//!
//! Neither SPDY nor WebSocket is understood here: the request for the upgrade is repeated to the URL that the
//! runtime prepared, its answer is handed back, and then bytes go both ways until either side ends. API servers
//! up to 1.36 ask for SPDY themselves unless the node declares `ExtendWebSocketsToKubelet`, which this one
//! does not: WebSocket's `v5.channel.k8s.io` would have to be translated, since runtimes do not speak it.

use crate::core::{refused::Refused, streams};
use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderMap, StatusCode, Uri, header, request::Parts};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1,
    upgrade::{OnUpgrade, Upgraded, on},
};
use hyper_util::rt::TokioIo;
use std::{fmt::Display, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader, copy_buf, split},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::timeout,
};
use tracing::debug;

/// How long the runtime may take to answer the request for an upgrade.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest error of the runtime that is handed back, in bytes.
const LONGEST: usize = 64 << 10;
/// Bytes on their way in each direction.
const BUFFER: usize = 32 << 10;

/// Opens the stream at `url` for a request, and goes on copying after this returns, for as long as which `hand`
/// is held.
pub(crate) async fn open(
    mut request: Request,
    url: &str,
    hand: OwnedSemaphorePermit,
) -> Result<Response, Refused> {
    let client = on(&mut request);
    let (head, _) = request.into_parts();
    let asked = timeout(PATIENCE, ask(head, url)).await;
    let answer =
        asked.map_err(|_| Refused::internal("the runtime's streaming server does not answer\n"))??;
    match answer.status() {
        StatusCode::SWITCHING_PROTOCOLS => Ok(switch(client, answer, hand)),
        status if status.as_u16() < 400 => {
            Err(Refused::internal(format!("invalid upgrade response: status code {}\n", status.as_u16())))
        }
        _ => Ok(hand_back(answer).await),
    }
}

/// Whether a request's headers ask for another protocol.
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| value.to_str().is_ok_and(streams::is_upgrade))
}

/// Repeats the request to the runtime.
async fn ask(head: Parts, url: &str) -> Result<http::Response<Incoming>, Refused> {
    let target: Uri = url.parse().map_err(unreachable)?;
    let authority = target.authority().filter(|_| target.scheme_str() == Some("http"));
    let authority = authority.ok_or_else(|| unreachable("its URL is not http://"))?.to_string();
    let stream = TcpStream::connect(&authority).await.map_err(unreachable)?;
    // Keystrokes are small and should not wait for each other.
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
    tokio::spawn(connection.with_upgrades());
    let asked = repeated(head, &target, &authority).map_err(unreachable)?;
    sender.send_request(asked).await.map_err(unreachable)
}

fn unreachable(why: impl Display) -> Refused {
    Refused::internal(format!("could not reach the runtime's streaming server: {why}\n"))
}

/// The same request for another server. What opened our door is nothing to the runtime.
fn repeated(head: Parts, target: &Uri, authority: &str) -> http::Result<http::Request<Empty<Bytes>>> {
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    let mut asked = http::Request::builder().method(head.method).uri(path);
    if let Some(headers) = asked.headers_mut() {
        *headers = head.headers;
        headers.remove(header::AUTHORIZATION);
        headers.remove(header::HOST);
    }
    asked.header(header::HOST, authority).body(Empty::new())
}

/// Answers 101 with the runtime's headers, and ties the two connections together.
fn switch(client: OnUpgrade, answer: http::Response<Incoming>, hand: OwnedSemaphorePermit) -> Response {
    let (head, body) = answer.into_parts();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers.clone();
    tokio::spawn(async move {
        let runtime = on(http::Response::from_parts(head, body));
        match tokio::try_join!(client, runtime) {
            Ok((client, runtime)) => tie(TokioIo::new(client), TokioIo::new(runtime)).await,
            Err(error) => debug!(%error, "an upgrade was not carried out"),
        }
        drop(hand);
    });
    response
}

/// Copies both ways until either side ends, and then ends the other: a stream protocol that has lost one
/// direction has lost both.
async fn tie(client: TokioIo<Upgraded>, runtime: TokioIo<Upgraded>) {
    let ((from_client, to_client), (from_runtime, to_runtime)) = (split(client), split(runtime));
    // Cancel-safe: what is in the other direction's buffer goes nowhere any more.
    tokio::select! {
        () = pour(from_client, to_runtime) => {}
        () = pour(from_runtime, to_client) => {}
    }
}

async fn pour(from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut from = BufReader::with_capacity(BUFFER, from);
    if let Err(error) = copy_buf(&mut from, &mut to).await {
        debug!(%error, "a stream broke off");
    }
    let _ = tokio::io::AsyncWriteExt::shutdown(&mut to).await;
}

/// The runtime's error as it came.
async fn hand_back(answer: http::Response<Incoming>) -> Response {
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    let body = Limited::new(answer.into_body(), LONGEST).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}
