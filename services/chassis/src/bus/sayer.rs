//! The one task that publishes state. It owns the [`Repertoire`], watches that the server stores what
//! is said, and says it again when it was lost.

use super::{
    address::Address,
    connection::Link,
    headers,
    permissions::said,
    repertoire::{Forget, Repertoire, Saying},
    streams,
};
use crate::{clock, error};
use async_nats::{
    Message, StatusCode, Subscriber,
    jetstream::{self, Context, response::Response},
};
use bytes::Bytes;
use futures::StreamExt;
use messages::{BootTime, Incarnation, Key, Kind, NodeName, Owner, catalog::ROWS};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};
use tracing::{debug, warn};

/// How long the server may take to confirm.
const CONFIRM: Duration = Duration::from_secs(5);
/// How often confirmations and tombstones are looked through.
const LOOK: Duration = Duration::from_secs(5);

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

/// The sayings of one connection that the server has not confirmed yet, by revision.
struct Confirmations {
    connection: u64,
    inbox: String,
    subscriber: Subscriber,
    open: HashMap<u64, (Saying, BootTime)>,
}

/// What can happen next.
enum Next {
    Order(Option<Order>),
    Confirmation(Option<Message>),
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
                message = confirmation(&mut self.confirmations) => Next::Confirmation(message),
                order = orders.recv() => Next::Order(order),
                () = until(due) => Next::Due,
                _ = look.tick() => Next::Look,
            };
            match next {
                Next::Order(None) => return,
                Next::Order(Some(order)) => self.on_order(order).await,
                Next::Confirmation(message) => self.on_confirmation(message),
                Next::Connected(times) => self.on_connected(times).await,
                Next::Due => self.on_due().await,
                Next::Look => self.on_look(),
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
            Order::Complete { name } => self.repertoire.complete(name),
            Order::Flush { done } => return self.flushing.push(done),
        };
        self.publish(saying).await;
    }

    /// The bus is there, perhaps for the first time, perhaps empty.
    async fn on_connected(&mut self, connection: u64) {
        let inbox = self.link.client.new_inbox();
        match self.link.client.subscribe(format!("{inbox}.*")).await {
            Ok(subscriber) => {
                let open = HashMap::new();
                self.confirmations = Some(Confirmations { connection, inbox, subscriber, open });
            }
            Err(failure) => {
                warn!(error = error::chain(&failure), "cannot hear what the bus confirms");
                return;
            }
        }
        streams::make_all(&self.context, &self.node, self.owner).await;
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
        if let Some(confirmations) = &mut self.confirmations {
            let late = |sent: &BootTime| now.since(*sent) > CONFIRM;
            for (_, (saying, _)) in confirmations.open.extract_if(|_, (_, sent)| late(sent)) {
                debug!(name = saying.name, "not confirmed in time");
                self.repertoire.failed(saying.name, now);
            }
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
        let is_tombstone = saying.key.is_some() && saying.body.is_none();
        let headers = headers::state(
            saying.name,
            saying.version,
            saying.stamp,
            is_tombstone,
            saying.traceparent.as_deref(),
        );
        let reply = format!("{}.{}", confirmations.inbox, saying.stamp.revision);
        let body = saying.body.clone().unwrap_or_default();
        let published = self.link.client.publish_with_reply_and_headers(subject, reply, headers, body).await;
        let now = clock::now_boot();
        match published {
            Ok(()) => {
                confirmations.open.insert(saying.stamp.revision, (saying, now));
            }
            Err(failure) => {
                warn!(name = saying.name, error = error::chain(&failure), "could not be said");
                self.repertoire.failed(saying.name, now);
            }
        }
    }

    fn on_confirmation(&mut self, message: Option<Message>) {
        let (Some(confirmations), Some(message)) = (&mut self.confirmations, message) else { return };
        let revision = message.subject.rsplit('.').next().and_then(|token| token.parse().ok());
        let Some((saying, _)) = revision.and_then(|revision: u64| confirmations.open.remove(&revision))
        else {
            return;
        };
        match stored(&message) {
            Ok(sequence) => {
                if let Some(forget) = self.repertoire.stored(&saying, sequence) {
                    self.forget(forget);
                }
            }
            Err(why) => {
                why.log(saying.name);
                self.repertoire.failed(saying.name, clock::now_boot());
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
        let all_stored = self.repertoire.next_due().is_none()
            && self.confirmations.as_ref().is_none_or(|confirmations| confirmations.open.is_empty());
        if all_stored {
            for done in self.flushing.drain(..) {
                // Whoever asked may have run out of patience.
                let _ = done.send(());
            }
        }
    }
}

async fn confirmation(confirmations: &mut Option<Confirmations>) -> Option<Message> {
    match confirmations {
        Some(confirmations) => confirmations.subscriber.next().await,
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

/// Why the server did not store something.
enum NotStored {
    /// There is no such stream (yet).
    NoStream,
    /// It said so.
    Refused(String),
}

impl NotStored {
    fn log(&self, name: &str) {
        match self {
            Self::NoStream => debug!(name, "there is no stream yet"),
            Self::Refused(why) => warn!(name, why, "the bus did not take what was said"),
        }
    }
}

/// The sequence under which the server stored a message.
fn stored(confirmation: &Message) -> Result<u64, NotStored> {
    #[derive(Deserialize)]
    struct Stored {
        seq: u64,
    }
    if confirmation.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(NotStored::NoStream);
    }
    match serde_json::from_slice(&confirmation.payload) {
        Ok(Response::Ok(Stored { seq })) => Ok(seq),
        Ok(Response::Err { error }) => Err(NotStored::Refused(error.to_string())),
        Err(failure) => Err(NotStored::Refused(super::place(&failure))),
    }
}
