//! One pod: turns what is heard into facts, steps its life, performs the effects.

use super::{
    node::{Finished, Kit, Leave, Said, Stopped},
    outbox::Notice,
    rows::{Cause, Rows},
};
use crate::core::{
    deed::Deed,
    flight::Answer,
    life::{Effect, Fact, Life},
    moment::Moment,
    stage::Stage,
};
use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture,
    fut::wrap_future,
};
use chassis::{AskError, Bus, clock, error};
use messages::{
    BootTime, Command, ContainerName, Decision, Key, Outcome, PodUid,
    cri_bridge::{EnsureSandbox, ForgetPod, PullImage, StartContainer, StopContainer, StopPod},
    pod_lifecycle::{Pod, Probes, Status},
    volume_mounter::{PrepareVolumes, ReleaseVolumes},
};
use opentelemetry::{Context as TraceContext, context::FutureExt as _};
use std::time::Duration;
use tracing::debug;

/// Facts that may wait in the mailbox.
const MAILBOX: usize = 32;
/// How long a reply may take. Owners answer `Accepted` after four seconds at the latest.
const PATIENCE: Duration = Duration::from_secs(8);

/// A fact for the pod.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Take(pub(super) Notice);

/// The actor of one life.
#[derive(Debug)]
pub(super) struct PodActor {
    kit: Kit,
    life: Life,
    /// What was known before the actor was there.
    first: Vec<Fact>,
    wake: Option<SpawnHandle>,
    rows: Rows,
}

impl PodActor {
    /// Takes these facts first.
    pub(super) fn new(kit: Kit, life: Life, first: Vec<Fact>) -> Self {
        Self { kit, life, first, wake: None, rows: Rows::default() }
    }

    fn uid(&self) -> &PodUid {
        self.life.uid()
    }

    fn step(&mut self, notice: Notice, ctx: &mut Context<Self>) {
        if let Some(saying) = self.take(notice, ctx) {
            ctx.wait(wrap_future(say(self.kit.bus.clone(), self.uid().clone(), vec![saying])));
        }
    }

    /// Steps the life and performs what follows, but for what is to be said.
    fn take(&mut self, Notice { fact, cause }: Notice, ctx: &mut Context<Self>) -> Option<Saying> {
        let (begun, was_stopped) = (clock::now_boot(), self.is_stopped());
        let stepped = self.life.step(fact, Moment(clock::now_unix()));
        if self.is_stopped() && !was_stopped {
            self.kit.node.do_send(Stopped(self.uid().clone()));
        }
        self.set_wake(stepped.wake, ctx);
        let (is_in_start, context) = (stepped.is_in_start, self.rows.context(&self.life, &stepped, &cause));
        let saying = self.perform(stepped.effects, context, ctx);
        self.rows.stepped(&self.life, is_in_start, (&cause, begun));
        saying
    }

    fn is_stopped(&self) -> bool {
        self.life.record().memory.stage == Stage::Terminated
    }

    fn set_wake(&mut self, wake: Option<Moment>, ctx: &mut Context<Self>) {
        if let Some(old) = self.wake.take() {
            ctx.cancel_future(old);
        }
        self.wake = wake.map(|moment| {
            let pause = moment.since(Moment(clock::now_unix()));
            ctx.run_later(pause, |actor, ctx| actor.step(Fact::Woken.into(), ctx))
        });
    }

    /// Everything is said before anything is asked: whoever is asked must know the decision.
    fn perform(
        &mut self,
        effects: Vec<Effect>,
        context: TraceContext,
        ctx: &mut Context<Self>,
    ) -> Option<Saying> {
        let (mut sayings, mut is_over) = (Vec::new(), false);
        for effect in effects {
            match effect {
                Effect::Ask { id, deed, decision } => self.ask(Asking { id, deed, decision }, &context, ctx),
                Effect::Tell(event) => self.kit.events.record(event),
                Effect::Save => self.kit.scribe.save(&entry(self.uid()), self.life.record().clone()),
                Effect::Finish => is_over = true,
                saying => sayings.push(saying),
            }
        }
        if is_over {
            self.leave(ctx);
            return None;
        }
        (!sayings.is_empty()).then_some((context, sayings))
    }

    fn ask(&self, asking: Asking, context: &TraceContext, ctx: &mut Context<Self>) {
        let (bus, uid, id) = (self.kit.bus.clone(), self.uid().clone(), asking.id);
        let asked = ask(bus, uid, asking).with_context(context.clone()).into_actor(self);
        ctx.spawn(asked.map(move |(answer, sent), actor, ctx| {
            let notice = Notice { fact: Fact::Answer { id, answer }, cause: Cause::sent_at(sent) };
            actor.step(notice, ctx);
        }));
    }

