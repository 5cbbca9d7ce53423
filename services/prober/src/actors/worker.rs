//! One container's one probe: keeps its time, carries it out, passes on what was settled.

use super::pods::{Pods, Verdicts};
use crate::{
    core::{
        check::{Check, Unresolved},
        facts::{Effect, Fact, Now, Settled},
        fleet::Wanted,
        outcome::Outcome,
        tidings::Tidings,
        timing::Timing,
        worker::Worker as Core,
    },
    ports::{Subject, Target},
};
use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, SpawnHandle,
    WrapFuture,
};
use chassis::{
    Events, clock,
    telemetry::{self, Peer, keys},
};
use futures::FutureExt;
use messages::{
    prober::{Finding, Verdict},
    status_reporter::{About, RecordEvent, Severity},
};
use opentelemetry::Context as TraceContext;
use std::{rc::Rc, time::Duration};
use tracing::{Instrument, Span, debug, info_span};

/// A probe that ends in an error of its own is tried so often before it has no result.
const ATTEMPTS: usize = 3;

/// Where a worker stands in the node.
#[derive(Debug, Clone)]
pub(super) struct Post {
    pub(super) subject: Subject,
    pub(super) namespace: String,
    pub(super) pod_name: String,
}

/// What a worker uses.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) target: Rc<dyn Target>,
    pub(super) events: Events,
    pub(super) pods: Addr<Pods>,
}

/// The actor.
pub(super) struct Worker {
    post: Post,
    tools: Tools,
    core: Core,
    wanted: Wanted,
    /// How the container was last told of.
    told: Telling,
    wake: Option<SpawnHandle>,
    /// Open from the first probe of an instance until something is settled about it.
    waiting: Option<Span>,
}

/// In which trace something was told, and how long that was on its way.
#[derive(Debug, Clone, Default)]
pub(super) struct Telling {
    pub(super) context: TraceContext,
    pub(super) queued_for: Duration,
}

/// The container looks like this now.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Look {
    pub(super) wanted: Wanted,
    pub(super) told: Telling,
}

/// Nothing is wanted of the worker any more.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Leave;

impl Worker {
    pub(super) fn new(post: Post, tools: Tools, core: Core, wanted: Wanted) -> Self {
        Self { post, tools, core, wanted, told: Telling::default(), wake: None, waiting: None }
    }

    fn take_in(&mut self, fact: Fact, ctx: &mut Context<Self>) {
        let now = Now { boot: clock::now_boot(), unix: clock::now_unix() };
        for effect in self.core.step(now, fact) {
            self.perform(effect, ctx);
        }
    }

    fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Probe { container_id } => self.probe(container_id, ctx),
            Effect::WakeAfter(wait) => self.wake_after(wait, ctx),
            Effect::Settle(settled) => self.settle(settled, ctx),
            Effect::Tell(tidings) => self.tools.events.record(self.event(tidings)),
        }
    }

    fn wake_after(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        if let Some(earlier) = self.wake.take() {
            ctx.cancel_future(earlier);
        }
        let woken = |worker: &mut Self, ctx: &mut Context<Self>| worker.take_in(Fact::Woken, ctx);
        self.wake = Some(ctx.run_later(wait, woken));
    }

    fn probe(&mut self, container_id: String, ctx: &mut Context<Self>) {
        let subject = Subject { container_id: container_id.clone(), ..self.post.subject.clone() };
        let timeout = Timing::of(&self.wanted.probe).timeout;
        let check = Check::of(&self.wanted.probe, &self.wanted.around);
        let target = self.tools.target.clone();
        let probing = async move { attempt(&*target, &subject, check, timeout).await };
        let probing = probing.instrument(self.waiting_span());
        ctx.spawn(probing.into_actor(self).map(|outcome, worker, ctx| {
            debug!(?outcome, container = %worker.post.subject.container, "probed");
            worker.take_in(Fact::Probed { container_id, outcome }, ctx);
        }));
    }

    /// The actor goes on only once the verdict was taken, so that verdicts stay in order.
    fn settle(&mut self, settled: Settled, ctx: &mut Context<Self>) {
        let verdict = Verdict {
            pod: self.post.subject.pod.clone(),
            container: self.post.subject.container.clone(),
            probe: self.post.subject.probe,
            container_id: settled.container_id,
            finding: settled.finding,
            message: settled.message,
        };
        let span = self.waiting.take().unwrap_or_else(Span::none);
        if verdict.finding == Finding::Failure {
            // What the container said may hold a secret.
            telemetry::fail(&span, "the probe failed");
        }
        let passed_on = self.tools.pods.send(Verdicts { verdict, span });
        ctx.wait(passed_on.map(|_| ()).into_actor(self));
    }

    fn event(&self, tidings: Tidings) -> RecordEvent {
        RecordEvent {
            about: About::Pod {
                pod: self.post.subject.pod.clone(),
                namespace: self.post.namespace.clone(),
                name: self.post.pod_name.clone(),
                field_path: self.wanted.field_path.clone(),
            },
            severity: Severity::Warning,
            reason: tidings.reason.to_owned(),
            message: tidings.message,
            at: clock::now_unix(),
        }
    }

    /// The span in which an instance waits for its first verdict, if it does.
    fn waiting_span(&mut self) -> Span {
        if self.waiting.is_none() && self.core.is_awaited() {
            self.waiting = Some(telemetry::child_of(&self.told.context, self.span()));
        }
        self.waiting.clone().unwrap_or_else(Span::none)
    }

    fn span(&self) -> Span {
        let Post { subject, namespace, pod_name } = &self.post;
        info_span!(
            parent: None,
            "wait for probe",
            otel.kind = "client",
            { keys::PEER } = Peer::Container.name(),
            { keys::QUEUED } = i64::try_from(self.told.queued_for.as_micros()).unwrap_or(i64::MAX),
            { keys::POD_UID } = %subject.pod,
            { keys::POD_NAME } = pod_name,
            { keys::NAMESPACE } = namespace,
            { keys::CONTAINER_NAME } = %subject.container,
            probe = %subject.probe,
        )
    }
}

/// Probes, again at once when the probe itself went wrong.
async fn attempt(
    target: &dyn Target,
    subject: &Subject,
    check: Result<Check, Unresolved>,
    timeout: Duration,
) -> Outcome {
    let check = match check {
        Ok(check) => check,
        Err(Unresolved::NoAddress) => return Outcome::NotTried(Unresolved::NoAddress.to_string()),
        Err(unresolved) => return Outcome::Errored(unresolved.to_string()),
    };
    let mut outcome = Outcome::Success;
    for _ in 0..ATTEMPTS {
        outcome = target.probe(subject, &check, timeout).await;
        if !matches!(outcome, Outcome::Errored(_)) {
            break;
        }
    }
    outcome
}

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Look> for Worker {
    type Result = ();

    fn handle(&mut self, look: Look, ctx: &mut Self::Context) {
        let view = look.wanted.view.clone();
        (self.wanted, self.told) = (look.wanted, look.told);
        self.take_in(Fact::Seen(view), ctx);
        if !self.core.is_awaited() {
            self.waiting = None;
        }
    }
}

impl Handler<Leave> for Worker {
    type Result = ();

    fn handle(&mut self, _: Leave, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
