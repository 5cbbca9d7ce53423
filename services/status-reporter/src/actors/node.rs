//! The node object: hears what it is composed from, says it on the bus, registers it and writes its
//! status.

use super::{
    ApiIsBack, NodeUid,
    events::{Events, Record},
    now,
};
use crate::{
    core::node::{Ask, Effect, Fact, Reporter},
    ports::{Addresses, Api, NodeSight},
};
use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, Recipient, SpawnHandle,
    StreamHandler, WrapFuture,
};
use chassis::{Service, error};
use messages::status_reporter;
use std::{rc::Rc, time::Duration};
use tracing::{info, warn};

/// The journal entry of the node as it was last accepted.
pub(crate) const REMEMBERED: &str = "node";
/// How often it is looked whether the bus is there.
const LOOK: Duration = Duration::from_secs(1);

/// The node.
pub(crate) struct Node {
    service: Service,
    reporter: Reporter,
    api: Option<Rc<dyn Api>>,
    addresses: Rc<dyn Addresses>,
    events: Addr<Events>,
    /// Told when the UID under which the node is registered changes.
    of_uid: Vec<Recipient<NodeUid>>,
    /// Told when the API server is back.
    of_return: Vec<Recipient<ApiIsBack>>,
    uid: Option<String>,
    said: bool,
    watching: bool,
    wake: Option<SpawnHandle>,
}

/// What a node is made of.
pub(crate) struct Parts {
    pub(crate) service: Service,
    pub(crate) reporter: Reporter,
    pub(crate) api: Option<Rc<dyn Api>>,
    pub(crate) addresses: Rc<dyn Addresses>,
    pub(crate) events: Addr<Events>,
    pub(crate) of_uid: Vec<Recipient<NodeUid>>,
    pub(crate) of_return: Vec<Recipient<ApiIsBack>>,
}

/// Something that the reporter must know.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Told(pub(crate) Fact);

impl Node {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { service, reporter, api, addresses, events, of_uid, of_return } = parts;
        Self {
            service,
            reporter,
            api,
            addresses,
            events,
            of_uid,
            of_return,
            uid: None,
            said: false,
            watching: false,
            wake: None,
        }
    }

    fn on(&mut self, fact: Fact, ctx: &mut Context<Self>) {
        for effect in self.reporter.step(now(), fact) {
            self.perform(effect, ctx);
        }
        if self.uid.as_deref() != self.reporter.uid() {
            self.uid = self.reporter.uid().map(str::to_owned);
            self.of_uid.iter().for_each(|other| other.do_send(NodeUid(self.uid.clone())));
        }
        self.tell_health();
    }

    fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Ask(ask) => self.ask(ask, ctx),
            Effect::WakeAfter(pause) => {
                let wake = ctx.run_later(pause, |node, ctx| node.on(Fact::Woke, ctx));
                self.wake.replace(wake).map(|earlier| ctx.cancel_future(earlier));
            }
            Effect::Say(node) => self.say(*node, ctx),
            Effect::Record(event) => self.events.do_send(Record(event)),
            Effect::Registered => self.registered(ctx),
            Effect::NotRegistered(failure) => {
                warn!(node = %self.service.config.node_name, error = %failure, "Unable to register node with API server");
            }
        }
    }

    fn ask(&mut self, ask: Ask, ctx: &mut Context<Self>) {
        let Some(api) = &self.api else { return };
        if matches!(ask, Ask::Create(_)) {
            info!(node = %self.service.config.node_name, "Attempting to register node");
        }
        let (answer, node) = (api.node(ask), ctx.address());
        actix::spawn(async move { node.do_send(Told(Fact::Answered(answer.await))) });
    }

    /// Says the node before anything else is done, so that what is said last is the newest.
    fn say(&mut self, node: status_reporter::Node, ctx: &mut Context<Self>) {
        if node.registered
            && let Err(failure) = self.service.journal.jot(REMEMBERED, &node.object)
        {
            warn!(error = error::chain(&failure), "the node cannot be remembered");
        }
        let (bus, is_first) = (self.service.bus.clone(), !std::mem::replace(&mut self.said, true));
        let saying = async move {
            bus.say(&node).await;
            if is_first {
                bus.complete::<status_reporter::Node>().await;
            }
        };
        ctx.wait(saying.into_actor(self));
    }

    fn registered(&mut self, ctx: &mut Context<Self>) {
        info!(node = %self.service.config.node_name, "Successfully registered node");
        if let Some(api) = &self.api
            && !std::mem::replace(&mut self.watching, true)
        {
            ctx.add_stream(api.watch_node());
        }
    }

    fn tell_health(&self) {
        if !self.said {
            self.service.health.waiting_for("the machine as cri-bridge sees it");
        } else if self.api.is_some() && self.reporter.uid().is_none() {
            self.service.health.waiting_for("the API server to have this node");
        } else {
            self.service.health.ready();
        }
    }

    fn find_addresses(&mut self, ctx: &mut Context<Self>) {
        let finding = self.addresses.find().into_actor(self);
        ctx.spawn(finding.map(|found, node, ctx| node.on(Fact::Addresses(found), ctx)));
    }

    /// Looks at the status, finds the addresses anew, and comes again.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.on(Fact::Tick, ctx);
        self.find_addresses(ctx);
        let period = self.service.config.kubelet.node_status_update_frequency.get();
        let spread = 1.0 + 0.04 * rand::random::<f64>();
        ctx.run_later(period.mul_f64(spread), Self::tick);
    }
}

impl Actor for Node {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.tell_health();
        self.find_addresses(ctx);
        let period = self.service.config.kubelet.node_status_update_frequency.get();
        ctx.run_later(period, Self::tick);
        ctx.run_interval(LOOK, |node, ctx| {
            let is_there = node.service.bus.is_connected();
            node.on(Fact::Bus(is_there), ctx);
        });
    }
}

impl Handler<Told> for Node {
    type Result = ();

    fn handle(&mut self, Told(fact): Told, ctx: &mut Context<Self>) {
        self.on(fact, ctx);
    }
}

impl StreamHandler<NodeSight> for Node {
    fn handle(&mut self, sight: NodeSight, ctx: &mut Context<Self>) {
        self.on(
            match sight {
                NodeSight::Seen(node) => Fact::Seen(node),
                NodeSight::Gone => Fact::SeenGone,
            },
            ctx,
        );
    }
}

impl Handler<ApiIsBack> for Node {
    type Result = ();

    fn handle(&mut self, back: ApiIsBack, ctx: &mut Context<Self>) {
        self.on(Fact::Woke, ctx);
        self.of_return.iter().for_each(|other| other.do_send(back));
    }
}
