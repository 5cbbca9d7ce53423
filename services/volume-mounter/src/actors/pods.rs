//! All pods: hears which there are and hands commands to the pods' own actors.

mod restore;

use super::{
    commands::{Bind, Prepare, Release, SOON},
    copies::Copies,
    pod::{self, Desire, Kit, PodActor},
    watches::Watches,
};
use crate::{
    core::{downward::Allocatable, layout::Layout, record::Record},
    ports::Tools,
};
use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, MailboxError, Message, ResponseActFuture,
    ResponseFuture, StreamHandler, WrapFuture,
};
use chassis::{Heard, Hearing, Service, clock};
use futures::FutureExt;
use messages::{
    Outcome, PodUid, Refusal,
    pod_lifecycle::{Pod, Stage},
    status_reporter::Node,
    volume_mounter::BindSubpathReply,
};
use std::{collections::BTreeMap, future::ready, rc::Rc, time::Duration};
use tokio::{sync::watch, time::timeout};
use tracing::warn;

pub(super) use restore::FOLDER;
pub(crate) use restore::Restore;

/// So long after everything was told a pod that was not told of keeps its volumes.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(30);

/// The actor.
pub(crate) struct Pods {
    service: Service,
    tools: Rc<Tools>,
    layout: Rc<Layout>,
    watches: Addr<Watches>,
    allocatable: watch::Sender<Option<Rc<Allocatable>>>,
    hearings: Option<(Hearing<Pod>, Hearing<Node>)>,
    copies: Copies,
    pods: BTreeMap<PodUid, Addr<PodActor>>,
}

/// Nothing of a pod is left.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Gone(pub(super) PodUid);

impl Pods {
    /// Nothing is heard before the actor is started.
    pub(crate) fn new(
        service: Service,
        tools: Tools,
        allocatable: watch::Sender<Option<Rc<Allocatable>>>,
        hearings: (Hearing<Pod>, Hearing<Node>),
    ) -> Self {
        let layout = Rc::new(Layout::below(&service.config.root_dir));
        let watches = Watches::new(tools.objects.clone()).start();
        Self {
            service,
            tools: Rc::new(tools),
            layout,
            watches,
            allocatable,
            hearings: Some(hearings),
            copies: Copies::default(),
            pods: BTreeMap::new(),
        }
    }

    fn kit(&self, ctx: &mut Context<Self>) -> Kit {
        Kit {
            tools: self.tools.clone(),
            layout: self.layout.clone(),
            bus: self.service.bus.clone(),
            events: self.service.events.clone(),
            journal: self.service.journal.clone(),
            watches: self.watches.clone(),
            pods: ctx.address(),
        }
    }

    /// The pod's actor; made when there is none.
    fn actor(&mut self, record: Record, ctx: &mut Context<Self>) -> Addr<PodActor> {
        let kit = self.kit(ctx);
        let uid = record.pod.clone();
        let copy = self.copies.get(&uid).cloned();
        let first_seen = copy.as_ref().map_or_else(clock::now_boot, |copy| copy.first_seen);
        let desired = copy.map(|copy| copy.pod);
        let make = || PodActor::new(kit, record, desired, first_seen).start();
        self.pods.entry(uid).or_insert_with(make).clone()
    }

    fn on_pod(&mut self, pod: Pod) {
        let copy = self.copies.take(pod);
        if let Some(actor) = self.pods.get(&copy.pod.pod) {
            actor.do_send(Desire { pod: copy.pod, first_seen: copy.first_seen });
        }
    }

    /// A pod of which nothing is left needs no volumes, whatever became of the command that said so.
    fn on_gone(&mut self, uid: &PodUid) {
        self.copies.forget(uid);
        if let Some(actor) = self.pods.get(uid) {
            actor.do_send(pod::Abandoned);
        }
    }

    /// Pods that nobody has told of, although everything was told, are let go after a while.
    fn on_complete(&mut self, ctx: &mut Context<Self>) {
        self.service.health.ready();
        if self.orphans().is_empty() {
            return;
        }
        ctx.run_later(ORPHAN_PATIENCE, |pods, _| {
            for uid in pods.orphans() {
                warn!(pod = %uid, "nobody wants this pod's volumes any more");
                pods.on_gone(&uid);
            }
        });
    }

    fn orphans(&self) -> Vec<PodUid> {
        self.pods.keys().filter(|uid| self.copies.get(uid).is_none()).cloned().collect()
    }

