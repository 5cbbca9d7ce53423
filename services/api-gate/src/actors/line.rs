//! The one line to the API server: what of the peers' requests goes when, and whether anybody is there.
//!
//! Owns credentials, budget and link. Peers send [`Forward`]; whatever they get back is an answer of the
//! API server or a [`Refusal`] of ours.

mod answers;

use crate::{
    core::{
        budget::{self, Budget, Ticket},
        class::Class,
        link::{self, Link},
        refusal::Refusal,
    },
    ports::{Body, Connect, Keys, Upstream},
};
use actix::{Actor, AsyncContext, Context, Handler, Message, ResponseFuture, SpawnHandle};
use answers::Answer;
use bytes::Bytes;
use chassis::{HealthHandle, clock, error};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use messages::BootTime;
use std::{collections::HashMap, rc::Rc, time::Duration};
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use tracing::{info, warn};

/// How often files are looked at for new credentials. Certificates live for days, tokens for minutes.
const LOOK: Duration = Duration::from_secs(10);
/// How long an answer other than a watch's may take to begin. The API server itself gives up after a minute.
const PATIENCE: Duration = Duration::from_secs(65);
/// The same for the gate's own tries: an API server that takes longer is as good as away.
const TRY_PATIENCE: Duration = Duration::from_secs(5);
/// What is asked to find out whether the API server is back. Every identity may read it.
const TRY: &str = "/version";

/// The line. One per process.
pub(crate) struct Line {
    keys: Box<dyn Keys>,
    connect: Connect,
    upstream: Rc<dyn Upstream>,
    /// Ends the watches that were opened with earlier credentials.
    renewed: watch::Sender<()>,
    link: Link,
    budget: Budget,
    waiting: HashMap<Ticket, (Class, oneshot::Sender<Turn>)>,
    last_ticket: Ticket,
    wake: Option<SpawnHandle>,
    health: HealthHandle,
}

/// What a waiting request is told.
type Turn = Result<(), Refusal>;

/// A peer's request, allowed and with its headers cleaned.
#[derive(Message)]
#[rtype(result = "Result<Response<Body>, Refusal>")]
pub(crate) struct Forward {
    /// In which order it goes.
    pub(crate) class: Class,
    /// Its answer stays open.
    pub(crate) watch: bool,
    /// The request; its URI has a path and query only.
    pub(crate) request: Request<Body>,
}

/// How a request ended, told by its future to the line.
#[derive(Message)]
#[rtype(result = "()")]
struct Ended {
    class: Class,
    answer: Answer,
    is_try: bool,
}

#[derive(Message)]
#[rtype(result = "()")]
struct LookForKeys;

/// What a line is made of.
pub(crate) struct Parts {
    /// Where credentials come from.
    pub(crate) keys: Box<dyn Keys>,
    /// Makes a connection with them.
    pub(crate) connect: Connect,
    /// The first connection.
    pub(crate) upstream: Rc<dyn Upstream>,
    /// The requests' budget.
    pub(crate) budget: Budget,
    /// Where to tell that the API server is away.
    pub(crate) health: HealthHandle,
}

