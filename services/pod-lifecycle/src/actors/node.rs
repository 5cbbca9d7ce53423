//! The node: hears the sources and the neighbours, keeps the roster, begins lives and passes facts on.

use super::{
    admissions::Admissions,
    outbox::{Notice, Outbox},
    pod::{PodActor, entry},
    refusals::Refusals,
};
use crate::{
    adapters::scribe::Scribe,
    core::{
        event::{FAILED_VALIDATION, Told, of_pod},
        life::{Fact as LifeFact, Life, Origin, Record, Rules},
        moment::Moment,
        roster::{Effect, Fact, Lives, Roster},
        situation::NodeFacts,
        spec,
    },
    ports::News,
};
use actix::{
    Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, SpawnHandle, StreamHandler,
    fut::wrap_future,
};
use chassis::{Bus, Events, HealthHandle, clock};
use messages::{
    Owner, PodUid,
    cri_bridge::RuntimePod,
    pod_lifecycle::{Pod, PodSource, Probes, Refused, Status},
    prober::{ProbeKind, Verdict},
    volume_mounter::Volumes,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tracing::{info, warn};

/// How soon facts are sent again that found a mailbox full.
const AGAIN: Duration = Duration::from_millis(5);

/// What pods' actors work with.
#[derive(Debug, Clone)]
pub(crate) struct Kit {
    /// The bus.
    pub(crate) bus: Bus,
    /// Events.
    pub(crate) events: Events,
    /// The journal of lives.
    pub(crate) scribe: Scribe<Record>,
    /// The node's actor.
    pub(crate) node: Addr<NodeActor>,
}

/// Nothing of a pod runs any more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Stopped(pub(super) PodUid);

/// Nothing of a pod is left.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Finished {
    pub(super) uid: PodUid,
    pub(super) revision: u64,
}

/// A pod has said itself for the first time.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Said(pub(super) PodUid);

/// Let every pod go.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Empty;

/// The process leaves: nothing is decided any more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Leave;

/// What was heard of a pod before it had a life.
#[derive(Debug, Default)]
pub(super) struct Early {
    pub(super) runtime: Option<Box<RuntimePod>>,
    pub(super) volumes: Option<Box<Volumes>>,
    pub(super) verdicts: BTreeMap<(String, ProbeKind), Box<Verdict>>,
}

/// The actor.
pub(crate) struct NodeActor {
    bus: Bus,
    events: Events,
    health: HealthHandle,
    scribe: Scribe<Record>,
    lives: Scribe<Lives>,
    rules: Rules,
    roster: Roster,
    records: Vec<(PodUid, Record)>,
    pods: BTreeMap<PodUid, Outbox>,
    pub(super) early: BTreeMap<PodUid, Early>,
    pub(super) facts: NodeFacts,
    /// Owners that have said everything.
    complete: BTreeSet<Owner>,
    refusals: Refusals,
    admissions: Admissions,
    /// Lives that have not said themselves yet.
    unsaid: BTreeSet<PodUid>,
    has_said: (bool, bool),
    wake: Option<SpawnHandle>,
}

/// What the node's actor is made of.
pub(crate) struct Parts {
    pub(crate) bus: Bus,
    pub(crate) events: Events,
    pub(crate) health: HealthHandle,
    pub(crate) scribe: Scribe<Record>,
    pub(crate) lives: Scribe<Lives>,
    pub(crate) rules: Rules,
    pub(crate) roster: Roster,
    /// The lives of the journal.
    pub(crate) records: Vec<(PodUid, Record)>,
}

