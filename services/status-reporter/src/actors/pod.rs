//! One pod: its status on the way, its mirror and its end. Writes when `Pods` gives it a turn.

use super::{
    now,
    pods::{Left, Pods, Queue, StartToldOf, TurnOver},
    system_time,
};
use crate::{
    core::{
        failure::Failure,
        pod::{self, Effect, Fact, View, plan::Deed, start::Ended},
        pods::Name,
    },
    ports::Api,
};
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, SpawnHandle};
use chassis::{
    clock,
    telemetry::{self, Peer, keys},
};
use messages::{BootTime, NodeName, PodUid};
use opentelemetry::{Context as TraceContext, KeyValue};
use std::{rc::Rc, time::Duration};
use tracing::{Span, debug, info_span, warn};

/// A pod's reporter.
pub(crate) struct Pod {
    uid: PodUid,
    name: Name,
    node: NodeName,
    core: pod::Pod,
    api: Option<Rc<dyn Api>>,
    pods: Addr<Pods>,
    /// Of the newest status.
    context: TraceContext,
    /// When that was said, until it is reported.
    said: Option<BootTime>,
    wake: Option<SpawnHandle>,
}

/// What a pod is made of.
pub(crate) struct Parts {
    pub(crate) uid: PodUid,
    pub(crate) name: Name,
    pub(crate) node: NodeName,
    pub(crate) api: Option<Rc<dyn Api>>,
    pub(crate) pods: Addr<Pods>,
    /// The life whose start was told of already.
    pub(crate) told_of: Option<u32>,
}

/// In which trace and when a status was said.
#[derive(Debug, Clone)]
pub(crate) struct Telling {
    pub(crate) context: TraceContext,
    pub(crate) said: BootTime,
}

/// Something that the pod must know; how it was said, if it was.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Told(pub(crate) Fact, pub(crate) Option<Telling>);

/// The pod may write now.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Turn;

#[derive(Message)]
#[rtype(result = "()")]
struct Answered(Result<Option<Box<View>>, Failure>);

impl Pod {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { uid, name, node, api, pods, told_of } = parts;
        Self {
            uid,
            name,
            node,
            core: pod::Pod::new(told_of),
            api,
            pods,
            context: TraceContext::new(),
            said: None,
            wake: None,
        }
    }

    fn on(&mut self, fact: Fact, ctx: &mut Context<Self>) {
        for effect in self.core.step(now(), fact) {
            match effect {
                Effect::Queue(class) => self.pods.do_send(Queue(self.uid.clone(), class)),
                Effect::WakeAfter(pause) => self.wake_after(pause, ctx),
                Effect::Ended(ended) => self.tell_of_start(&ended),
                Effect::Refused(failure) => {
                    warn!(pod = self.full_name(), error = %failure, "Failed to update status for pod");
                }
                Effect::Leave => self.pods.do_send(Left(self.uid.clone())),
            }
        }
    }

    fn wake_after(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        let wake = ctx.run_later(pause, |pod, ctx| pod.on(Fact::Woke, ctx));
        if let Some(earlier) = self.wake.replace(wake) {
            ctx.cancel_future(earlier);
        }
    }

    fn perform(&mut self, deed: Deed, ctx: &mut Context<Self>) {
        let Some(api) = self.api.clone() else { return self.pods.do_send(TurnOver) };
        let (name, span) = (deed.name(), self.span(&deed));
        // Made within the span, so that the request bears its context.
        let answer = telemetry::call(span.clone(), span.in_scope(|| api.pod(&self.name, deed)));
        let (pod, pods, what) = (ctx.address(), self.pods.clone(), self.full_name());
        actix::spawn(async move {
            let answer = answer.await;
            match &answer {
                Ok(_) => debug!(pod = what, deed = name, "written"),
                Err(failure) => debug!(pod = what, deed = name, error = %failure, "not written"),
            }
            pod.do_send(Answered(answer));
            pods.do_send(TurnOver);
        });
    }

    fn full_name(&self) -> String {
        let (namespace, name) = &self.name;
        format!("{namespace}/{name}")
    }

    /// Part of the pod's start while that is open; afterwards part of what made the status change. What the
    /// start itself brings later has a trace of its own, linked to it.
    fn span(&mut self, deed: &Deed) -> Span {
        let (namespace, name) = &self.name;
        let life = self.core.wanted().map_or(0, |wanted| wanted.life);
        let phase = self.core.wanted().and_then(|wanted| wanted.status.phase.clone());
        let span = info_span!(
            "write",
            otel.name = deed.name(),
            otel.kind = "client",
            { keys::PEER } = Peer::ApiServer.name(),
            { keys::QUEUED } = self.said.take().map(micros_since),
            k8s.pod.uid = %self.uid,
            k8s.pod.name = name,
            k8s.namespace.name = namespace,
            k8s.pod.phase = phase,
        );
        let start = telemetry::start_context(&self.uid, life);
        if self.core.is_starting() {
            return telemetry::child_of(&start, span);
        }
        if telemetry::are_of_one_trace(&self.context, &start) {
            telemetry::link_to(&self.context, &span);
            return telemetry::child_of(&TraceContext::new(), span);
        }
        telemetry::child_of(&self.context, span)
    }

    fn tell_of_start(&self, ended: &Ended) {
        let (namespace, name) = &self.name;
        let attributes = vec![
            KeyValue::new(keys::POD_UID, self.uid.to_string()),
            KeyValue::new(keys::POD_NAME, name.clone()),
            KeyValue::new(keys::NAMESPACE, namespace.clone()),
            KeyValue::new(keys::NODE_NAME, self.node.to_string()),
            KeyValue::new(keys::LIFE, i64::from(ended.life)),
        ];
        let mut events = vec![("containers started".to_owned(), system_time(ended.containers_started))];
        events.extend(ended.ready.map(|ready| ("ready".to_owned(), system_time(ready))));
        let (began, over) = (system_time(ended.began), system_time(ended.ended));
        telemetry::export_start_root((&self.uid, ended.life), began, over, attributes, events);
        self.pods.do_send(StartToldOf(self.uid.clone(), ended.life));
    }
}

fn micros_since(said: BootTime) -> i64 {
    i64::try_from(clock::now_boot().since(said).as_micros()).unwrap_or(i64::MAX)
}

impl Actor for Pod {
    type Context = Context<Self>;
}

impl Handler<Told> for Pod {
    type Result = ();

    fn handle(&mut self, Told(fact, telling): Told, ctx: &mut Context<Self>) {
        if let Some(Telling { context, said }) = telling {
            (self.context, self.said) = (context, Some(said));
        }
        self.on(fact, ctx);
    }
}

impl Handler<Turn> for Pod {
    type Result = ();

    fn handle(&mut self, _: Turn, ctx: &mut Context<Self>) {
        match self.core.turn(now()) {
            Some(deed) => self.perform(deed, ctx),
            None => self.pods.do_send(TurnOver),
        }
    }
}

impl Handler<Answered> for Pod {
    type Result = ();

    fn handle(&mut self, Answered(answer): Answered, ctx: &mut Context<Self>) {
        self.on(Fact::Answered(answer), ctx);
    }
}
