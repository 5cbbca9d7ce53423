//! The relay: knows every pod's actor, makes it when a pod is first heard of, and passes on what comes
//! from the bus and from the runtime.
//!
//! It also keeps the weight of the burstable class, which is the sum over its pods.

mod classes;

use crate::{
    actors::pod::{Census, Command, Happened, Listed, Logs, Mounted, PodActor, Wanted},
    core::{labels::PodIdentity, ledger::Ask},
    ports::World,
};
use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, MailboxError, Message, ResponseFuture,
    WrapFuture,
};
use classes::Classes;
use futures::{FutureExt, future::join_all};
use messages::{BootTime, Decision, Outcome, PodUid, Refusal, pod_lifecycle::Pod, volume_mounter::Volumes};
use proto::runtime::v1 as cri;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    rc::Rc,
    time::Duration,
};
use tracing::Span;

/// Messages that may wait for the relay before their senders do.
const MAILBOX: usize = 1024;
/// How often it is looked whether pods can be forgotten and dead containers removed.
const CENSUS: Duration = Duration::from_secs(60);

/// Knows every pod.
pub struct Relay {
    world: Rc<World>,
    pods: BTreeMap<PodUid, Known>,
    classes: Classes,
    /// Whose a sandbox or container is, as the last list showed it: events name ids only, once a
    /// sandbox is gone.
    owners: HashMap<String, PodUid>,
}

/// A pod's actor, and how many messages it was sent.
struct Known {
    actor: Addr<PodActor>,
    sent: u64,
}

impl Relay {
    /// Knows nobody yet.
    pub fn new(world: Rc<World>) -> Self {
        let classes = Classes::new(world.clone());
        Self { world, pods: BTreeMap::new(), classes, owners: HashMap::new() }
    }

    /// The actor of a pod, made if need be. One message is about to be sent to it.
    fn actor(&mut self, pod: &PodUid) -> Addr<PodActor> {
        let world = &self.world;
        let make = || Known { actor: PodActor::new(world.clone(), pod.clone()).start(), sent: 0 };
        let known = self.pods.entry(pod.clone()).or_insert_with(make);
        known.sent += 1;
        known.actor.clone()
    }

    /// The actor of a pod that is known already.
    fn known(&mut self, pod: &PodUid) -> Option<Addr<PodActor>> {
        let known = self.pods.get_mut(pod)?;
        known.sent += 1;
        Some(known.actor.clone())
    }

    /// Forgets those pods of which nothing is left and to which no message is on its way.
    fn census(&mut self, context: &mut Context<Self>) {
        let asked = self.pods.iter().map(|(uid, known)| {
            let uid = uid.clone();
            known.actor.send(Census).map(move |taken| (uid, taken))
        });
        let answers = join_all(asked.collect::<Vec<_>>()).into_actor(self);
        context.spawn(answers.map(|answers, relay, _| {
            for (uid, taken) in answers {
                let sent = relay.pods.get(&uid).map(|known| known.sent);
                if matches!(taken, Ok(Some(taken)) if Some(taken) == sent) {
                    relay.pods.remove(&uid);
                }
            }
        }));
    }
}

impl Actor for Relay {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX);
        context.run_interval(CENSUS, |relay, context| relay.census(context));
    }
}

/// A command, on its way to its pod.
pub struct Route {
    /// The pod.
    pub pod: PodUid,
    /// What is asked.
    pub ask: Ask,
    /// Of which decision.
    pub decision: Decision,
    /// The command's span, to which what is done for it belongs.
    pub span: Span,
}

impl Message for Route {
    type Result = Outcome;
}

impl Handler<Route> for Relay {
    type Result = ResponseFuture<Outcome>;
    fn handle(&mut self, route: Route, _: &mut Context<Self>) -> Self::Result {
        let Route { pod, ask, decision, span } = route;
        let command = Command { ask, decision, span };
        let asked = self.actor(&pod).send(command);
        Box::pin(asked.map(|answer| answer.unwrap_or(Outcome::Refused { refusal: Refusal::Unavailable })))
    }
}

/// The actor of a pod, for a question; `None` for a pod of which nothing is known.
pub struct Whose(pub PodUid);

impl Message for Whose {
    type Result = Option<Addr<PodActor>>;
}

impl Handler<Whose> for Relay {
    type Result = Option<Addr<PodActor>>;
    fn handle(&mut self, Whose(pod): Whose, _: &mut Context<Self>) -> Self::Result {
        self.known(&pod)
    }
}

/// Asks for the logs of all running containers: CRI ids and paths.
pub struct RunningLogs;