impl NodeActor {
    /// Nothing happens before it is started.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { bus, events, health, scribe, lives, rules, roster, records } = parts;
        Self {
            bus,
            events,
            health,
            scribe,
            lives,
            rules,
            roster,
            records,
            pods: BTreeMap::new(),
            early: BTreeMap::new(),
            facts: NodeFacts::default(),
            complete: BTreeSet::new(),
            refusals: Refusals::default(),
            admissions: Admissions::default(),
            unsaid: BTreeSet::new(),
            has_said: (false, false),
            wake: None,
        }
    }

    /// Steps the roster and does what it tells.
    pub(super) fn step(&mut self, fact: Fact, ctx: &mut Context<Self>) {
        let (effects, wake) = self.roster.step(fact, Moment(clock::now_unix()));
        for effect in effects {
            self.perform(effect, ctx);
        }
        self.admissions.follow(&self.roster);
        self.set_wake(wake, ctx);
        self.health.waiting_for_all(self.roster.waits_for());
        self.say_complete(ctx);
    }

    fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Begin(uid, record) => self.begin(uid, *record, ctx),
            Effect::Desire(uid, pod) => self.send(&uid, LifeFact::Desired(pod), ctx),
            Effect::Remove(uid) => self.send(&uid, LifeFact::Removed, ctx),
            Effect::End(uid, why) => self.send(&uid, LifeFact::Ended { why, grace_seconds: None }, ctx),
            Effect::Tell(event) => self.events.record(event),
            Effect::SaveLives => self.lives.save("lives", self.roster.lives().clone()),
        }
    }

    /// Begins a life, with everything that was heard of its pod before.
    fn begin(&mut self, uid: PodUid, record: Record, ctx: &mut Context<Self>) {
        if record.origin != Origin::Rejected {
            info!(pod = spec::title(&record.pod), life = record.life, origin = ?record.origin, "a pod's life begins");
        }
        let first = self.known_of(&uid);
        let life = Life::new(uid.clone(), record, self.rules);
        self.scribe.save(&entry(&uid), life.record().clone());
        let actor = PodActor::new(self.kit(ctx), life, first).start();
        self.unsaid.insert(uid.clone());
        self.pods.insert(uid, Outbox::new(actor));
    }

    fn known_of(&mut self, uid: &PodUid) -> Vec<LifeFact> {
        let early = self.early.remove(uid).unwrap_or_default();
        let verdicts = early.verdicts.into_values().map(LifeFact::Verdict);
        let mut facts: Vec<_> = [LifeFact::Node(self.facts.clone())].into_iter().chain(verdicts).collect();
        facts.extend(early.volumes.map(|volumes| LifeFact::Volumes(Some(volumes))));
        facts.extend(early.runtime.map(|runtime| LifeFact::Runtime(Some(runtime))));
        facts.extend(self.complete.iter().copied().map(LifeFact::Complete));
        facts
    }

    fn kit(&self, ctx: &mut Context<Self>) -> Kit {
        let (bus, events, scribe) = (self.bus.clone(), self.events.clone(), self.scribe.clone());
        Kit { bus, events, scribe, node: ctx.address() }
    }

    /// Passes a fact on to a pod's life; whether there is one.
    pub(super) fn send(&mut self, uid: &PodUid, fact: impl Into<Notice>, ctx: &mut Context<Self>) {
        let Some(outbox) = self.pods.get_mut(uid) else { return };
        if !outbox.send(fact.into()) {
            ctx.run_later(AGAIN, |actor, ctx| actor.flush(ctx));
        }
    }

    /// Whether a pod has a life.
    pub(super) fn lives(&self, uid: &PodUid) -> bool {
        self.pods.contains_key(uid)
    }

    /// Passes a fact on to every life.
    pub(super) fn send_all(&mut self, fact: &LifeFact, ctx: &mut Context<Self>) {
        let uids: Vec<_> = self.pods.keys().cloned().collect();
        for uid in uids {
            self.send(&uid, fact.clone(), ctx);
        }
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        let mut all_have_left = true;
        for outbox in self.pods.values_mut() {
            all_have_left &= outbox.flush();
        }
        if !all_have_left {
            ctx.run_later(AGAIN, |actor, ctx| actor.flush(ctx));
        }
    }

    /// An owner has said everything.
    pub(super) fn on_complete(&mut self, owner: Owner, ctx: &mut Context<Self>) {
        self.complete.insert(owner);
        self.send_all(&LifeFact::Complete(owner), ctx);
        if owner == Owner::CriBridge {
            self.step(Fact::RuntimeListed, ctx);
        }
    }

    fn set_wake(&mut self, wake: Option<Moment>, ctx: &mut Context<Self>) {
        if let Some(old) = self.wake.take() {
            ctx.cancel_future(old);
        }
        self.wake = wake.map(|moment| {
            let pause = moment.since(Moment(clock::now_unix()));
            ctx.run_later(pause, |actor, ctx| actor.step(Fact::Woken, ctx))
        });
    }

    /// Readers may act on what is absent only once every source has spoken, whoever waited was looked
    /// at, and every life has said itself.
    fn say_complete(&mut self, ctx: &mut Context<Self>) {
        let manifests = self.roster.have_delivered(&[PodSource::File, PodSource::Http]);
        if manifests && !std::mem::replace(&mut self.has_said.0, manifests) {
            let bus = self.bus.clone();
            ctx.wait(wrap_future(async move { bus.complete::<Refused>().await }));
        }
        let pods = self.roster.is_settled() && self.unsaid.is_empty();
        if pods && !std::mem::replace(&mut self.has_said.1, pods) {
            let bus = self.bus.clone();
            ctx.wait(wrap_future(async move {
                bus.complete::<Pod>().await;
                bus.complete::<Status>().await;
                bus.complete::<Probes>().await;
            }));
            info!("every source of pods has spoken");
        }
    }

    /// A pod that is new has a row in its trace until it is let in or turned down.
    fn open_admission(&mut self, uid: &PodUid) {
        if !self.roster.knows(uid) {
            self.admissions.open(uid, self.roster.life_of(uid));
        }
    }
}