    /// Nothing of the pod is left: everything said of it is taken back.
    fn leave(&mut self, ctx: &mut Context<Self>) {
        self.kit.scribe.remove(&entry(self.uid()));
        let retracting = retract(self.kit.bus.clone(), Key::from(self.uid())).into_actor(self);
        ctx.wait(retracting.map(|(), actor, ctx| {
            let (uid, revision) = (actor.uid().clone(), actor.life.revision());
            actor.kit.node.do_send(Finished { uid, revision });
            ctx.stop();
        }));
    }
}

/// The journal entry of a pod.
pub(super) fn entry(uid: &PodUid) -> String {
    format!("pods/{uid}")
}

impl Actor for PodActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        let facts = std::mem::take(&mut self.first);
        let sayings = facts.into_iter().filter_map(|fact| self.take(fact.into(), ctx)).collect();
        // All in one wait: of several waits the one that was begun last would be over first.
        let saying = say(self.kit.bus.clone(), self.uid().clone(), sayings);
        let said = Said(self.uid().clone());
        ctx.wait(wrap_future::<_, Self>(saying).map(|(), actor, _| actor.kit.node.do_send(said)));
    }
}

impl Handler<Take> for PodActor {
    type Result = ();
    fn handle(&mut self, Take(notice): Take, ctx: &mut Context<Self>) {
        self.step(notice, ctx);
    }
}

impl Handler<Leave> for PodActor {
    type Result = ();
    fn handle(&mut self, Leave: Leave, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

/// What a step has to say, in the trace that it belongs to.
type Saying = (TraceContext, Vec<Effect>);

async fn say(bus: Bus, uid: PodUid, sayings: Vec<Saying>) {
    for (context, effects) in sayings {
        for effect in effects {
            say_one(&bus, &uid, effect).with_context(context.clone()).await;
        }
    }
}

async fn say_one(bus: &Bus, uid: &PodUid, effect: Effect) {
    match effect {
        Effect::SayPod(pod) => bus.say(&*pod).await,
        Effect::SayStatus(status) => bus.say(&*status).await,
        Effect::SayProbes(probes) => bus.say(&*probes).await,
        Effect::RetractProbes => bus.retract::<Probes>(&Key::from(uid)).await,
        Effect::Ask { .. } | Effect::Tell(_) | Effect::Save | Effect::Finish => {}
    }
}

async fn retract(bus: Bus, key: Key) {
    bus.retract::<Probes>(&key).await;
    bus.retract::<Status>(&key).await;
    bus.retract::<Pod>(&key).await;
}

/// A deed on its way.
#[derive(Debug)]
struct Asking {
    id: u64,
    deed: Deed,
    decision: Decision,
}

/// What came of asking, and when that was sent.
type Told = (Answer, BootTime);

async fn ask(bus: Bus, pod: PodUid, Asking { deed, decision, .. }: Asking) -> Told {
    let not_sent = || (Answer::NotSent, clock::now_boot());
    let name = |name: String| -> Option<ContainerName> { name.parse().ok() };
    match deed {
        Deed::PrepareVolumes => put(&bus, &PrepareVolumes { pod, decision }).await,
        Deed::ReleaseVolumes => put(&bus, &ReleaseVolumes { pod, decision }).await,
        Deed::Sandbox { attempt, volumes_first } => {
            put(&bus, &EnsureSandbox { pod, decision, attempt, volumes_first }).await
        }
        Deed::StopPod { grace_seconds } => put(&bus, &StopPod { pod, decision, grace_seconds }).await,
        Deed::Forget { remove_containers } => {
            put(&bus, &ForgetPod { pod, decision, remove_containers }).await
        }
        Deed::Pull { container, .. } => match name(container) {
            Some(container) => put(&bus, &PullImage { pod, decision, container }).await,
            None => not_sent(),
        },
        Deed::Start { container, kind, attempt } => match name(container) {
            Some(container) => put(&bus, &StartContainer { pod, decision, container, kind, attempt }).await,
            None => not_sent(),
        },
        Deed::Stop { container, id: container_id, grace_seconds, why, .. } => match name(container) {
            Some(container) => {
                put(&bus, &StopContainer { pod, decision, container, container_id, grace_seconds, why }).await
            }
            None => not_sent(),
        },
    }
}

async fn put<C: Command<Reply = Outcome>>(bus: &Bus, command: &C) -> Told {
    match bus.ask_noting(command, PATIENCE).await {
        Ok(answered) => (Answer::Replied(answered.reply), answered.sent),
        Err(failure) => {
            debug!(command = C::NAME, key = %command.key(), error = error::chain(&failure), "no answer");
            (unanswered(&failure), clock::now_boot())
        }
    }
}

fn unanswered(failure: &AskError) -> Answer {
    if failure.nothing_happened() { Answer::NotSent } else { Answer::Unknown }
}
