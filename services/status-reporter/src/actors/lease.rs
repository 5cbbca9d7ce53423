//! The lease, renewed for as long as the node is registered.

use super::{NodeUid, now};
use crate::{
    core::{
        failure::Failure,
        lease::{Effect, Fact, Renewal},
    },
    ports::Api,
};
use actix::{Actor, AsyncContext, Context, Handler, Message, SpawnHandle};
use k8s_openapi::api::coordination::v1::Lease as Object;
use std::{rc::Rc, time::Duration};
use tracing::{debug, warn};

/// Failures in a row after which it is worth telling: the lease lasts for four renewals.
const WORTH_TELLING: u32 = 3;

/// The renewal of the lease.
pub(crate) struct Lease {
    renewal: Renewal,
    api: Rc<dyn Api>,
    due: Option<SpawnHandle>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Answered(Result<Box<Object>, Failure>);

impl Lease {
    pub(crate) fn new(renewal: Renewal, api: Rc<dyn Api>) -> Self {
        Self { renewal, api, due: None }
    }

    fn on(&mut self, fact: Fact, ctx: &mut Context<Self>) {
        for effect in self.renewal.step(now(), fact) {
            match effect {
                Effect::Ask(ask) => {
                    let (answer, lease) = (self.api.lease(ask), ctx.address());
                    actix::spawn(async move { lease.do_send(Answered(answer.await)) });
                }
                Effect::WakeAfter(pause) => self.wake_after(pause, ctx),
                Effect::Late(WORTH_TELLING, failure) => {
                    warn!(error = %failure, "the lease cannot be renewed")
                }
                Effect::Late(failures, failure) => debug!(failures, error = %failure, "the lease is late"),
            }
        }
    }

    fn wake_after(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        let due = ctx.run_later(pause, |lease, ctx| lease.on(Fact::Due, ctx));
        if let Some(earlier) = self.due.replace(due) {
            ctx.cancel_future(earlier);
        }
    }
}

impl Actor for Lease {
    type Context = Context<Self>;
}

impl Handler<Answered> for Lease {
    type Result = ();

    fn handle(&mut self, Answered(answer): Answered, ctx: &mut Context<Self>) {
        self.on(Fact::Answered(answer), ctx);
    }
}

impl Handler<NodeUid> for Lease {
    type Result = ();

    fn handle(&mut self, NodeUid(uid): NodeUid, ctx: &mut Context<Self>) {
        self.on(Fact::Node(uid), ctx);
    }
}

impl Handler<super::ApiIsBack> for Lease {
    type Result = ();

    fn handle(&mut self, _: super::ApiIsBack, ctx: &mut Context<Self>) {
        self.on(Fact::Due, ctx);
    }
}
