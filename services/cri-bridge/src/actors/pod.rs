//! One pod: owns what is known of it, turns commands into deeds, and says what became of them.
//!
//! A command is judged by the ledger. What begins becomes a flight: everybody who asks for the same
//! meanwhile waits for its end. What cannot be judged yet waits a moment for the facts. Whoever
//! waits longer than that is told that it was accepted.

mod command;
mod facts;
mod flight;
mod question;
mod young;

pub use command::Command;
pub use facts::{Happened, Listed, Mounted, Wanted};
pub use question::{Census, Found, Instances, Logs, Open, Probe};

use crate::{
    actors::gate::Place,
    adapters::api_server::Settling,
    core::{collection, ledger::Ledger},
    deeds::{Halt, Subject, collect},
    loops::saying::{Saying, What},
    ports::World,
};
use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use chassis::clock;
use facts::Extent;
use flight::{Flights, Waiting};
use futures::FutureExt;
use messages::{BootTime, Key, Outcome, PodUid};
use std::{collections::BTreeSet, rc::Rc};
use tokio::sync::watch;
use tracing::Span;

/// Messages that may wait for an actor before their senders do.
const MAILBOX: usize = 64;

/// The actor of one pod.
pub struct PodActor {
    world: Rc<World>,
    ledger: Ledger,
    flights: Flights,
    /// Commands that wait for facts.
    waiting: Vec<Waiting>,
    halt: watch::Sender<Halt>,
    /// Instances whose preStop hook was begun.
    hooked: BTreeSet<String>,
    /// When the pod was first heard of.
    seen_at: BootTime,
    /// Its place before the runtime.
    place: u64,
    /// A read of the whole pod is under way; true when another is wanted after it.
    reading: Option<bool>,
    /// Messages taken, for the relay to know whether any is on its way.
    taken: u64,
    /// Something was said of the pod, and not taken back.
    is_told: bool,
}

impl PodActor {
    /// Of a pod of which nothing is known yet.
    pub fn new(world: Rc<World>, uid: PodUid) -> Self {
        Self {
            world,
            ledger: Ledger::new(uid),
            flights: Flights::default(),
            waiting: Vec::new(),
            halt: watch::Sender::new(Halt::default()),
            hooked: BTreeSet::new(),
            seen_at: clock::now_boot(),
            place: u64::MAX,
            reading: None,
            taken: 0,
            is_told: false,
        }
    }

    fn subject(&self, context: &Context<Self>) -> Subject {
        let (namespace, name) = self.ledger.names();
        Subject {
            world: self.world.clone(),
            uid: self.ledger.uid().clone(),
            namespace,
            name,
            pod: self.ledger.spec().cloned(),
            volumes: self.ledger.ready_volumes().cloned(),
            sandboxes: self.ledger.sandboxes().to_vec(),
            containers: self.ledger.containers().to_vec(),
            hooked: self.hooked.clone(),
            node: self.world.node(),
            settling: Settling::of_pod_seen_at(self.seen_at),
            place: self.place,
            halt: self.halt.subscribe(),
            to: context.address().recipient(),
        }
    }

    /// Says the pod, and then answers, by default that it is done.
    fn say(&mut self, answered: Vec<Waiting>, outcome: Option<Outcome>, span: Span) {
        let is_empty = self.ledger.is_empty();
        let what = match (is_empty, self.is_told) {
            (false, _) => Some(What::Pod(Box::new(self.ledger.tell(clock::now_unix())))),
            (true, true) => Some(What::Gone(Key::from(self.ledger.uid()))),
            (true, false) => None,
        };
        self.is_told = !is_empty;
        let outcome = outcome.unwrap_or(Outcome::Done { revision: self.ledger.revision() });
        let then = move || answered.into_iter().for_each(|it| it.answer(outcome.clone()));
        self.world.say(Saying { what, span, then: Box::new(then) });
    }

    /// Removes what is dead and superfluous, while nothing else is done to the pod.
    fn collect(&mut self, context: &mut Context<Self>) {
        let garbage = collection::of(self.ledger.sandboxes(), self.ledger.containers());
        let is_free = self.flights.is_empty() && self.ledger.spec().is_some() && !self.ledger.is_stopping();
        if is_free && !garbage.is_empty() && self.reading.is_none() {
            // Nothing else begins to read everything or to remove before this has ended.
            self.reading = Some(false);
            let collecting = collect::collect(self.subject(context), garbage);
            self.read(context, Extent::All, None, collecting.map(Ok));
        }
    }
}

impl Actor for PodActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX);
        let place = self.world.starts.send(Place).into_actor(self);
        context.wait(place.map(|place, actor, _| actor.place = place.unwrap_or(u64::MAX)));
        let (world, uid) = (self.world.clone(), self.ledger.uid().clone());
        let exists = async move { world.cgroups.exists(uid).await };
        context.wait(exists.into_actor(self).map(|exists, actor, _| {
            actor.ledger.cgroup(exists);
        }));
    }
}
