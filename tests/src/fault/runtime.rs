//! A stand-in for the runtime that passes every CRI call on to the real one: single ones later than it was asked, and
//! the answers to others without what is in them.

use std::fs;
use std::future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http2 as client;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{UnixListener, UnixStream};
use tower::BoxError;

use super::Background;
use crate::node::Node;

/// What is done with calls of one name (`RunPodSandbox`).
#[derive(Debug, Clone)]
enum Order {
    HoldUp(String, Duration),
    Silence(String),
}

type Orders = Arc<Mutex<Vec<Order>>>;

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// The stand-in. Dropped, it is gone: as a runtime that was stopped, or the socket is the runtime's own again.
pub struct Runtime {
    orders: Orders,
    /// The socket that it took from the runtime, and where that one's is meanwhile.
    taken: Option<(PathBuf, PathBuf)>,
    _server: Background,
}

impl Runtime {
    /// A stand-in before the node's runtime, which the next kubelet of the node reaches by it.
    pub fn before(node: &mut Node) -> Result<Self> {
        let far = node.containerd().socket();
        let near = far.with_file_name("stand-in.sock");
        node.reach_runtime_by(&near)?;
        Ok(Self::start(near, far, None))
    }

    /// A stand-in in the place of the runtime's socket. Connections that are open already stay as they are.
    pub fn in_place_of(socket: &Path) -> Result<Self> {
        let moved = socket.with_extension("moved");
        fs::rename(socket, &moved).with_context(|| format!("moving {}", socket.display()))?;
        Ok(Self::start(socket.to_owned(), moved.clone(), Some((socket.to_owned(), moved))))
    }

    fn start(near: PathBuf, far: PathBuf, taken: Option<(PathBuf, PathBuf)>) -> Self {
        let orders = Orders::default();
        let serving = serve(near, far, orders.clone());
        let server = Background::start(
            move || serving,
            |work| {
                thread::spawn(move || {
                    work();
                    Ok(())
                })
            },
        );
        Self { orders, taken, _server: server }
    }

    /// Passes calls of this name on later by `time`.
    pub fn hold_up(&self, call: &str, time: Duration) {
        locked(&self.orders).push(Order::HoldUp(call.to_owned(), time));
    }

    /// Keeps everything back that later calls of this name bring, on a connection on which all else works.
    pub fn silence(&self, call: &str) {
        locked(&self.orders).push(Order::Silence(call.to_owned()));
    }

    /// Behaves as the real one does.
    pub fn pass(&self) {
        locked(&self.orders).clear();
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some((socket, moved)) = &self.taken {
            // Where the ground has gone, there is nothing to put back.
            let _ = fs::rename(moved, socket);
        }
    }
}

fn locked(orders: &Orders) -> MutexGuard<'_, Vec<Order>> {
    orders.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until it is dropped.
async fn serve(near: PathBuf, far: PathBuf, orders: Orders) {
    match UnixListener::bind(&near) {
        Ok(listener) => {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, far.clone(), orders.clone()));
            }
        }
        Err(error) => eprintln!("the stand-in for the runtime can't listen at {}: {error}", near.display()),
    }
}

/// One connection of the node, with one of its own to the runtime. How it ends is the node's business.
async fn connection(stream: UnixStream, far: PathBuf, orders: Orders) {
    let Ok(runtime) = connect(&far).await else { return };
    let service = service_fn(move |request| pass_on(request, runtime.clone(), orders.clone()));
    let _ = server::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn connect(far: &Path) -> Result<client::SendRequest<Incoming>, BoxError> {
    let stream = TokioIo::new(UnixStream::connect(far).await?);
    let (sender, carrying) = client::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(carrying);
    Ok(sender)
}

/// A call, named by the last part of a path such as `/runtime.v1.RuntimeService/RunPodSandbox`.
async fn pass_on(
    request: Request<Incoming>,
    mut runtime: client::SendRequest<Incoming>,
    orders: Orders,
) -> io::Result<Response<Body>> {
    let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let (mut late, mut silent) = (Duration::ZERO, false);
    for order in locked(&orders).iter() {
        match order {
            Order::HoldUp(call, time) if *call == name => late += *time,
            Order::Silence(call) if *call == name => silent = true,
            Order::HoldUp(..) | Order::Silence(_) => {}
        }
    }
    tokio::time::sleep(late).await;
    // Where there is no answer the call ends, as it does where there is no runtime.
    let answer = runtime.send_request(request).await.map_err(io::Error::other)?;
    Ok(answer.map(|body| if silent { silenced(body) } else { body.boxed_unsync() }))
}

/// The body without its data.
fn silenced(body: Incoming) -> Body {
    let is_no_data =
        |frame: &Result<Frame<Bytes>, hyper::Error>| future::ready(!frame.as_ref().is_ok_and(Frame::is_data));
    StreamBody::new(BodyStream::new(body).filter(is_no_data)).boxed_unsync()
}
