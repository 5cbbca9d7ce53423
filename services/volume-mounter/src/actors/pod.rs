//! One pod's volumes: makes them, keeps them fresh, takes them down. What comes next is the core's word
//! ([`crate::core::progress`]); this actor does it and tells.

mod effects;
mod handlers;

use super::{
    pods::Pods,
    watches::{Changed, Watches},
};
use crate::{
    adapters::folders,
    core::{
        layout::Layout,
        path::VolumeName,
        progress::{Fact, Progress, Wake},
        record::Record,
        reference::{self, Reference},
        spec,
        volume::{Part, Source, Volume},
    },
    error::Unmade,
    gather::Known,
    make,
    ports::Tools,
};
use actix::{Actor, Addr, Context, SpawnHandle};
use chassis::{
    Bus, Events, Journal, clock,
    telemetry::{self, Ended, Peer},
};
use messages::{
    BootTime, Outcome,
    pod_lifecycle::{Pod, Stage},
};
use opentelemetry::Context as TraceContext;
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};
use tokio::sync::{OnceCell, oneshot};

pub(super) use handlers::{Abandoned, Desire, Prepare, Release, SayAgain};

/// What every pod's actor uses.
pub(super) struct Kit {
    pub(super) tools: Rc<Tools>,
    pub(super) layout: Rc<Layout>,
    pub(super) bus: Bus,
    pub(super) events: Events,
    pub(super) journal: Journal,
    pub(super) watches: Addr<Watches>,
    pub(super) pods: Addr<Pods>,
}

/// The actor.
pub(super) struct PodActor {
    kit: Kit,
    record: Record,
    /// This service's copy of the pod, once it was heard in this life.
    desired: Option<Arc<Pod>>,
    first_seen: BootTime,
    volumes: BTreeMap<VolumeName, Volume>,
    progress: Progress,
    revision: u64,
    /// Callers that wait for the end of what they asked for.
    waiting: Vec<oneshot::Sender<Outcome>>,
    wakes: BTreeMap<Wake, SpawnHandle>,
    /// Objects that watches have told of and that are not filled in yet.
    told: BTreeMap<Reference, Known>,
    checked: Rc<OnceCell<()>>,
    /// What the making is part of.
    context: TraceContext,
}

impl PodActor {
    pub(super) fn new(kit: Kit, record: Record, desired: Option<Arc<Pod>>, first_seen: BootTime) -> Self {
        let checked = if record.checked { OnceCell::new_with(Some(())) } else { OnceCell::new() };
        Self {
            kit,
            progress: Progress::restored(record.names()),
            record,
            desired,
            first_seen,
            volumes: BTreeMap::new(),
            revision: 0,
            waiting: Vec::new(),
            wakes: BTreeMap::new(),
            told: BTreeMap::new(),
            checked: Rc::new(checked),
            context: TraceContext::new(),
        }
    }

    fn step(&mut self, fact: Fact, ctx: &mut Context<Self>) {
        for effect in self.progress.step(fact) {
            self.perform(effect, ctx);
        }
        if self.progress.is_idle() {
            self.told.clear();
        }
    }

    /// Reads the volumes of the pod, and owns up to them in the journal before anything is mounted.
    fn want(&mut self, pod: &Pod, ctx: &mut Context<Self>) -> Result<(), Unmade> {
        let volumes = spec::of_pod(&pod.object)?;
        folders::make_closed(&self.kit.layout.volumes(&self.record.pod))?;
        folders::make_closed(&self.kit.layout.plugins(&self.record.pod))?;
        let names: Vec<_> = volumes.iter().map(|volume| volume.name.clone()).collect();
        let is_new = !volumes.iter().all(|volume| self.record.volumes.contains_key(volume.name.as_str()));
        for volume in &volumes {
            let folder = self.kit.layout.volume(&self.record.pod, volume);
            let intent = || make::intent(volume, folder.as_deref());
            self.record.volumes.entry(volume.name.to_string()).or_insert_with(intent);
        }
        self.volumes = volumes.into_iter().map(|volume| (volume.name.clone(), volume)).collect();
        if is_new || self.volumes.is_empty() {
            let begun = clock::now_boot();
            self.save();
            telemetry::tell_of(&self.context, Ended::call(Peer::Kernel, "write journal", begun));
        }
        self.step(Fact::Wanted(names), ctx);
        Ok(())
    }

    /// What has been told of the pod now, against what was told before.
    fn desire(&mut self, pod: Arc<Pod>, ctx: &mut Context<Self>) {
        let before = self.desired.replace(pod.clone());
        if self.record.volumes.is_empty() || pod.stage != Stage::Running {
            return;
        }
        // The spec was readable when it was first prepared; a bad change of it changes nothing.
        if before.is_none() && self.want(&pod, ctx).is_ok() {
            self.resume(ctx);
        } else if before.is_some_and(|before| shows_otherwise(&before, &pod)) {
            let changed = self.names_where(shows_fields);
            self.step(Fact::Changed(changed), ctx);
        }
    }

    /// Takes up what an earlier life was doing: following objects, whatever became of them meanwhile,
    /// and renewing tokens.
    fn resume(&mut self, ctx: &mut Context<Self>) {
        let namespace = self.record.namespace.clone();
        let objects: BTreeSet<_> =
            self.volumes.values().flat_map(|volume| reference::of_volume(&namespace, volume)).collect();
        let unknown = || Some(String::new());
        self.follow(objects.into_iter().map(|object| (object, unknown())).collect(), ctx);
        let now = clock::now_unix();
        let waits: Vec<_> = self
            .record
            .volumes
            .iter()
            .filter_map(|(name, owned)| {
                let wait = owned.leases.values().map(|lease| lease.wait(now)).min()?;
                Some((VolumeName::parse(name).ok()?, wait))
            })
            .collect();
        for (name, wait) in waits {
            self.wake_after(Wake::Volume(name), wait, ctx);
        }
    }

    fn names_where(&self, is_it: impl Fn(&Volume) -> bool) -> Vec<VolumeName> {
        self.volumes.values().filter(|volume| is_it(volume)).map(|volume| volume.name.clone()).collect()
    }

    fn on_changed(&mut self, changed: Changed, ctx: &mut Context<Self>) {
        let namespace = self.record.namespace.clone();
        if let Some(now) = changed.now {
            self.told.insert(changed.object.clone(), now);
        }
        let names =
            self.names_where(|volume| reference::of_volume(&namespace, volume).contains(&changed.object));
        self.step(Fact::Changed(names), ctx);
    }
}

/// Whether the downward API would show the pod differently.
fn shows_otherwise(before: &Pod, now: &Pod) -> bool {
    let (before, now) = (&before.object.metadata, &now.object.metadata);
    before.labels != now.labels || before.annotations != now.annotations
}

fn shows_fields(volume: &Volume) -> bool {
    let Source::Content(content) = &volume.source else { return false };
    content.parts.iter().any(|part| matches!(part, Part::DownwardApi(_)))
}

impl Actor for PodActor {
    type Context = Context<Self>;

    /// What an earlier life was told to release is released on.
    fn started(&mut self, ctx: &mut Self::Context) {
        if self.record.releasing {
            self.step(Fact::ReleaseAsked, ctx);
        } else if let Some(pod) = self.desired.take() {
            self.desire(pod, ctx);
        }
    }
}
