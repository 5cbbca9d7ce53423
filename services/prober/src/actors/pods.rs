//! All pods with probes: hears which, keeps a worker for each probe, remembers and says verdicts.

use super::worker::{Leave, Look, Post, Telling, Tools, Worker};
use crate::{
    core::{
        facts::{Beginning, Now},
        fleet::{Place, Wanted, wanted},
        ledger::Ledger,
        timing::Timing,
        worker::Worker as Core,
    },
    ports::{Subject, Target},
};
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, StreamHandler, WrapFuture};
use chassis::{Heard, Hearing, Service, clock, error};
use messages::{Key, Message as _, PodUid, pod_lifecycle::Probes, prober::Verdict};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};
use tracing::{Instrument, Span, error};

/// The journal's folder, one entry per pod.
const FOLDER: &str = "verdicts";

/// Reads what an earlier life has said and says it again, so that no verdict is lost with a process.
pub(crate) async fn remember(service: &Service) -> Ledger {
    let names = service.journal.names(FOLDER).unwrap_or_else(|failure| {
        error!(error = error::chain(&failure), "the journal can't be listed");
        Vec::new()
    });
    let entries = names.iter().filter_map(|name| match service.journal.load::<Vec<Verdict>>(name) {
        Ok(entry) => entry,
        Err(failure) => {
            error!(error = error::chain(&failure), "a journal entry can't be read");
            None
        }
    });
    let ledger = Ledger::of(entries.flatten());
    for verdict in ledger.all() {
        service.bus.say(verdict).await;
    }
    service.bus.complete::<Verdict>().await;
    ledger
}

/// The actor.
pub(crate) struct Pods {
    service: Service,
    target: Rc<dyn Target>,
    ledger: Ledger,
    began: Now,
    hearing: Option<Hearing<Probes>>,
    workers: BTreeMap<PodUid, BTreeMap<Place, Hand>>,
}

/// A worker, and the probe that it was made for.
struct Hand {
    address: Addr<Worker>,
    wanted: Wanted,
}

/// A worker has settled on something.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Verdicts {
    pub(super) verdict: Verdict,
    /// What the saying is part of.
    pub(super) span: Span,
}

impl Pods {
    /// Nothing is probed before the actor is started.
    pub(crate) fn new(
        service: Service,
        target: Rc<dyn Target>,
        ledger: Ledger,
        hearing: Hearing<Probes>,
    ) -> Self {
        let began = Now { boot: clock::now_boot(), unix: clock::now_unix() };
        Self { service, target, ledger, began, hearing: Some(hearing), workers: BTreeMap::new() }
    }

    fn on_probes(&mut self, probes: &Probes, told: &Telling, ctx: &mut Context<Self>) {
        let wanted = wanted(probes);
        self.drop_places(&probes.pod, &wanted.keys().cloned().collect(), ctx);
        for (place, wanted) in wanted {
            let worker = self.worker(probes, &place, &wanted, ctx);
            worker.do_send(Look { wanted, told: told.clone() });
        }
    }

    /// The worker of a place: the one that is there, unless its probe has changed.
    fn worker(
        &mut self,
        pod: &Probes,
        place: &Place,
        wanted: &Wanted,
        ctx: &mut Context<Self>,
    ) -> Addr<Worker> {
        let hands = self.workers.entry(pod.pod.clone()).or_default();
        if let Some(hand) = hands.get(place).filter(|hand| hand.wanted.probe == wanted.probe) {
            return hand.address.clone();
        }
        let address = self.hire(pod, place, wanted, ctx);
        let hand = Hand { address: address.clone(), wanted: wanted.clone() };
        let hands = self.workers.entry(pod.pod.clone()).or_default();
        if let Some(earlier) = hands.insert(place.clone(), hand) {
            earlier.address.do_send(Leave);
        }
        address
    }