    fn prepare(&mut self, asked: Prepare, ctx: &mut Context<Self>) -> Reply {
        let Some(copy) = self.copies.get(&asked.pod) else {
            return refused(Refusal::Unknown { what: format!("pod {}", asked.pod) });
        };
        if copy.pod.stage != Stage::Running {
            return refused(Refusal::Superseded);
        }
        let meta = &copy.pod.object.metadata;
        let (namespace, name) = (meta.namespace.clone(), meta.name.clone());
        let record = Record::new(asked.pod, namespace.unwrap_or_default(), name.unwrap_or_default());
        let actor = self.actor(record, ctx);
        soon(actor.send(pod::Prepare { context: asked.context }))
    }

    fn release(&mut self, uid: PodUid, ctx: &mut Context<Self>) -> Reply {
        let stage = self.copies.get(&uid).map(|copy| &copy.pod.stage);
        if stage.is_some_and(|stage| *stage != Stage::Terminated) {
            let why = "the pod's containers may still run".to_owned();
            return refused(Refusal::NotAllowed { why });
        }
        let actor = self.actor(Record::new(uid, String::new(), String::new()), ctx);
        soon(actor.send(pod::Release))
    }
}

type Reply = ResponseFuture<Outcome>;

fn refused(refusal: Refusal) -> Reply {
    ready(Outcome::Refused { refusal }).boxed_local()
}

/// The actor's answer, or that it takes longer.
fn soon(answer: impl Future<Output = Result<Outcome, MailboxError>> + 'static) -> Reply {
    let answering = async {
        match timeout(SOON, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Outcome::Refused { refusal: Refusal::Unavailable },
            Err(_) => Outcome::Accepted,
        }
    };
    answering.boxed_local()
}

impl Actor for Pods {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some((pods, node)) = self.hearings.take() {
            ctx.add_stream(pods);
            ctx.add_stream(node);
        }
    }
}

impl StreamHandler<Heard<Pod>> for Pods {
    fn handle(&mut self, heard: Heard<Pod>, ctx: &mut Self::Context) {
        match heard {
            Heard::Value { state, .. } => self.on_pod(state),
            Heard::Gone { key } => {
                let uid = key.tokens().first().and_then(|token| token.as_str().parse().ok());
                if let Some(uid) = uid {
                    self.on_gone(&uid);
                }
            }
            Heard::Complete => self.on_complete(ctx),
        }
    }
}

impl StreamHandler<Heard<Node>> for Pods {
    fn handle(&mut self, heard: Heard<Node>, _: &mut Self::Context) {
        if let Heard::Value { state, .. } = heard {
            let allocatable = state.object.status.and_then(|status| status.allocatable);
            self.allocatable.send_replace(allocatable.map(Rc::new));
        }
    }
}

impl Handler<Gone> for Pods {
    type Result = ();

    fn handle(&mut self, Gone(uid): Gone, _: &mut Self::Context) {
        self.pods.remove(&uid);
    }
}

impl Handler<Prepare> for Pods {
    type Result = ResponseActFuture<Self, Outcome>;

    fn handle(&mut self, asked: Prepare, _: &mut Self::Context) -> Self::Result {
        let known = self.copies.knows(&asked.pod, asked.decision).into_actor(self);
        Box::pin(known.then(|_, pods, ctx| pods.prepare(asked, ctx).into_actor(pods)))
    }
}

impl Handler<Release> for Pods {
    type Result = ResponseActFuture<Self, Outcome>;

    fn handle(&mut self, asked: Release, _: &mut Self::Context) -> Self::Result {
        let known = self.copies.knows(&asked.pod, asked.decision).into_actor(self);
        Box::pin(known.then(|_, pods, ctx| pods.release(asked.pod, ctx).into_actor(pods)))
    }
}

impl Handler<Bind> for Pods {
    type Result = ResponseFuture<BindSubpathReply>;

    fn handle(&mut self, bind: Bind, _: &mut Self::Context) -> Self::Result {
        let pod = &bind.asked.pod;
        let Some(actor) = self.pods.get(pod) else {
            let refusal = Refusal::Unknown { what: format!("volumes of pod {pod}") };
            return ready(BindSubpathReply::Refused { refusal }).boxed_local();
        };
        let binding = actor.send(bind);
        let unavailable = |_| BindSubpathReply::Refused { refusal: Refusal::Unavailable };
        async move { binding.await.unwrap_or_else(unavailable) }.boxed_local()
    }
}
