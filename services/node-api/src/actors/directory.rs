//! Owns what was heard of the node, and lets others look at it.

use crate::core::{
    directory::{Directory, Fact},
    metrics::{RequestKind, Requests},
};
use actix::{Actor, Addr, Context, Handler, Message, MessageResult};
use chassis::{Bus, BusError, Heard, clock};
use messages::{
    Key, Owner, PodUid, State,
    cri_bridge::RuntimePod,
    health::Health,
    pod_lifecycle::{Pod, Status},
    status_reporter::Node,
};

/// Looks and facts that wait; whoever says more waits himself.
const MAILBOX: usize = 64;

/// The one owner.
#[derive(Debug, Default)]
pub(crate) struct DirectoryActor {
    directory: Directory,
    requests: Requests,
}

impl Actor for DirectoryActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX);
    }
}

/// Something that was heard.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Note(pub(crate) Fact);

impl Handler<Note> for DirectoryActor {
    type Result = ();

    fn handle(&mut self, Note(fact): Note, _: &mut Self::Context) {
        self.directory.note(fact);
    }
}

/// A request that is to be counted.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Count(pub(crate) RequestKind);

impl Handler<Count> for DirectoryActor {
    type Result = ();

    fn handle(&mut self, Count(kind): Count, _: &mut Self::Context) {
        *self.requests.entry(kind).or_default() += 1;
    }
}

type Glance<R> = Box<dyn FnOnce(&Directory, &Requests) -> R + Send>;

/// A look at everything, and what is made of it.
pub(crate) struct Look<R>(Glance<R>);

impl<R: Send + 'static> Message for Look<R> {
    type Result = R;
}

impl<R: Send + 'static> Handler<Look<R>> for DirectoryActor {
    type Result = MessageResult<Look<R>>;

    fn handle(&mut self, Look(glance): Look<R>, _: &mut Self::Context) -> Self::Result {
        MessageResult(glance(&self.directory, &self.requests))
    }
}

impl<R> Look<R> {
    /// A look at what was heard.
    pub(crate) fn at(glance: impl FnOnce(&Directory) -> R + Send + 'static) -> Self {
        Self(Box::new(move |directory, _| glance(directory)))
    }

    /// A look at what was heard, and at what was counted.
    pub(crate) fn at_all(glance: impl FnOnce(&Directory, &Requests) -> R + Send + 'static) -> Self {
        Self(Box::new(glance))
    }
}

/// Begins to hear everything that the directory holds.
pub(crate) async fn hear_all(bus: &Bus, directory: &Addr<DirectoryActor>) -> Result<(), BusError> {
    let pod = |key: &Key| key.tokens().first().and_then(|token| token.as_str().parse::<PodUid>().ok());
    follow(bus, directory, |pod: Pod| Fact::Pod(Box::new(pod)), move |key| pod(key).map(Fact::PodGone))
        .await?;
    follow(
        bus,
        directory,
        |status: Status| Fact::Status(Box::new(status)),
        move |key| pod(key).map(Fact::StatusGone),
    )
    .await?;
    let held = |held: RuntimePod| Fact::RuntimePod(Box::new(held));
    follow(bus, directory, held, move |key| pod(key).map(Fact::RuntimePodGone)).await?;
    follow(bus, directory, |node: Node| Fact::Node(Box::new(node)), |_| None).await?;
    // Nobody may read its own stream; and the supervisor, which has no bus, says nothing.
    for owner in Owner::ALL.into_iter().filter(|owner| ![Owner::NodeApi, Owner::Bulkhead].contains(owner)) {
        let mut health = bus.hear_from::<Health>(owner).await?;
        let directory = directory.clone();
        actix::spawn(async move {
            loop {
                if let Heard::Value { state, .. } = health.next().await {
                    note(&directory, Fact::Health(Box::new(state), clock::now_boot())).await;
                }
            }
        });
    }
    Ok(())
}

async fn follow<S: State>(
    bus: &Bus,
    directory: &Addr<DirectoryActor>,
    said: impl Fn(S) -> Fact + 'static,
    gone: impl Fn(&Key) -> Option<Fact> + 'static,
) -> Result<(), BusError> {
    let mut hearing = bus.hear::<S>().await?;
    let directory = directory.clone();
    actix::spawn(async move {
        loop {
            let fact = match hearing.next().await {
                Heard::Value { state, .. } => Some(said(state)),
                Heard::Gone { key } => gone(&key),
                // Nothing is done here because something is absent.
                Heard::Complete => None,
            };
            if let Some(fact) = fact {
                note(&directory, fact).await;
            }
        }
    });
    Ok(())
}

async fn note(directory: &Addr<DirectoryActor>, fact: Fact) {
    // Fails only when the process is leaving.
    let _ = directory.send(Note(fact)).await;
}
