//! Kubernetes events: taken from everyone, sent within the budget.

use super::{ApiIsBack, now};
use crate::{
    core::{
        events::{Effect, Fact, Recorder, Taken},
        failure::Failure,
    },
    ports::Api,
};
use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult, SpawnHandle};
use messages::{
    Refusal,
    status_reporter::{About, RecordEvent, RecordEventReply},
};
use std::{rc::Rc, time::Duration};
use tracing::{info, warn};

/// The recorder. Standalone it tells the log and nobody else.
pub(crate) struct Events {
    recorder: Recorder,
    api: Option<Rc<dyn Api>>,
    wake: Option<SpawnHandle>,
}

/// An event to record.
#[derive(Message)]
#[rtype(result = "RecordEventReply")]
pub(crate) struct Record(pub(crate) RecordEvent);

#[derive(Message)]
#[rtype(result = "()")]
struct Answered(Result<(), Failure>);

impl Events {
    pub(crate) fn new(recorder: Recorder, api: Option<Rc<dyn Api>>) -> Self {
        Self { recorder, api, wake: None }
    }

    fn perform(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        for effect in effects {
            match effect {
                Effect::Ask(ask) => {
                    let Some(api) = &self.api else { continue };
                    let (answer, events) = (api.event(ask), ctx.address());
                    actix::spawn(async move { events.do_send(Answered(answer.await)) });
                }
                Effect::WakeAfter(pause) => self.wake_after(pause, ctx),
                Effect::Refused(failure) => warn!(error = %failure, "an event was refused and is dropped"),
            }
        }
    }

    fn wake_after(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        let wake = ctx.run_later(pause, |events, ctx| events.on(Fact::Woke, ctx));
        if let Some(earlier) = self.wake.replace(wake) {
            ctx.cancel_future(earlier);
        }
    }

    fn on(&mut self, fact: Fact, ctx: &mut Context<Self>) {
        let effects = self.recorder.step(now(), fact);
        self.perform(effects, ctx);
    }
}

/// What operators look for in the log.
fn tell_log(event: &RecordEvent) {
    let object = match &event.about {
        About::Pod { namespace, name, .. } => format!("{namespace}/{name}"),
        About::Node => "the node".to_owned(),
    };
    // Not as `message`, which is the record's own.
    info!(object, r#type = ?event.severity, reason = event.reason, note = event.message, "Event occurred");
}

impl Actor for Events {
    type Context = Context<Self>;
}

impl Handler<Record> for Events {
    type Result = MessageResult<Record>;

    fn handle(&mut self, Record(event): Record, ctx: &mut Context<Self>) -> Self::Result {
        tell_log(&event);
        if self.api.is_none() {
            return MessageResult(RecordEventReply::Taken);
        }
        MessageResult(match self.recorder.record(now(), event) {
            Taken::Yes(effects) => {
                self.perform(effects, ctx);
                RecordEventReply::Taken
            }
            Taken::Full => RecordEventReply::Refused { refusal: Refusal::Unavailable },
            Taken::Malformed => {
                let why = "an event's object needs a namespace and a name".to_owned();
                RecordEventReply::Refused { refusal: Refusal::NotAllowed { why } }
            }
        })
    }
}

impl Handler<Answered> for Events {
    type Result = ();

    fn handle(&mut self, Answered(answer): Answered, ctx: &mut Context<Self>) {
        self.on(Fact::Answered(answer), ctx);
    }
}

impl Handler<ApiIsBack> for Events {
    type Result = ();

    fn handle(&mut self, _: ApiIsBack, ctx: &mut Context<Self>) {
        self.on(Fact::Woke, ctx);
    }
}
