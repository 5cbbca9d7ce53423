//! A stand-in for the runtime's socket that passes every call on and keeps the runtime's events back: whoever follows
//! them hears nothing, on a connection on which everything else works.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result};
use futures::{StreamExt, future};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{UnixListener, UnixStream};

use super::Background;

/// The call that follows the runtime's events.
const FOLLOW: &str = "/runtime.v1.RuntimeService/GetContainerEvents";

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// The stand-in, in the place of the runtime's socket. Dropped, the socket is the runtime's own again.
pub struct Silence {
    socket: PathBuf,
    moved: PathBuf,
    _server: Background,
}

impl Silence {
    /// Takes the socket's place. Connections that are open already stay as they are.
    pub fn before(socket: &Path) -> Result<Self> {
        let moved = socket.with_extension("moved");
        fs::rename(socket, &moved).with_context(|| format!("moving {}", socket.display()))?;
        let (near, far) = (socket.to_owned(), moved.clone());
        let server = Background::start(
            move || serve(near, far),
            |work| {
                thread::spawn(move || {
                    work();
                    Ok(())
                })
            },
        );
        Ok(Self { socket: socket.to_owned(), moved, _server: server })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // Where the ground has gone, there is nothing to put back.
        let _ = fs::rename(&self.moved, &self.socket);
    }
}

async fn serve(near: PathBuf, far: PathBuf) {
    match UnixListener::bind(&near) {
        Ok(listener) => {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, far.clone()));
            }
        }
        Err(error) => eprintln!("the stand-in can't listen at {}: {error}", near.display()),
    }
}

/// One connection, passed on over one of its own. How it ends is the node's business.
async fn connection(near: UnixStream, far: PathBuf) {
    let Ok(far) = UnixStream::connect(far).await else { return };
    let Ok((upstream, work)) = handshake(TokioExecutor::new(), TokioIo::new(far)).await else { return };
    tokio::spawn(work);
    let service = service_fn(move |request| pass_on(request, upstream.clone()));
    let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(near), service).await;
}

async fn pass_on(
    request: Request<Incoming>,
    mut upstream: SendRequest<Incoming>,
) -> Result<Response<Body>, hyper::Error> {
    let follows = request.uri().path() == FOLLOW;
    let answer = upstream.send_request(request).await?;
    Ok(answer.map(|body| if follows { silenced(body) } else { body.boxed_unsync() }))
}

/// The body without its data.
fn silenced(body: Incoming) -> Body {
    let is_no_data = |frame: &Result<hyper::body::Frame<Bytes>, hyper::Error>| {
        future::ready(!frame.as_ref().is_ok_and(hyper::body::Frame::is_data))
    };
    StreamBody::new(BodyStream::new(body).filter(is_no_data)).boxed_unsync()
}
