//! Owns what is known and what is programmed. Takes what the API server tells, and sees to it that the kernel has it: one
//! try at a time, each of them off this thread; what comes meanwhile is gathered.

mod left_out;
mod telling;
#[cfg(test)]
mod tests;
mod tries;

use crate::{
    adapters::api_server::{Sight, Watched},
    core::{
        conduct::{Conduct, Next},
        facts::Facts,
        fault::{Kind, Object},
        model::{Change, Model},
        nft::{inventory::Inventory, programme::Programme},
        pace,
    },
    ports::{Kernel, Told},
    settings::Settings,
};
use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture};
use left_out::LeftOut;
use messages::PodUid;
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};
use telling::Said;
use tokio::{task::spawn_blocking, time::Instant};
use tracing::warn;

/// How often it is looked whether somebody changed our rules: they are to be mended within a second.
const LOOK: Duration = Duration::from_millis(250);
/// Every so many looks the addresses of the interfaces are read.
const ADDRESSES: u32 = 8;
/// Pods that a sync is linked to at most.
const LINKS: usize = 16;
/// What must have been read once before anything is written. Ranges of cluster IPs may come later.
const NEEDED: [Watched; 3] = [Watched::Services, Watched::EndpointSlices, Watched::Node];

/// The actor.
pub(crate) struct Programmer {
    settings: Settings,
    facts: Facts,
    model: Model,
    /// What came while the kernel was at work, by what it is about; the newest counts.
    waiting: BTreeMap<Subject, Change>,
    listed: BTreeSet<Watched>,
    broken: BTreeMap<Watched, String>,
    conduct: Conduct,
    left_out: LeftOut,
    /// What is in the kernel, or on its way there.
    programme: Option<Programme>,
    /// What is in the kernel, counted.
    inventory: Inventory,
    /// Nothing while it is at work.
    kernel: Option<Box<dyn Kernel>>,
    told: Rc<dyn Told>,
    /// When the last try ended, and how long it took.
    last: Option<(Instant, Duration)>,
    /// Why the last try did not succeed.
    trouble: String,
    wake: Option<SpawnHandle>,
    looks: u32,
    said: Said,
    /// Pods that became ready since the last try.
    causes: Vec<PodUid>,
}

/// What a change is about.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Object(Object),
    Node,
}

/// Something that was seen at the API server.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Saw(pub(crate) Sight);

impl Programmer {
    /// Knows nothing yet of the node of this name, and does nothing before it is started.
    pub(crate) fn new(settings: Settings, name: &str, kernel: Box<dyn Kernel>, told: Rc<dyn Told>) -> Self {
        let facts = Facts { name: name.to_owned(), ..Facts::default() };
        Self {
            model: Model::of(facts.node(&settings)),
            settings,
            facts,
            waiting: BTreeMap::new(),
            listed: BTreeSet::new(),
            broken: BTreeMap::new(),
            conduct: Conduct::default(),
            left_out: LeftOut::default(),
            programme: None,
            inventory: Inventory::default(),
            kernel: Some(kernel),
            told,
            last: None,
            trouble: String::new(),
            wake: None,
            looks: 0,
            said: Said::default(),
            causes: Vec::new(),
        }
    }

    fn see(&mut self, sight: Sight) {
        match sight {
            Sight::Change(change) => self.take(change),
            Sight::All(kind, all) => self.see_all(kind, &all),
            Sight::Node(seen) => {
                self.works(Watched::Node);
                // whoever deletes the Node takes no traffic away
                self.facts.object = seen.or(self.facts.object.take());
                self.take_facts();
            }
            Sight::Ranges(ranges) => {
                self.works(Watched::ServiceCidrs);
                self.facts.service_ranges = ranges;
                self.take_facts();
            }
            Sight::Broken(what, why) => {
                if self.broken.insert(what, why.clone()).is_none() {
                    warn!(%what, error = why, "cannot be watched; what is known goes on");
                }
            }
        }
    }

    fn see_all(&mut self, kind: Kind, all: &BTreeSet<Object>) {
        let mut missing = self.model.missing_in(kind, all);
        let waiting = self.waiting.keys().filter_map(|subject| match subject {
            Subject::Object(object) if object.kind == kind && !all.contains(object) => Some(object.clone()),
            _ => None,
        });
        missing.extend(waiting);
        for object in missing.into_iter().map(Box::new) {
            self.take(match kind {
                Kind::Service => Change::ServiceGone(object),
                Kind::EndpointSlice => Change::SliceGone(object),
            });
        }
        self.works(match kind {
            Kind::Service => Watched::Services,
            Kind::EndpointSlice => Watched::EndpointSlices,
        });
    }

