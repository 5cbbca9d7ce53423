//! Commands to a pod's actor: judged, carried out, answered.

use super::{
    PodActor,
    flight::{Deed, Landing, Waiting},
};
use crate::core::{
    ledger::{Ask, Verdict},
    spec,
};
use actix::{AsyncContext, Context, Handler, Message, ResponseFuture, WrapFuture};
use chassis::clock;
use futures::FutureExt;
use messages::{Decision, Outcome, Refusal};
use std::{mem, time::Duration};
use tokio::{sync::oneshot, time::timeout};
use tracing::{Instrument, Span};

/// After this a deed is answered `Accepted`: callers are used to answers within 5 s.
const ACCEPT_AFTER: Duration = Duration::from_secs(4);
/// How long a command waits for the spec and volumes that it is about.
const FACTS_PATIENCE: Duration = Duration::from_secs(2);

/// A command about the pod.
pub struct Command {
    /// What is asked.
    pub ask: Ask,
    /// Of which decision.
    pub decision: Decision,
    /// In which span.
    pub span: Span,
}

impl Message for Command {
    type Result = Outcome;
}

impl Handler<Command> for PodActor {
    type Result = ResponseFuture<Outcome>;
    fn handle(&mut self, command: Command, context: &mut Context<Self>) -> Self::Result {
        self.taken += 1;
        let (answer, answered) = oneshot::channel();
        let since = clock::now_boot();
        let until = since.after(FACTS_PATIENCE);
        let Command { ask, decision, span } = command;
        self.take(Waiting { ask, decision, span, since, until, answer }, context);
        if !self.waiting.is_empty() {
            context.run_later(FACTS_PATIENCE, |actor, context| actor.give_up_waiting(context));
        }
        Box::pin(timeout(ACCEPT_AFTER, answered).map(|answered| match answered {
            Err(_) => Outcome::Accepted,
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Outcome::Refused { refusal: Refusal::Unavailable },
        }))
    }
}

impl PodActor {
    /// Judges a command and does what comes of it.
    fn take(&mut self, waiting: Waiting, context: &mut Context<Self>) {
        match self.ledger.judge(&waiting.ask, waiting.decision) {
            Verdict::Refuse(refusal) => waiting.answer(Outcome::Refused { refusal }),
            // The state that shows it was said, unless nothing was said of the pod yet.
            Verdict::Done if self.is_told => {
                waiting.answer(Outcome::Done { revision: self.ledger.revision() });
            }
            Verdict::Done => self.say(vec![waiting], None, Span::none()),
            Verdict::Wait(_) => self.waiting.push(waiting),
            Verdict::Join | Verdict::Begin => self.enter(waiting, context),
        }
    }

    /// A fact has come: judges what waited for one.
    pub(super) fn judge_again(&mut self, context: &mut Context<Self>) {
        for waiting in mem::take(&mut self.waiting) {
            if !matches!(self.ledger.judge(&waiting.ask, waiting.decision), Verdict::Wait(_)) {
                waiting.tell_of_the_wait();
            }
            self.take(waiting, context);
        }
    }

    /// Refuses what has waited long enough.
    fn give_up_waiting(&mut self, context: &mut Context<Self>) {
        let now = clock::now_boot();
        for waiting in mem::take(&mut self.waiting) {
            match self.ledger.judge(&waiting.ask, waiting.decision) {
                Verdict::Wait(refusal) if waiting.until <= now => {
                    waiting.answer(Outcome::Refused { refusal })
                }
                Verdict::Wait(_) => self.waiting.push(waiting),
                _ => self.take(waiting, context),
            }
        }
    }

    /// Begins a deed, or joins the one that is the same.
    fn enter(&mut self, waiting: Waiting, context: &mut Context<Self>) {
        self.tighten(&waiting.ask);
        let deed = Deed::of(&waiting.ask, &self.ledger);
        if !self.flights.is_under_way(&deed) {
            if let Some(recorded) = waiting.ask.deed() {
                self.ledger.begun(recorded, waiting.decision, clock::now_unix());
            }
            if let Ask::Start { container, attempt, .. } = &waiting.ask
                && self.has_post_start(container.as_str())
            {
                self.ledger.hook_begun(container.clone(), *attempt);
            }
        }
        self.flights.enter(deed, waiting);
        self.launch(context);
    }

    fn has_post_start(&self, container: &str) -> bool {
        let object = self.ledger.spec().map(|spec| &spec.object);
        let found = object.and_then(|object| spec::container(object, container));
        let lifecycle = found.and_then(|found| found.container.lifecycle.clone());
        lifecycle.is_some_and(|lifecycle| lifecycle.post_start.is_some())
    }

    /// An order to stop everything holds from now on for every deed; a later one may only tighten it.
    fn tighten(&mut self, ask: &Ask) {
        let Ask::StopPod { grace_seconds } = ask else { return };
        let now = clock::now_boot();
        self.halt.send_if_modified(|halt| match &mut halt.order {
            None => {
                halt.order = Some((now, *grace_seconds));
                true
            }
            Some((begun, grace)) => {
                let tightened = now.since(*begun).as_secs().saturating_add(*grace_seconds);
                let is_tighter = tightened < *grace;
                *grace = tightened.min(*grace);
                is_tighter
            }
        });
    }

    /// Sets off every deed whose time has come. What takes long is said, since it is answered
    /// `Accepted`.
    pub(super) fn launch(&mut self, context: &mut Context<Self>) {
        for (deed, span) in self.flights.launch(self.reading.is_some()) {
            let subject = self.subject(context);
            let (landed, actor) = (deed.clone(), context.address());
            let work = deed.clone().work(subject, &self.ledger).instrument(span);
            // By the mailbox, behind what the deed has seen.
            let work = work.map(move |landing| actor.do_send(Landed { deed: landed, landing }));
            context.spawn(work.into_actor(self));
            context.run_later(ACCEPT_AFTER, move |actor, _| {
                if actor.flights.is_under_way(&deed) {
                    actor.say(Vec::new(), None, Span::none());
                }
            });
        }
    }
}

/// A deed has ended.
struct Landed {
    deed: Deed,
    landing: Landing,
}

impl Message for Landed {
    type Result = ();
}

impl Handler<Landed> for PodActor {
    type Result = ();
    /// Notes it, says it, answers.
    fn handle(&mut self, Landed { deed, landing }: Landed, context: &mut Context<Self>) {
        let (waiting, span) = self.flights.end(&deed);
        let outcome = deed.note(landing, &mut self.ledger, clock::now_unix());
        self.say(waiting, outcome, span);
        self.attend(&deed, context);
        self.launch(context);
        self.judge_again(context);
        self.collect(context);
    }
}
