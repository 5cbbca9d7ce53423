//! The only way to other processes: typed verbs over NATS.
//!
//! | verb | for | promise |
//! |---|---|---|
//! | [`Bus::ask`], [`Bus::serve`] | commands | one answer, or an error that says whether anything can have happened |
//! | [`Bus::say`], [`Bus::retract`], [`Bus::complete`], [`Bus::hear`] | state | the last value of each key, whatever restarts meanwhile |
//! | [`Bus::tell`], [`Bus::listen`] | events | none: a hint to hurry |
//!
//! The trace context of the current span goes out with every message, and nothing needs to be done
//! about it. No service sees a subject, a header or a stream. Bodies are JSON.
//!
//! [`permissions`] works out what the bus server lets each process do.

mod address;
mod asking;
mod confirmations;
mod connection;
mod doubt;
mod error;
mod events;
mod fence;
mod headers;
mod hearing;
mod ledger;
pub mod permissions;
mod repertoire;
mod sayer;
mod serving;
mod streams;

pub use asking::Answered;
pub use connection::Access;
pub use error::{AskError, BusError};
pub use hearing::{Heard, Hearing};
pub use serving::{Asked, Serving};
pub use streams::{MAX_PAYLOAD, reserved_bytes};

use crate::{error::chain, telemetry};
use address::Address;
use bytes::Bytes;
use connection::Link;
use fence::Fence;
use futures::Stream;
use messages::{Command, Event, Incarnation, Key, Message, NodeName, Owner, State};
use sayer::Order;
use serde::Serialize;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, warn};

/// Sayings on their way to the one task that publishes them.
const ORDERS: usize = 256;

/// This process' place on the bus. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bus {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    node: NodeName,
    owner: Owner,
    /// Absent in a process that runs without a bus (kube-proxy alone).
    link: Option<Link>,
    orders: mpsc::Sender<Order>,
    fence: Mutex<Fence>,
    /// A message of a version that only a newer executable can read.
    newer: watch::Sender<Option<String>>,
}

impl Bus {
    /// Connects, or begins to try: a server that is not there yet is waited for. Without `access` there
    /// is no bus: asking fails at once, and nothing is heard. Must be called inside the runtime.
    ///
    /// # Errors
    /// When the address or the key is not usable at all.
    pub async fn connect(
        node: NodeName,
        owner: Owner,
        incarnation: Incarnation,
        access: Option<Access>,
    ) -> Result<Self, BusError> {
        let link = match access {
            Some(access) => Some(connection::connect(owner, access).await?),
            None => None,
        };
        let (orders, queue) = mpsc::channel(ORDERS);
        tokio::spawn(sayer::run(node.clone(), owner, incarnation, link.clone(), queue));
        let (fence, newer) = (Mutex::default(), watch::Sender::new(None));
        Ok(Self { inner: Arc::new(Inner { node, owner, link, orders, fence, newer }) })
    }

    /// The node whose bus this is.
    pub fn node(&self) -> &NodeName {
        &self.inner.node
    }

    /// Which process this is.
    pub fn owner(&self) -> Owner {
        self.inner.owner
    }

    /// Whether the server answers now.
    pub fn is_connected(&self) -> bool {
        self.inner.link.as_ref().is_some_and(Link::is_up)
    }

    /// Asks the command's owner for a deed, and waits for the answer for at most `patience`, after which
    /// the owner no longer begins it.
    ///
    /// # Errors
    /// See [`AskError`]; a refusal is an answer, not an error.
    pub async fn ask<C: Command>(&self, command: &C, patience: Duration) -> Result<C::Reply, AskError> {
        self.ask_noting(command, patience).await.map(|answered| answered.reply)
    }

