//! All pods: hears which there are, brings back what an earlier life left, and hands commands to the
//! pods' own actors.

use super::{
    commands::{Bind, Prepare, Release, SOON},
    pod::{self, Desire, Kit, PodActor},
    watches::Watches,
};
use crate::{
    core::{downward::Allocatable, keep, layout::Layout, mount_table, record::Record},
    ports::Tools,
};
use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, ResponseActFuture, ResponseFuture,
    StreamHandler, WrapFuture,
};
use chassis::{Heard, Hearing, Service, clock, error};
use futures::FutureExt;
use messages::{
    BootTime, Decision, Outcome, PodUid, Refusal,
    pod_lifecycle::{Pod, Stage},
    status_reporter::Node,
    volume_mounter::{BindSubpathReply, Volumes},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use tracing::{error, info, warn};

/// The journal's folder, one entry per pod.
pub(super) const FOLDER: &str = "pods";
/// So long a command waits for this service's own copy of the pod.
const COPY_PATIENCE: Duration = Duration::from_secs(2);
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
    copies: BTreeMap<PodUid, Copy>,
    pods: BTreeMap<PodUid, Addr<PodActor>>,
    waiting: BTreeMap<PodUid, Vec<(Decision, oneshot::Sender<()>)>>,
}

/// This service's copy of a pod.
struct Copy {
    pod: Arc<Pod>,
    first_seen: BootTime,
}

/// Nothing of a pod is left.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Gone(pub(super) PodUid);

