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
use chassis::telemetry::{self, keys};
use messages::{NodeName, PodUid, pod_lifecycle::PodSource};
use opentelemetry::{Context as TraceContext, KeyValue};
use std::{rc::Rc, time::Duration};
use tracing::{Instrument, Span, debug, info_span, warn};

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

/// Something that the pod must know, and the trace that it belongs to.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Told(pub(crate) Fact, pub(crate) Option<TraceContext>);

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
        let Some(api) = &self.api else { return self.pods.do_send(TurnOver) };
        let span = if matches!(deed, Deed::Patch { .. }) { self.span() } else { Span::none() };
        let name = deed.name();
        // Made within the span, so that the request bears its context.
        let answer = span.in_scope(|| api.pod(&self.name, deed)).instrument(span);
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

    /// Part of the pod's start while that is open; afterwards a trace of its own, linked to what made the
    /// status change.
    fn span(&self) -> Span {
        let (namespace, name) = &self.name;
        let (status, life) = match self.core.wanted() {
            Some(wanted) => (wanted.status.phase.clone().unwrap_or_default(), wanted.life),
            None => Default::default(),
        };
        let span = info_span!(
            "report status",
            k8s.pod.uid = %self.uid,
            k8s.pod.name = name,
            k8s.namespace.name = namespace,
            k8s.pod.phase = status,
        );
        if self.core.is_starting() {
            return telemetry::child_of(&telemetry::start_context(&self.uid, life), span);
        }
        telemetry::link_to(&self.context, &span);
        telemetry::child_of(&TraceContext::new(), span)
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
        let is_static = self.core.wanted().is_some_and(|wanted| wanted.source != PodSource::Api);
        if is_static {
            self.pods.do_send(StartToldOf(self.uid.clone(), ended.life));
        }
    }
}

impl Actor for Pod {
    type Context = Context<Self>;
}

impl Handler<Told> for Pod {
    type Result = ();

    fn handle(&mut self, Told(fact, context): Told, ctx: &mut Context<Self>) {
        self.context = context.unwrap_or_else(|| self.context.clone());
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