impl Actor for NodeActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        for (uid, record) in std::mem::take(&mut self.records) {
            self.begin(uid, record, ctx);
        }
        self.step(Fact::Woken, ctx);
    }
}

impl StreamHandler<News> for NodeActor {
    fn handle(&mut self, news: News, ctx: &mut Context<Self>) {
        match news {
            News::Manifests(source, gathered) => {
                let change = self.refusals.take(source, &gathered, &self.events);
                gathered.pods.iter().for_each(|(uid, _)| self.open_admission(uid));
                self.step(Fact::Delivered { source, pods: gathered.pods }, ctx);
                // Of several waits the one that was begun last is over first: refusals before `complete`.
                ctx.wait(wrap_future(change.say(self.bus.clone())));
            }
            News::All(pods) => {
                pods.iter().for_each(|(uid, _)| self.open_admission(uid));
                self.step(Fact::Delivered { source: PodSource::Api, pods }, ctx);
            }
            News::Changed(uid, pod) => {
                self.open_admission(&uid);
                self.step(Fact::Changed { source: PodSource::Api, uid, pod }, ctx);
            }
            News::Gone(uid) => self.step(Fact::Removed { source: PodSource::Api, uid }, ctx),
            News::Refused(pod, why) => {
                warn!(pod = spec::title(&pod), why, "a pod of the API server is refused");
                let Ok(uid) = pod.metadata.uid.as_deref().unwrap_or_default().parse() else { return };
                let told = Told::warning(FAILED_VALIDATION, why);
                self.events.record(of_pod(&pod, &uid, told, Moment(clock::now_unix())));
            }
        }
    }

    /// The sources end only with the process.
    fn finished(&mut self, _: &mut Context<Self>) {}
}

impl Handler<Stopped> for NodeActor {
    type Result = ();
    fn handle(&mut self, Stopped(uid): Stopped, ctx: &mut Context<Self>) {
        self.step(Fact::Stopped(uid), ctx);
    }
}

impl Handler<Finished> for NodeActor {
    type Result = ();
    fn handle(&mut self, Finished { uid, revision }: Finished, ctx: &mut Context<Self>) {
        info!(pod = %uid, "nothing is left of a pod");
        self.rules.revision = self.rules.revision.max(revision);
        self.pods.remove(&uid);
        self.unsaid.remove(&uid);
        self.step(Fact::Finished(uid), ctx);
    }
}

impl Handler<Said> for NodeActor {
    type Result = ();
    fn handle(&mut self, Said(uid): Said, ctx: &mut Context<Self>) {
        self.unsaid.remove(&uid);
        self.say_complete(ctx);
    }
}

impl Handler<Empty> for NodeActor {
    type Result = ();
    fn handle(&mut self, Empty: Empty, ctx: &mut Context<Self>) {
        info!("every pod is let go, and none is taken in any more");
        self.step(Fact::Emptied, ctx);
    }
}

impl Handler<Leave> for NodeActor {
    type Result = ();
    fn handle(&mut self, Leave: Leave, ctx: &mut Context<Self>) {
        self.pods.values().for_each(Outbox::stop);
        ctx.stop();
    }
}