impl Line {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { keys, connect, upstream, budget, health } = parts;
        Self {
            keys,
            connect,
            upstream,
            renewed: watch::Sender::new(()),
            link: Link::default(),
            budget,
            waiting: HashMap::new(),
            last_ticket: 0,
            wake: None,
            health,
        }
    }

    /// Puts a request in front of the budget; the receiver is told when it may go.
    fn queue(&mut self, class: Class, ctx: &mut Context<Self>) -> oneshot::Receiver<Turn> {
        let (sender, receiver) = oneshot::channel();
        self.last_ticket += 1;
        self.waiting.insert(self.last_ticket, (class, sender));
        self.budget_step(budget::Fact::Asked(self.last_ticket, class), ctx);
        receiver
    }

    fn budget_step(&mut self, fact: budget::Fact, ctx: &mut Context<Self>) {
        for effect in self.budget.step(clock::now_boot(), fact) {
            match effect {
                budget::Effect::Go(ticket) => self.let_go(ticket, ctx),
                budget::Effect::Refuse(ticket, retry_after) => {
                    self.tell(ticket, Err(Refusal::Spent { retry_after }));
                }
                budget::Effect::WakeAt(time) => self.wake_at(time, ctx),
            }
        }
    }

    fn let_go(&mut self, ticket: Ticket, ctx: &mut Context<Self>) {
        // The API server may have gone away while the request waited.
        let turn = self.away().map_or(Ok(()), Err);
        let goes = turn.is_ok();
        if let Some((class, heard)) = self.tell(ticket, turn)
            && !(goes && heard)
        {
            self.budget_step(budget::Fact::NotSent(class), ctx);
        }
    }

    /// Tells a request its turn. The answer: its class, and whether its peer was still waiting.
    fn tell(&mut self, ticket: Ticket, turn: Turn) -> Option<(Class, bool)> {
        let (class, sender) = self.waiting.remove(&ticket)?;
        Some((class, sender.send(turn).is_ok()))
    }

    fn wake_at(&mut self, time: BootTime, ctx: &mut Context<Self>) {
        let wake = ctx.run_later(time.since(clock::now_boot()), |line, ctx| {
            line.budget_step(budget::Fact::Woke, ctx);
        });
        if let Some(earlier) = self.wake.replace(wake) {
            ctx.cancel_future(earlier);
        }
    }

    fn away(&self) -> Option<Refusal> {
        self.link.retry_after(clock::now_boot()).map(|retry_after| Refusal::Away { retry_after })
    }

    fn link_step(&mut self, fact: link::Fact, ctx: &mut Context<Self>) {
        let (link, effects) = self.link.step(clock::now_boot(), fact);
        self.link = link;
        for effect in effects {
            match effect {
                link::Effect::TryAt(time) => {
                    ctx.run_later(time.since(clock::now_boot()), Self::try_it);
                }
                link::Effect::SayBack => {
                    info!("the API server answers");
                    self.health.ready();
                }
                link::Effect::SayAway => {
                    warn!("the API server is away");
                    self.health.waiting_for("the API server");
                }
            }
        }
    }

    fn try_it(&mut self, ctx: &mut Context<Self>) {
        let request = Request::get(TRY).body(empty()).expect("the path is a constant");
        let exchange = self.upstream.exchange(request, false);
        let line = ctx.address();
        actix::spawn(async move {
            let (answer, _) = answers::judge(timeout(TRY_PATIENCE, exchange).await);
            line.do_send(Ended { class: Class::Heartbeat, answer, is_try: true });
        });
    }

    fn renew(&mut self) {
        match self.keys.read().and_then(&self.connect) {
            Ok(upstream) => {
                info!("new credentials for the API server");
                self.upstream = upstream;
                self.renewed.send_replace(());
            }
            Err(failure) => {
                warn!(
                    error = error::chain(&*failure),
                    "credentials changed and cannot be used; the old ones stay"
                );
            }
        }
    }
}

impl Actor for Line {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.health.waiting_for("the API server");
        self.try_it(ctx);
        ctx.run_interval(LOOK, |_, ctx| ctx.notify(LookForKeys));
    }
}

impl Handler<Forward> for Line {
    type Result = ResponseFuture<Result<Response<Body>, Refusal>>;

    fn handle(&mut self, forward: Forward, ctx: &mut Context<Self>) -> Self::Result {
        if let Some(away) = self.away() {
            return Box::pin(async { Err(away) });
        }
        let Forward { class, watch, request } = forward;
        let turn = self.queue(class, ctx);
        let (upstream, renewed, line) = (self.upstream.clone(), self.renewed.subscribe(), ctx.address());
        Box::pin(async move {
            // The sender is dropped only together with the line, when the process leaves.
            turn.await.unwrap_or(Err(Refusal::Away { retry_after: Duration::ZERO }))?;
            let answered = timeout(PATIENCE, upstream.exchange(request, watch)).await;
            let (answer, response) = answers::judge(answered);
            line.do_send(Ended { class, answer, is_try: false });
            response.map(|response| if watch { answers::until_renewed(response, renewed) } else { response })
        })
    }
}

impl Handler<Ended> for Line {
    type Result = ();

    fn handle(&mut self, Ended { class, answer, is_try }: Ended, ctx: &mut Context<Self>) {
        let jitter = rand::random();
        match answer {
            Answer::Lost | Answer::Late if is_try => self.link_step(link::Fact::TryFailed { jitter }, ctx),
            Answer::Lost => self.link_step(link::Fact::Lost { jitter }, ctx),
            Answer::Late => {}
            Answer::Came => self.link_step(link::Fact::Answered, ctx),
            Answer::Throttled(pause) => {
                self.link_step(link::Fact::Answered, ctx);
                self.budget_step(budget::Fact::Throttled(class, pause), ctx);
            }
            Answer::Unauthorized => {
                self.link_step(link::Fact::Answered, ctx);
                ctx.notify(LookForKeys);
            }
        }
    }
}

impl Handler<LookForKeys> for Line {
    type Result = ();

    fn handle(&mut self, _: LookForKeys, _: &mut Context<Self>) {
        if self.keys.have_changed() {
            self.renew();
        }
    }
}

fn empty() -> Body {
    Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync()
}