    /// As [`Bus::ask`], for whoever tells how long answers are on their way.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask_noting<C: Command>(
        &self,
        command: &C,
        patience: Duration,
    ) -> Result<Answered<C::Reply>, AskError> {
        asking::ask(self, command, patience).await
    }

    /// Says the last word on a key. Never fails: what cannot be said now is said when the bus is back,
    /// unless something newer was said by then.
    pub async fn say<S: State>(&self, state: &S) {
        if let Some(body) = to_body(state) {
            self.order::<S>(|name, traceparent| Order::Say { name, key: state.key(), body, traceparent })
                .await;
        }
    }

    /// Says that there is no such thing any more. Said again for a minute to whoever was away.
    pub async fn retract<S: State>(&self, key: &Key) {
        let key = key.clone();
        self.order::<S>(|name, traceparent| Order::Retract { name, key, traceparent }).await;
    }

    /// Says that every key of a state has been said, so that readers may act on what is absent.
    pub async fn complete<S: State>(&self) {
        self.order::<S>(|name, _| Order::Complete { name }).await;
    }

    async fn order<S: State>(&self, order: impl FnOnce((&'static str, u16), Option<String>) -> Order) {
        if let Err(failure) = Address::said_by::<S>(self.node(), self.owner()) {
            error!(error = chain(&failure), "not said");
            return;
        }
        let traceparent = telemetry::traceparent(&telemetry::context_of_current());
        // Fails only when the runtime is going down.
        let _ = self.inner.orders.send(order((S::NAME, S::VERSION), traceparent)).await;
    }

    /// Hears a state: the last value of each key, then changes. Never ends; survives restarts of the
    /// bus and of the owner.
    ///
    /// # Errors
    /// When the state does not stand in the catalog.
    pub async fn hear<S: State>(&self) -> Result<Hearing<S>, BusError> {
        Ok(self.follow(Address::of::<S>(self.node())?))
    }

    /// Hears what everyone says of himself (health) from one of them.
    ///
    /// # Errors
    /// When the state does not stand in the catalog, or is not everyone's.
    pub async fn hear_from<S: State>(&self, owner: Owner) -> Result<Hearing<S>, BusError> {
        Ok(self.follow(Address::said_by::<S>(self.node(), owner)?))
    }

    fn follow<S: State>(&self, address: Address) -> Hearing<S> {
        hearing::follow(self.clone(), self.inner.link.clone(), address)
    }

    /// Serves a command, up to 64 at once. See [`Bus::serve_up_to`].
    ///
    /// # Errors
    /// When the subscription cannot be made, or the command is another process'.
    pub async fn serve<C, F, Fut>(&self, handler: F) -> Result<Serving, BusError>
    where
        C: Command,
        F: Fn(Asked<C>) -> Fut + 'static,
        Fut: Future<Output = C::Reply> + 'static,
    {
        self.serve_up_to(serving::USUAL, handler).await
    }

    /// Serves a command for as long as the result is kept. What has expired, cannot be read, comes from
    /// whoever may not ask, is superseded by a newer decision, or is more than `limit` at once is
    /// refused before the handler sees it. Must be called inside an actix system.
    ///
    /// # Errors
    /// When the subscription cannot be made, or the command is another process'.
    pub async fn serve_up_to<C, F, Fut>(&self, limit: usize, handler: F) -> Result<Serving, BusError>
    where
        C: Command,
        F: Fn(Asked<C>) -> Fut + 'static,
        Fut: Future<Output = C::Reply> + 'static,
    {
        let address = Address::of::<C>(self.node())?;
        if address.owner != self.owner() {
            return Err(BusError::NotOurs { name: C::NAME, owner: self.owner() });
        }
        serving::serve(self.clone(), address, limit, handler).await
    }

    /// Tells that something happened, to whoever listens now.
    pub async fn tell<E: Event>(&self, event: &E) {
        events::tell(self, event).await;
    }

    /// Listens for events of a type, from now on.
    ///
    /// # Errors
    /// When the subscription cannot be made.
    pub async fn listen<E: Event>(&self) -> Result<impl Stream<Item = E> + use<E>, BusError> {
        events::listen(self).await
    }

    /// Returns what the server forbade, once it has forbidden something. The catalog, the permissions
    /// and the code then disagree, and the process must end rather than go on half deaf.
    pub async fn forbidden(&self) -> String {
        match &self.inner.link {
            Some(link) => link.forbidden().await,
            None => std::future::pending().await,
        }
    }

    /// Returns what was heard that only a newer executable can read, once there was such a thing.
    pub async fn newer(&self) -> String {
        let mut newer = self.inner.newer.subscribe();
        let heard = newer.wait_for(Option::is_some).await.map(|what| what.clone());
        // Never the default: `self` holds the sender, and there is something to wait for.
        heard.ok().flatten().unwrap_or_default()
    }

    /// Returns once everything said so far is on the bus, or after `patience`.
    pub async fn flush(&self, patience: Duration) {
        let (done, is_done) = oneshot::channel();
        let said = async {
            // Both fail only when the runtime is going down.
            let _ = self.inner.orders.send(Order::Flush { done }).await;
            let _ = is_done.await;
        };
        if self.is_connected() && tokio::time::timeout(patience, said).await.is_err() {
            warn!("not everything was said in time");
        }
    }

    fn wants_newer(&self, what: String) {
        self.inner.newer.send_if_modified(|newer| newer.replace(what).is_none());
    }
}

/// A message as JSON; nothing, and an error in the log, for one that has no such form.
fn to_body<M: Serialize + Message>(message: &M) -> Option<Bytes> {
    serde_json::to_vec(message)
        .map(Bytes::from)
        .inspect_err(|failure| error!(name = M::NAME, error = chain(failure), "not said"))
        .ok()
}

/// Where a body is not what was expected. serde's own words could repeat a value.
fn place(failure: &serde_json::Error) -> String {
    format!("not the expected JSON at line {}, column {}", failure.line(), failure.column())
}
