//! A stand-in for the runtime that passes every CRI call on to the real one, single ones later than it was asked.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use http::Request;
use hyper::body::Incoming;
use hyper::client::conn::http2 as client;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{UnixListener, UnixStream};
use tower::BoxError;

use super::Background;
use crate::node::Node;

/// Calls by their names (`RunPodSandbox`), and by how much each is held up.
type Orders = Arc<Mutex<Vec<(String, Duration)>>>;

/// The stand-in. Dropped, it is gone, as a runtime that was stopped.
pub struct Runtime {
    orders: Orders,
    _server: Background,
}

impl Runtime {
    /// A stand-in before the node's runtime, which the next kubelet of the node reaches by it.
    pub fn before(node: &mut Node) -> Result<Self> {
        let far = node.containerd().socket();
        let near = far.with_file_name("stand-in.sock");
        node.reach_runtime_by(&near)?;
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
        Ok(Self { orders, _server: server })
    }

    /// Passes calls of this name on later by `time`.
    pub fn hold_up(&self, call: &str, time: Duration) {
        locked(&self.orders).push((call.to_owned(), time));
    }

    /// Behaves as the real one does.
    pub fn pass(&self) {
        locked(&self.orders).clear();
    }
}

fn locked(orders: &Orders) -> MutexGuard<'_, Vec<(String, Duration)>> {
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
    let service = service_fn(move |request: Request<Incoming>| {
        let (mut runtime, held_up) = (runtime.clone(), held_up(&orders, request.uri().path()));
        async move {
            tokio::time::sleep(held_up).await;
            // Where there is no answer the call ends, as it does where there is no runtime.
            runtime.send_request(request).await.map_err(io::Error::other)
        }
    });
    let _ = server::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn connect(far: &Path) -> Result<client::SendRequest<Incoming>, BoxError> {
    let stream = TokioIo::new(UnixStream::connect(far).await?);
    let (sender, carrying) = client::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(carrying);
    Ok(sender)
}

/// By the last part of a path such as `/runtime.v1.RuntimeService/RunPodSandbox`.
fn held_up(orders: &Orders, path: &str) -> Duration {
    let name = path.rsplit('/').next().unwrap_or_default();
    locked(orders).iter().filter(|(call, _)| call == name).map(|(_, time)| *time).sum()
}