    fn hire(&self, pod: &Probes, place: &Place, wanted: &Wanted, ctx: &mut Context<Self>) -> Addr<Worker> {
        let (container, probe) = place.clone();
        let beginning = Beginning { at: self.began, fraction: rand::random() };
        let said = self.ledger.settled(&pod.pod, place);
        let core = Core::new(probe, Timing::of(&wanted.probe), beginning, said);
        let subject = Subject { pod: pod.pod.clone(), container, container_id: String::new(), probe };
        let post = Post { subject, namespace: pod.namespace.clone(), pod_name: pod.name.clone() };
        let events = self.service.events.clone();
        let tools = Tools { target: self.target.clone(), events, pods: ctx.address() };
        Worker::new(post, tools, core, wanted.clone()).start()
    }

    /// Lets go of every place of a pod that is not kept.
    fn drop_places(&mut self, pod: &PodUid, kept: &BTreeSet<Place>, ctx: &mut Context<Self>) {
        if let Some(hands) = self.workers.get_mut(pod) {
            hands.retain(|place, hand| {
                let stays = kept.contains(place);
                if !stays {
                    hand.address.do_send(Leave);
                }
                stays
            });
            if hands.is_empty() {
                self.workers.remove(pod);
            }
        }
        let struck = self.ledger.keep(pod, kept);
        if !struck.is_empty() {
            self.write(pod);
            self.retract(struck, ctx);
        }
    }

    fn retract(&self, struck: Vec<Verdict>, ctx: &mut Context<Self>) {
        let bus = self.service.bus.clone();
        let retracting = async move {
            for verdict in struck {
                bus.retract::<Verdict>(&verdict.key()).await;
            }
        };
        ctx.wait(retracting.into_actor(self));
    }

    fn write(&self, pod: &PodUid) {
        let name = format!("{FOLDER}/{pod}");
        let entry = self.ledger.of_pod(pod);
        let journal = &self.service.journal;
        let written = if entry.is_empty() { journal.remove(&name) } else { journal.jot(&name, &entry) };
        if let Err(failure) = written {
            error!(error = error::chain(&failure), %pod, "verdicts are not in the journal");
        }
    }

    /// What is not heard of any more when everything was told has gone while this process was away.
    fn on_complete(&mut self, ctx: &mut Context<Self>) {
        let gone: Vec<PodUid> =
            self.ledger.pods().filter(|pod| !self.workers.contains_key(pod)).cloned().collect();
        for pod in gone {
            self.drop_places(&pod, &BTreeSet::new(), ctx);
        }
        self.service.health.ready();
    }
}

fn pod_of(key: &Key) -> Option<PodUid> {
    key.tokens().first()?.as_str().parse().ok()
}

impl Actor for Pods {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(hearing) = self.hearing.take() {
            ctx.add_stream(hearing);
        }
    }
}

impl StreamHandler<Heard<Probes>> for Pods {
    fn handle(&mut self, heard: Heard<Probes>, ctx: &mut Self::Context) {
        match heard {
            Heard::Value { state, context, said, .. } => {
                let queued_for = clock::now_boot().since(said);
                self.on_probes(&state, &Telling { context, queued_for }, ctx);
            }
            Heard::Gone { key } => {
                if let Some(pod) = pod_of(&key) {
                    self.drop_places(&pod, &BTreeSet::new(), ctx);
                }
            }
            Heard::Complete => self.on_complete(ctx),
        }
    }
}

impl Handler<Verdicts> for Pods {
    type Result = ();

    /// Into the journal before onto the bus: what was said must outlive this process.
    fn handle(&mut self, Verdicts { verdict, span }: Verdicts, ctx: &mut Self::Context) {
        let place = (verdict.container.clone(), verdict.probe);
        let is_kept = self.workers.get(&verdict.pod).is_some_and(|hands| hands.contains_key(&place));
        if !is_kept {
            return;
        }
        self.ledger.enter(verdict.clone());
        self.write(&verdict.pod);
        let bus = self.service.bus.clone();
        let saying = async move { bus.say(&verdict).await }.instrument(span);
        ctx.wait(saying.into_actor(self));
    }
}
