//! The one task that publishes state. It owns the [`Repertoire`], watches that the server stores what
//! is said, and says it again when it was lost.

use super::{
    address::Address,
    confirmations::{Confirmations, NotStored},
    connection::Link,
    headers::{self, Stated},
    permissions::said,
    repertoire::{Forget, Repertoire, Saying},
    streams,
};
use crate::{clock, error};
use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use messages::{BootTime, Incarnation, Key, Kind, NodeName, Owner, catalog::ROWS};
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use tracing::{debug, warn};

/// How often late confirmations and old tombstones are looked for.
const LOOK: Duration = Duration::from_secs(5);
/// How long saying waits for streams to be made: what is said too early has to be said once more.
const MAKING: Duration = Duration::from_millis(200);

/// What the task is told to do. `name` is a state's name and version.
#[derive(Debug)]
pub(super) enum Order {
    Say {
        name: (&'static str, u16),
        key: Key,
        body: Bytes,
        traceparent: Option<String>,
    },
    Retract {
        name: (&'static str, u16),
        key: Key,
        traceparent: Option<String>,
    },
    Complete {
        name: (&'static str, u16),
    },
    /// Tell when everything said so far was stored.
    Flush {
        done: oneshot::Sender<()>,
    },
}

/// Serves orders until nobody can give any more.
pub(super) async fn run(
    node: NodeName,
    owner: Owner,
    incarnation: Incarnation,
    link: Option<Link>,
    mut orders: mpsc::Receiver<Order>,
) {
    let Some(link) = link else {
        while orders.recv().await.is_some() {}
        return;
    };
    Sayer::new(node, owner, incarnation, link).run(orders).await;
}

struct Sayer {
    node: NodeName,
    owner: Owner,
    link: Link,
    context: Context,
    addresses: BTreeMap<&'static str, Address>,
    repertoire: Repertoire,
    /// Confirmations on this connection; none before the first.
    confirmations: Option<Confirmations>,
    flushing: Vec<oneshot::Sender<()>>,
}

/// What can happen next.
enum Next {
    Order(Option<Order>),
    Confirmation(Saying, Result<u64, NotStored>),
    Connected(u64),
    Due,
    Look,
}

impl Sayer {
    fn new(node: NodeName, owner: Owner, incarnation: Incarnation, link: Link) -> Self {
        let ours = said(ROWS).filter(|(sayer, row)| *sayer == owner && row.kind == Kind::State);
        let addresses = ours.map(|(_, row)| (row.name, Address::of_row(&node, owner, row))).collect();
        let context = jetstream::new(link.client.clone());
        let repertoire = Repertoire::new(incarnation);
        let (confirmations, flushing) = (None, Vec::new());
        Self { node, owner, link, context, addresses, repertoire, confirmations, flushing }
    }

    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            let made = self.confirmations.as_ref().map_or(0, |confirmations| confirmations.connection);
            let due = self.repertoire.next_due();
            // All are cancel-safe: each either gives its thing or leaves it where it was.
            let next = tokio::select! {
                biased;
                times = self.link.made_after(made) => Next::Connected(times),
                (saying, stored) = confirmation(&mut self.confirmations) => Next::Confirmation(saying, stored),
                order = orders.recv() => Next::Order(order),
                () = until(due) => Next::Due,
                _ = look.tick() => Next::Look,
            };
            match next {
                Next::Order(None) => return,
                Next::Order(Some(order)) => self.on_order(order).await,
                Next::Confirmation(saying, stored) => self.on_confirmation(&saying, stored),
                Next::Connected(times) => self.on_connected(times).await,
                Next::Due => self.on_due().await,
                Next::Look => self.on_look(),
            }
            for marker in self.repertoire.markers() {
                self.publish(marker).await;
            }
            self.tell_flushed();
        }
    }

    async fn on_order(&mut self, order: Order) {
        let now = clock::now_boot();
        let saying = match order {
            Order::Say { name, key, body, traceparent } => {
                self.repertoire.say(name, key, (Some(body), traceparent), now)
            }
            Order::Retract { name, key, traceparent } => {
                self.repertoire.say(name, key, (None, traceparent), now)
            }
            Order::Complete { name } => return self.repertoire.complete(name),
            Order::Flush { done } => return self.flushing.push(done),
        };
        self.publish(saying).await;
    }

    /// The bus is there, perhaps for the first time, perhaps empty.
    async fn on_connected(&mut self, connection: u64) {
        match Confirmations::begin(&self.link, connection).await {
            Ok(confirmations) => self.confirmations = Some(confirmations),
            // The client is gone, and this process with it.
            Err(failure) => return warn!(error = error::chain(&failure), "nothing can be said"),
        }
        let (context, node, owner) = (self.context.clone(), self.node.clone(), self.owner);
        let making = tokio::spawn(async move { streams::make_all(&context, &node, owner).await });
        if timeout(MAKING, making).await.is_err() {
            debug!("streams are still being made");
        }
        for saying in self.repertoire.all_again() {
            self.publish(saying).await;
        }
    }

    async fn on_due(&mut self) {
        for saying in self.repertoire.due(clock::now_boot()) {
            self.publish(saying).await;
        }
    }

    fn on_look(&mut self) {
        let now = clock::now_boot();
        for saying in self.confirmations.as_mut().map(|open| open.late(now)).unwrap_or_default() {
            debug!(name = saying.name, "not confirmed in time");
            self.repertoire.failed(saying.name, now);
        }
        for forget in self.repertoire.forget_tombstones(now) {
            self.forget(forget);
        }
    }

    /// Publishes one saying; while the bus is away that waits for [`Self::on_connected`].
    async fn publish(&mut self, saying: Saying) {
        let Some(confirmations) = self.confirmations.as_mut().filter(|_| self.link.is_up()) else { return };
        let Some(address) = self.addresses.get(saying.name) else { return };
        let subject = saying.key.as_ref().map_or_else(|| address.complete(), |key| address.subject(key));
        let headers = headers::state(&Stated {
            name: saying.name,
            version: saying.version,
            stamp: saying.stamp,
            said: saying.said,
            is_tombstone: saying.key.is_some() && saying.body.is_none(),
            traceparent: saying.traceparent.as_deref(),
        });
        let reply = confirmations.inbox(&saying);
        let body = saying.body.clone().unwrap_or_default();
        let published = self.link.client.publish_with_reply_and_headers(subject, reply, headers, body).await;
        let now = clock::now_boot();
        match published {
            Ok(()) => confirmations.expect(saying, now),
            Err(failure) => {
                warn!(name = saying.name, error = error::chain(&failure), "could not be said");
                self.repertoire.refused(&saying, now);
            }
        }
    }

    fn on_confirmation(&mut self, saying: &Saying, stored: Result<u64, NotStored>) {
        let now = clock::now_boot();
        match stored {
            Ok(sequence) => {
                if let Some(forget) = self.repertoire.stored(saying, sequence) {
                    self.forget(forget);
                }
            }
            Err(NotStored::NoStream) => {
                debug!(name = saying.name, "there is no stream yet");
                self.repertoire.failed(saying.name, now);
            }
            Err(NotStored::Refused(why)) => {
                warn!(name = saying.name, why, "the bus did not take what was said");
                self.repertoire.refused(saying, now);
            }
        }
    }

    /// Has the stream forget, in its own time: nothing depends on it but memory.
    fn forget(&self, forget: Forget) {
        let Some(address) = self.addresses.get(forget.name) else { return };
        let filter = forget.key.as_ref().map(|key| address.subject(key));
        let (context, stream) = (self.context.clone(), address.stream());
        tokio::spawn(async move {
            if let Err(failure) = purge(&context, &stream, filter, forget.before).await {
                debug!(stream, error = error::chain(&*failure), "the stream forgot nothing");
            }
        });
    }

    fn tell_flushed(&mut self) {
        let now = self.link.times();
        let is_in = |open: &Confirmations| open.connection == now && open.are_all_in();
        if self.repertoire.next_due().is_none() && self.confirmations.as_ref().is_some_and(is_in) {
            for done in self.flushing.drain(..) {
                // Whoever asked may have run out of patience.
                let _ = done.send(());
            }
        }
    }
}

async fn confirmation(confirmations: &mut Option<Confirmations>) -> (Saying, Result<u64, NotStored>) {
    match confirmations {
        Some(confirmations) => confirmations.next().await,
        None => std::future::pending().await,
    }
}

async fn until(due: Option<BootTime>) {
    match due {
        Some(due) => sleep(due.since(clock::now_boot())).await,
        None => std::future::pending().await,
    }
}

async fn purge(
    context: &Context,
    stream: &str,
    filter: Option<String>,
    before: u64,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let purge = context.get_stream_no_info(stream).await?.purge().sequence(before);
    match filter {
        Some(filter) => purge.filter(filter).await?,
        None => purge.await?,
    };
    Ok(())
}
