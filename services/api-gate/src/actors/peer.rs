//! One peer: its socket, what it may ask, and how much of it at once.
//!
//! Knows the peer by its socket and its user, judges each request by the catalog and cleans it; the
//! line behind it does the rest.

use super::line::Forward;
use crate::{
    adapters::socket,
    core::{
        class, headers,
        refusal::Refusal,
        request::{self, Verb},
        rules,
    },
    ports::{Body, BoxError},
};
use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient, ResponseFuture, StreamHandler};
use bytes::Bytes;
use chassis::{api::FORBIDDEN_BY, identity};
use http::{HeaderValue, Request, Response, header::CONTENT_TYPE, header::RETRY_AFTER};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body as _, Incoming};
use messages::{Owner, catalog::ApiRule};
use std::{io, sync::Arc};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_stream::wrappers::UnixListenerStream;
use tracing::{error, warn};

mod connection;

/// Connections of one peer. A client that speaks HTTP/1.1 has one for each watch.
const CONNECTIONS: usize = 1024;
/// Requests under way for one peer, watches aside.
const REQUESTS: usize = 256;
/// Watches of one peer: two for each of 500 pods.
const WATCHES: usize = 1000;
/// The largest body of a request: what the API server takes (`MaxRequestBodyBytes`).
const LARGEST_BODY: usize = 3 * 1024 * 1024;

/// One peer of the gate.
pub(crate) struct Peer {
    owner: Owner,
    rules: &'static [ApiRule],
    line: Recipient<Forward>,
    listener: Option<UnixListener>,
    room: Room,
}

/// What the peer may have at once.
struct Room {
    connections: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    watches: Arc<Semaphore>,
}

/// A request as it comes from the socket.
#[derive(Message)]
#[rtype(result = "Response<Body>")]
pub(crate) struct Ask(pub(crate) Request<Incoming>);

impl Peer {
    pub(crate) fn new(
        owner: Owner,
        rules: &'static [ApiRule],
        line: Recipient<Forward>,
        listener: UnixListener,
    ) -> Self {
        let limited = |number| Arc::new(Semaphore::new(number));
        let room = Room {
            connections: limited(CONNECTIONS),
            requests: limited(REQUESTS),
            watches: limited(WATCHES),
        };
        Self { owner, rules, line, listener: Some(listener), room }
    }

    /// What is to be forwarded, and the room that it takes until its answer has ended.
    fn admit(&self, request: Request<Incoming>) -> Result<(Forward, OwnedSemaphorePermit), Refusal> {
        let asked = request::read(request.method(), request.uri()).map_err(Refusal::Unreadable)?;
        let asked = rules::judge(self.rules, self.owner, asked).map_err(Refusal::NoRule)?;
        let announced = request.body().size_hint().lower();
        if usize::try_from(announced).is_ok_and(|announced| announced > LARGEST_BODY) {
            return Err(Refusal::TooLarge { limit: LARGEST_BODY });
        }
        let watch = asked.verb == Verb::Watch;
        let room = if watch { &self.room.watches } else { &self.room.requests };
        let permit = room.clone().try_acquire_owned().map_err(|_| Refusal::TooMany)?;
        Ok((Forward { class: class::of(&asked), watch, request: clean(request, self.owner) }, permit))
    }

    fn refused(&self, refusal: &Refusal) -> Response<Body> {
        if matches!(refusal, Refusal::Unreadable(_) | Refusal::NoRule(_)) {
            error!(peer = %self.owner, why = %refusal, "a process asked for what the catalog does not allow");
        }
        refusal_response(refusal)
    }
}

impl Actor for Peer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(listener) = self.listener.take() {
            ctx.add_stream(UnixListenerStream::new(listener));
        }
    }
}

impl StreamHandler<io::Result<UnixStream>> for Peer {
    fn handle(&mut self, accepted: io::Result<UnixStream>, ctx: &mut Context<Self>) {
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => return warn!(peer = %self.owner, %error, "a connection could not be accepted"),
        };
        if !socket::is_from(&stream, identity::of(self.owner).uid) {
            return error!(peer = %self.owner, "a connection came from another user");
        }
        match self.room.connections.clone().try_acquire_owned() {
            Ok(permit) => connection::serve(stream, ctx.address(), permit),
            Err(_) => warn!(peer = %self.owner, "too many connections at once"),
        }
    }
}

impl Handler<Ask> for Peer {
    type Result = ResponseFuture<Response<Body>>;

    fn handle(&mut self, Ask(request): Ask, _: &mut Context<Self>) -> Self::Result {
        let (forward, permit) = match self.admit(request) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                let response = self.refused(&refusal);
                return Box::pin(async { response });
            }
        };
        let answer = self.line.send(forward);
        Box::pin(async move {
            match answer.await {
                Ok(Ok(response)) => holding(response, permit),
                Ok(Err(refusal)) => refusal_response(&refusal),
                // The line is gone: the process leaves.
                Err(_) => refusal_response(&Refusal::Broken),
            }
        })
    }
}

/// The request as it goes on: headers from the allow-list, a path and query only, a bounded body.
fn clean(request: Request<Incoming>, owner: Owner) -> Request<Body> {
    let (parts, body) = request.into_parts();
    let mut cleaned = Request::new(Limited::new(body, LARGEST_BODY).boxed_unsync());
    *cleaned.method_mut() = parts.method;
    *cleaned.uri_mut() = parts.uri;
    *cleaned.headers_mut() = headers::inwards(&parts.headers, owner);
    cleaned
}

/// The answer, which holds its room until the last of it was passed on.
fn holding(response: Response<Body>, permit: OwnedSemaphorePermit) -> Response<Body> {
    response.map(|body| {
        body.map_frame(move |frame| {
            let _held = &permit;
            frame
        })
        .boxed_unsync()
    })
}

fn refusal_response(refusal: &Refusal) -> Response<Body> {
    let body = Full::new(Bytes::from(refusal.body().to_string()));
    let mut response = Response::new(body.map_err(|never| -> BoxError { match never {} }).boxed_unsync());
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = refusal.retry_after() {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if refusal.is_programs_fault() {
        headers.insert(FORBIDDEN_BY, HeaderValue::from_static("api-gate"));
    }
    response
}