    fn works(&mut self, what: Watched) {
        self.broken.remove(&what);
        self.listed.insert(what);
    }

    fn take_facts(&mut self) {
        let node = self.facts.node(&self.settings);
        self.take(Change::Node(Box::new(node)));
    }

    /// Before everything was listed a change goes into the model at once, so that nothing is held twice.
    fn take(&mut self, change: Change) {
        if !self.is_listed() {
            let faults = self.model.apply([change]).faults;
            self.report(&faults);
            return;
        }
        if let Change::Slice(slice) = &change {
            let pods = self.model.newly_ready(slice).filter_map(|uid| uid.parse().ok());
            let room = LINKS.saturating_sub(self.causes.len());
            self.causes.extend(pods.take(room));
        }
        let subject = match &change {
            Change::Service(it) => named(Kind::Service, &it.metadata),
            Change::Slice(it) => named(Kind::EndpointSlice, &it.metadata),
            Change::ServiceGone(object) | Change::SliceGone(object) => Subject::Object((**object).clone()),
            Change::Node(_) | Change::LeaveOut(_) => Subject::Node,
        };
        self.waiting.insert(subject, change);
    }

    fn is_listed(&self) -> bool {
        NEEDED.iter().all(|what| self.listed.contains(what))
    }

    /// Does what is to be done next, if the kernel is free for it.
    fn turn(&mut self, ctx: &mut Context<Self>) {
        self.tell_health();
        if self.kernel.is_none() || !self.is_listed() {
            return;
        }
        let since = self.last.map(|(ended, _)| ended.elapsed());
        let took = self.last.map(|(_, took)| took).unwrap_or_default();
        let gather = pace::pause(since, took);
        match self.conduct.next() {
            Next::Ask(without) => self.ask(without, ctx),
            Next::Whole(pause) => {
                let left = since.map_or(Duration::ZERO, |since| pause.saturating_sub(since));
                if self.is_due(left.max(gather), ctx) {
                    self.write_whole(ctx);
                }
            }
            Next::Change if self.waiting.is_empty() => self.try_left_out(ctx),
            Next::Change => {
                if self.is_due(gather, ctx) {
                    self.write_change(ctx);
                }
            }
        }
    }

    /// Whether there is nothing to wait for; if there is, it wakes then.
    fn is_due(&mut self, pause: Duration, ctx: &mut Context<Self>) -> bool {
        if let Some(earlier) = self.wake.take() {
            ctx.cancel_future(earlier);
        }
        if !pause.is_zero() {
            self.wake = Some(ctx.run_later(pause, |programmer, ctx| {
                programmer.wake = None;
                programmer.turn(ctx);
            }));
        }
        pause.is_zero()
    }

    /// Has something done at the kernel, off this thread; then goes on here with what came of it.
    fn at_kernel<T: Send + 'static>(
        &mut self,
        ctx: &mut Context<Self>,
        work: impl FnOnce(&mut dyn Kernel) -> T + Send + 'static,
        then: impl FnOnce(&mut Self, T) + 'static,
    ) {
        let Some(mut kernel) = self.kernel.take() else { return };
        let working = spawn_blocking(move || {
            let came_of_it = work(&mut *kernel);
            (kernel, came_of_it)
        });
        ctx.spawn(working.into_actor(self).map(|done, programmer, ctx| match done {
            Ok((kernel, came_of_it)) => {
                programmer.kernel = Some(kernel);
                then(programmer, came_of_it);
                programmer.turn(ctx);
            }
            Err(failure) if failure.is_panic() => std::panic::resume_unwind(failure.into_panic()),
            Err(_) => (), // the process is leaving
        }));
    }

    /// Looks after what nobody tells of: other people's hands in our rules, addresses, what waits to be said or tried.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.say();
        let reads_addresses = self.looks.is_multiple_of(ADDRESSES);
        if self.kernel.is_some() {
            self.looks = self.looks.wrapping_add(1);
            self.look(reads_addresses, ctx);
        }
    }
}

impl Actor for Programmer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.tell_health();
        self.tick(ctx);
        ctx.run_interval(LOOK, Self::tick);
    }
}

impl Handler<Saw> for Programmer {
    type Result = ();

    fn handle(&mut self, Saw(sight): Saw, ctx: &mut Context<Self>) {
        self.see(sight);
        self.turn(ctx);
    }
}

fn named(kind: Kind, metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> Subject {
    Subject::Object(Object::new(kind, metadata.namespace.as_deref(), metadata.name.as_deref()))
}