impl Message for RunningLogs {
    type Result = Vec<(String, PathBuf)>;
}

impl Handler<RunningLogs> for Relay {
    type Result = ResponseFuture<Vec<(String, PathBuf)>>;
    fn handle(&mut self, _: RunningLogs, _: &mut Context<Self>) -> Self::Result {
        let asked: Vec<_> = self.pods.values().map(|known| known.actor.send(Logs)).collect();
        Box::pin(join_all(asked).map(|all| all.into_iter().flatten().flatten().collect()))
    }
}

/// pod-lifecycle has said a pod, or that it knows it no more.
pub struct PodHeard(pub PodUid, pub Option<Pod>);

impl Message for PodHeard {
    type Result = ();
}

impl Handler<PodHeard> for Relay {
    type Result = ();
    fn handle(&mut self, PodHeard(uid, pod): PodHeard, _: &mut Context<Self>) {
        self.classes.heard(&uid, pod.as_ref());
        match pod {
            Some(pod) => self.actor(&uid).do_send(Wanted(Some(pod))),
            None => drop(self.known(&uid).map(|actor| actor.do_send(Wanted(None)))),
        }
    }
}

/// volume-mounter has said a pod's volumes, or that there are none any more.
pub struct VolumesHeard(pub PodUid, pub Option<Volumes>);

impl Message for VolumesHeard {
    type Result = ();
}

impl Handler<VolumesHeard> for Relay {
    type Result = ();
    fn handle(&mut self, VolumesHeard(uid, volumes): VolumesHeard, _: &mut Context<Self>) {
        match volumes {
            Some(volumes) => self.actor(&uid).do_send(Mounted(Some(volumes))),
            None => drop(self.known(&uid).map(|actor| actor.do_send(Mounted(None)))),
        }
    }
}

/// Everything that the runtime holds.
pub struct Everything {
    /// Sandboxes.
    pub sandboxes: Vec<cri::PodSandbox>,
    /// Containers.
    pub containers: Vec<cri::Container>,
    /// When it was asked for.
    pub at: BootTime,
}

/// Answered once every pod has said what it holds.
impl Message for Everything {
    type Result = ();
}

impl Handler<Everything> for Relay {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, all: Everything, _: &mut Context<Self>) -> Self::Result {
        let at = all.at;
        let mut by_pod: BTreeMap<PodUid, Listed> = BTreeMap::new();
        let empty = || Listed { sandboxes: Vec::new(), containers: Vec::new(), at };
        // What no kubelet made is nobody's.
        for sandbox in all.sandboxes {
            if let Some(pod) = PodIdentity::of(&sandbox.labels) {
                by_pod.entry(pod.uid).or_insert_with(empty).sandboxes.push(sandbox);
            }
        }
        for container in all.containers {
            if let Some(pod) = PodIdentity::of(&container.labels) {
                by_pod.entry(pod.uid).or_insert_with(empty).containers.push(container);
            }
        }
        self.owners =
            by_pod.iter().flat_map(|(uid, listed)| ids(listed).map(|id| (id, uid.clone()))).collect();
        let others: BTreeSet<PodUid> =
            self.pods.keys().filter(|uid| !by_pod.contains_key(uid)).cloned().collect();
        let all = by_pod.into_iter().chain(others.into_iter().map(|uid| (uid, empty())));
        let told: Vec<_> = all.map(|(uid, listed)| self.actor(&uid).send(listed)).collect();
        Box::pin(join_all(told).map(|_: Vec<Result<(), MailboxError>>| ()))
    }
}

fn ids(listed: &Listed) -> impl Iterator<Item = String> {
    let sandboxes = listed.sandboxes.iter().map(|it| it.id.clone());
    sandboxes.chain(listed.containers.iter().map(|it| it.id.clone()))
}

/// The runtime tells that something happened. Whose it is, if it tells that.
pub struct RuntimeEvent {
    /// The sandbox or container.
    pub id: String,
    /// The pod, by the sandbox's labels.
    pub pod: Option<PodUid>,
    /// What.
    pub what: cri::ContainerEventType,
}

impl Message for RuntimeEvent {
    type Result = ();
}

impl Handler<RuntimeEvent> for Relay {
    type Result = ();
    fn handle(&mut self, event: RuntimeEvent, _: &mut Context<Self>) {
        let owner = event.pod.or_else(|| self.owners.get(&event.id).cloned());
        // Of what nobody knows the next list will tell.
        let Some(pod) = owner else { return };
        self.owners.insert(event.id.clone(), pod.clone());
        self.actor(&pod).do_send(Happened { id: event.id, what: event.what });
    }
}
