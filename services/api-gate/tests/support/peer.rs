//! A peer as it speaks to its socket.

use super::{DEADLINE, Gate};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use messages::Owner;
use tokio::{net::UnixStream, time::timeout};

/// Sends a request as a peer, over a connection of its own.
pub(crate) async fn ask(gate: &Gate, owner: Owner, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let stream = UnixStream::connect(gate.socket(owner)).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    actix::spawn(connection);
    timeout(DEADLINE, sender.send_request(request)).await.expect("an answer in time").unwrap()
}

/// GETs a path as a peer.
pub(crate) async fn get(gate: &Gate, owner: Owner, path: &str) -> Response<Incoming> {
    ask(gate, owner, Request::get(path).header("host", "api-gate").body(Full::default()).unwrap()).await
}

/// The next piece of a body; `None` at its end.
pub(crate) async fn piece(response: &mut Response<Incoming>) -> Option<String> {
    let frame = timeout(DEADLINE, response.body_mut().frame()).await.expect("a piece in time")?;
    let data = frame.unwrap().into_data().unwrap();
    Some(String::from_utf8(data.to_vec()).unwrap())
}

/// The whole body.
pub(crate) async fn text(response: Response<Incoming>) -> String {
    let body = timeout(DEADLINE, response.into_body().collect()).await.expect("an end in time");
    String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap()
}
