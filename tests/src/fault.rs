//! Faults between a node and what it stands on, made by standing in between.
//!
//! ```text
//!   node ──► Wire ──► containerd                      bytes late, held back or cut off
//!   node ──► Runtime ──► containerd                   single calls late, or answered without what is in them
//!   node ──► Wire ──► ApiServer ──► kube-apiserver    the same, and answers that the real one did not give
//!   node's processes ──► Bus ──► their nats-server    bytes late, held back or cut off
//! ```
//!
//! A [`wire::Wire`] carries bytes and knows nothing of what they mean. An [`api::ApiServer`] ends the node's TLS with
//! the cluster's own authority and passes requests on with the node's own rights, so that single requests can be
//! refused or held up and watches broken in the middle of an event. Processes (the bus, the runtime, the node's own) are killed
//! and stalled by [`crate::processes`] instead.

pub mod api;
pub mod bus;
mod relay;
pub mod runtime;
pub mod wire;

use std::thread::JoinHandle;

use anyhow::Result;
use tokio::sync::oneshot;

use crate::api::runtime;

/// Work in a thread of its own, until this is dropped.
struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Background {
    /// Starts `work` in a thread that `start` makes, which decides on the network namespace.
    fn start<F: Future<Output = ()>>(
        work: impl FnOnce() -> F + Send + 'static,
        start: impl FnOnce(Box<dyn FnOnce() + Send>) -> JoinHandle<Result<()>>,
    ) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || match runtime() {
            // Dropping the runtime drops whatever it carries.
            Ok(runtime) => runtime.block_on(async {
                tokio::select! {
                    () = work() => {}
                    _ = stopped => {}
                }
            }),
            Err(error) => eprintln!("a fault's thread did not start: {error:#}"),
        };
        Self { stop: Some(stop), thread: Some(start(Box::new(run))) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A panic in it has told itself on standard error.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