/// Bring back what an earlier life has left, say it, and say that it is everything.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Restore;

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
            copies: BTreeMap::new(),
            pods: BTreeMap::new(),
            waiting: BTreeMap::new(),
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
        let copy = self.copies.get(&uid);
        let first_seen = copy.map_or_else(clock::now_boot, |copy| copy.first_seen);
        let desired = copy.map(|copy| copy.pod.clone());
        let make = || PodActor::new(kit, record, desired, first_seen).start();
        self.pods.entry(uid).or_insert_with(make).clone()
    }

    fn on_pod(&mut self, pod: Pod) {
        let uid = pod.pod.clone();
        let pod = Arc::new(Pod { object: Box::new(keep::kept(*pod.object)), ..pod });
        let first_seen = self.copies.get(&uid).map_or_else(clock::now_boot, |copy| copy.first_seen);
        if let Some(actor) = self.pods.get(&uid) {
            actor.do_send(Desire { pod: pod.clone(), first_seen });
        }
        for (decision, waiter) in self.waiting.remove(&uid).unwrap_or_default() {
            if decision <= pod.decision {
                // Whoever has stopped waiting needs no answer.
                let _ = waiter.send(());
            } else {
                self.waiting.entry(uid.clone()).or_default().push((decision, waiter));
            }
        }
        self.copies.insert(uid, Copy { pod, first_seen });
    }

    /// A pod of which nothing is left needs no volumes, whatever became of the command that said so.
    fn on_gone(&mut self, uid: &PodUid) {
        self.copies.remove(uid);
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

    fn orphans(&self) -> BTreeSet<PodUid> {
        self.pods.keys().filter(|uid| !self.copies.contains_key(*uid)).cloned().collect()
    }

    /// Whether this service knows the pod at least as far as a decision, waiting for it a little.
    fn knows(&mut self, uid: &PodUid, decision: Decision) -> impl Future<Output = bool> + use<> {
        let known = self.copies.get(uid).is_some_and(|copy| copy.pod.decision >= decision);
        let (told, telling) = oneshot::channel();
        if !known {
            let waiting = self.waiting.entry(uid.clone()).or_default();
            waiting.retain(|(_, waiter)| !waiter.is_closed());
            waiting.push((decision, told));
        }
        async move { known || matches!(timeout(COPY_PATIENCE, telling).await, Ok(Ok(()))) }
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

    /// What the journal tells, as far as it still stands.
    fn restore(&mut self, ctx: &mut Context<Self>) {
        let mounted: BTreeSet<PathBuf> = match self.tools.mounter.table() {
            Ok(table) => mount_table::mount_points(&table).into_iter().collect(),
            Err(failure) => {
                error!(error = error::chain(&failure), "the table of mounts can't be read");
                BTreeSet::new()
            }
        };
        for mut record in self.records() {
            record.keep_standing(|path, is_mount| match is_mount {
                true => mounted.contains(path),
                // A path of the host is the host's business, and looking at it may hang.
                false => !path.starts_with(self.layout.pods()) || path.exists(),
            });
            self.actor(record, ctx);
        }
        self.tell_of_strangers();
    }

    fn records(&self) -> Vec<Record> {
        let journal = &self.service.journal;
        let names = journal.names(FOLDER).unwrap_or_else(|failure| {
            error!(error = error::chain(&failure), "the journal can't be listed");
            Vec::new()
        });
        let read = |name: &String| {
            journal.load::<Record>(name).unwrap_or_else(|failure| {
                error!(error = error::chain(&failure), "a journal entry can't be read");
                None
            })
        };
        names.iter().filter_map(read).collect()
    }

    /// Folders that this service has not made are left: they may be a stock kubelet's, whose pods are
    /// about to be taken over.
    fn tell_of_strangers(&self) {
        let Ok(entries) = std::fs::read_dir(self.layout.pods()) else { return };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let is_ours = |name: &String| name.parse().is_ok_and(|uid: PodUid| self.pods.contains_key(&uid));
        let strangers = names.filter(|name| !is_ours(name)).count();
        if strangers > 0 {
            info!(count = strangers, "folders of pods that this service has not made");
        }
    }
}

type Reply = std::pin::Pin<Box<dyn Future<Output = Outcome>>>;

fn refused(refusal: Refusal) -> Reply {
    std::future::ready(Outcome::Refused { refusal }).boxed_local()
}

/// The actor's answer, or that it takes longer.
fn soon(answer: impl Future<Output = Result<Outcome, actix::MailboxError>> + 'static) -> Reply {
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

impl Handler<Restore> for Pods {
    type Result = ();

    fn handle(&mut self, _: Restore, ctx: &mut Self::Context) {
        self.restore(ctx);
        let (bus, actors) = (self.service.bus.clone(), self.pods.values().cloned().collect::<Vec<_>>());
        let saying = async move {
            for actor in actors {
                // One that has nothing left to say is gone already.
                let _ = actor.send(pod::SayAgain).await;
            }
            bus.complete::<Volumes>().await;
        };
        ctx.spawn(saying.into_actor(self));
    }
}

impl Handler<Gone> for Pods {
    type Result = ();

    fn handle(&mut self, Gone(uid): Gone, _: &mut Self::Context) {
        self.pods.remove(&uid);
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

impl Handler<Prepare> for Pods {
    type Result = ResponseActFuture<Self, Outcome>;

    fn handle(&mut self, asked: Prepare, _: &mut Self::Context) -> Self::Result {
        let known = self.knows(&asked.pod, asked.decision).into_actor(self);
        Box::pin(known.then(|_, pods, ctx| pods.prepare(asked, ctx).into_actor(pods)))
    }
}

impl Handler<Release> for Pods {
    type Result = ResponseActFuture<Self, Outcome>;

    fn handle(&mut self, asked: Release, _: &mut Self::Context) -> Self::Result {
        let known = self.knows(&asked.pod, asked.decision).into_actor(self);
        Box::pin(known.then(|_, pods, ctx| pods.release(asked.pod, ctx).into_actor(pods)))
    }
}

impl Handler<Bind> for Pods {
    type Result = ResponseFuture<BindSubpathReply>;

    fn handle(&mut self, asked: Bind, _: &mut Self::Context) -> Self::Result {
        let Some(actor) = self.pods.get(&asked.0.pod) else {
            let refusal = Refusal::Unknown { what: format!("volumes of pod {}", asked.0.pod) };
            return std::future::ready(BindSubpathReply::Refused { refusal }).boxed_local();
        };
        let binding = actor.send(asked);
        let unavailable = |_| BindSubpathReply::Refused { refusal: Refusal::Unavailable };
        async move { binding.await.unwrap_or_else(unavailable) }.boxed_local()
    }
}

/// The key of a pod's state.
pub(super) fn key(uid: &PodUid) -> messages::Key {
    messages::Key::from(uid)
}
