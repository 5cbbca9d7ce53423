//! All pods of the node: the sources merged, new pods admitted, lives begun and ended.
//!
//! A pod waits here until the node object is known and the runtime was listed once: what already
//! runs is never judged. Static pods of one name wait for each other. A pod that comes again while
//! its last life still ends waits for that end. Nothing is taken for gone before its source has
//! delivered, and no orphan is touched before all sources have.

mod door;
mod merge;
mod orphans;

pub use door::Hindrance;

use super::{
    admission::Verdict,
    life::{Origin, Record},
    moment::Moment,
    situation::{Ended, Memory},
    spec,
    stage::Stage,
};
use k8s_openapi::api::core::v1::{Node, Pod};
use messages::{PodUid, pod_lifecycle::PodSource, status_reporter::RecordEvent};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Something that happened to the node's pods.
#[derive(Debug, Clone)]
pub enum Fact {
    /// A source has exactly these pods.
    Delivered {
        /// Which.
        source: PodSource,
        /// All its pods.
        pods: Vec<(PodUid, Pod)>,
    },
    /// A source has this pod now.
    Changed {
        /// Which.
        source: PodSource,
        /// The pod's UID.
        uid: PodUid,
        /// The pod.
        pod: Box<Pod>,
    },
    /// A source does not have this pod any more.
    Removed {
        /// Which.
        source: PodSource,
        /// The pod.
        uid: PodUid,
    },
    /// The node object.
    Node(Box<Node>),
    /// The runtime holds something of a pod.
    Seen(Sighting),
    /// The runtime holds nothing of a pod.
    Unseen(PodUid),
    /// The runtime was listed as a whole.
    RuntimeListed,
    /// Nothing of a pod runs any more; what it asked for is free.
    Stopped(PodUid),
    /// A life is over.
    Finished(PodUid),
    /// The node is to be emptied: every pod goes, and no source brings another.
    Emptied,
    /// Time has passed.
    Woken,
}

/// A pod in the runtime, known by its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Its UID.
    pub uid: PodUid,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// A container of it runs.
    pub runs: bool,
}

/// Something to be done about it.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Begin a life.
    Begin(PodUid, Box<Record>),
    /// A life's pod is desired like this now.
    Desire(PodUid, Box<Pod>),
    /// A life's source has let it go.
    Remove(PodUid),
    /// A life gives way.
    End(PodUid, Ended),
    /// Tell of it.
    Tell(RecordEvent),
    /// Journal [`Roster::lives`].
    SaveLives,
}

/// Settings of the node.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which sources there are.
    pub sources: BTreeSet<PodSource>,
    /// `allowedUnsafeSysctls`.
    pub unsafe_sysctls: Vec<String>,
    /// The kernel enforces AppArmor profiles.
    pub has_apparmor: bool,
}

/// How often a UID lived before, newest last.
pub type Lives = VecDeque<(PodUid, u32)>;

/// The most UIDs whose lives are counted; older ones begin again.
const MOST_LIVES: usize = 512;

/// Where a pod stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// Not admitted yet; a doubtful rejection is not final before then.
    Waiting { doubtful_until: Option<Moment> },
    /// It has a life.
    Living,
    /// It has a life, and holds no resources any more.
    Stopped,
}

#[derive(Debug)]
struct Entry {
    source: PodSource,
    pod: Pod,
    seen_at: Moment,
    life: u32,
    standing: Standing,
    /// Its source has let it go.
    is_removed: bool,
    /// It was turned down, or nobody wants it.
    is_outside: bool,
    /// The same UID again, to begin once this life is over.
    successor: Option<Box<Pod>>,
}

impl Entry {
    fn is_static(&self) -> bool {
        self.source != PodSource::Api
    }

    /// Namespace and name.
    fn full_name(&self) -> (Option<&str>, Option<&str>) {
        (self.pod.metadata.namespace.as_deref(), self.pod.metadata.name.as_deref())
    }
}

/// All pods of the node.
#[derive(Debug)]
pub struct Roster {
    settings: Settings,
    pods: BTreeMap<PodUid, Entry>,
    delivered: BTreeSet<PodSource>,
    node: Option<Box<Node>>,
    runtime_is_listed: bool,
    sightings: BTreeMap<PodUid, Sighting>,
    lives: Lives,
    /// Critical pods that wait for others to leave.
    preempting: BTreeMap<PodUid, BTreeSet<PodUid>>,
    /// Nobody comes in any more.
    is_closed: bool,
    effects: Vec<Effect>,
}

impl Roster {
    /// The roster with the lives of the journal.
    pub fn new(settings: Settings, lives: Lives, records: &[(PodUid, Record)]) -> Self {
        let pods = records.iter().map(|(uid, record)| (uid.clone(), journaled(record))).collect();
        Self {
            settings,
            pods,
            delivered: BTreeSet::new(),
            node: None,
            runtime_is_listed: false,
            sightings: BTreeMap::new(),
            lives,
            preempting: BTreeMap::new(),
            is_closed: false,
            effects: Vec::new(),
        }
    }

    /// What to journal of it.
    pub fn lives(&self) -> &Lives {
        &self.lives
    }

    /// Whether a pod stands here, whatever has become of it.
    pub fn knows(&self, uid: &PodUid) -> bool {
        self.pods.contains_key(uid)
    }

    /// Every source has delivered, and everyone was looked at who waits to come in: what has no life
    /// now has none.
    pub fn is_settled(&self) -> bool {
        self.is_complete() && self.node.is_some() && self.runtime_is_listed
    }

    /// Whether these sources have delivered, as far as they are there.
    pub fn have_delivered(&self, sources: &[PodSource]) -> bool {
        let missing = self.settings.sources.difference(&self.delivered);
        missing.into_iter().all(|source| !sources.contains(source))
    }

    /// Whether every source has delivered.
    pub fn is_complete(&self) -> bool {
        self.delivered == self.settings.sources
    }

    /// What pods wait for, in words for the health of the process.
    pub fn waits_for(&self) -> Vec<String> {
        let source = |source: &PodSource| match source {
            PodSource::Api => "the pods of the API server".to_owned(),
            PodSource::File => "the manifests in staticPodPath".to_owned(),
            PodSource::Http => "the pods of staticPodURL".to_owned(),
        };
        let sources = self.settings.sources.difference(&self.delivered).map(source);
        let node = self.node.is_none().then(|| "the node object".to_owned());
        let runtime = (!self.runtime_is_listed).then(|| "a list of the runtime".to_owned());
        sources.chain(node).chain(runtime).collect()
    }

    /// Takes a fact at a moment; tells what to do, and when to step again with [`Fact::Woken`].
    pub fn step(&mut self, fact: Fact, now: Moment) -> (Vec<Effect>, Option<Moment>) {
        match fact {
            Fact::Delivered { source, pods } => self.deliver(source, pods, now),
            Fact::Changed { source, uid, pod } => self.change(source, uid, *pod, now),
            Fact::Removed { source, uid } => self.remove(source, &uid),
            Fact::Node(node) => self.node = Some(node),
            Fact::Seen(sighting) => drop(self.sightings.insert(sighting.uid.clone(), sighting)),
            Fact::Unseen(uid) => drop(self.sightings.remove(&uid)),
            Fact::RuntimeListed => self.runtime_is_listed = true,
            Fact::Stopped(uid) => self.stop(&uid),
            Fact::Finished(uid) => self.finish(&uid, now),
            Fact::Emptied => self.empty(),
            Fact::Woken => {}
        }
        let wake = self.admit(now);
        self.adopt_orphans(now);
        (std::mem::take(&mut self.effects), wake)
    }

    fn stop(&mut self, uid: &PodUid) {
        if let Some(entry) = self.pods.get_mut(uid).filter(|entry| entry.standing == Standing::Living) {
            entry.standing = Standing::Stopped;
        }
    }

    /// A life is over; the same UID may begin another one.
    fn finish(&mut self, uid: &PodUid, now: Moment) {
        self.sightings.remove(uid);
        let Some(entry) = self.pods.remove(uid) else { return };
        if entry.is_static() {
            self.count_life(uid, entry.life + 1);
        }
        if let Some(pod) = entry.successor {
            self.arrive(entry.source, uid.clone(), *pod, now);
        }
    }

    fn count_life(&mut self, uid: &PodUid, lives: u32) {
        self.lives.retain(|(known, _)| known != uid);
        self.lives.push_back((uid.clone(), lives));
        if self.lives.len() > MOST_LIVES {
            self.lives.pop_front();
        }
        self.effects.push(Effect::SaveLives);
    }

    /// How many lives of a UID are over.
    pub fn life_of(&self, uid: &PodUid) -> u32 {
        self.lives.iter().find(|(known, _)| known == uid).map_or(0, |(_, lives)| *lives)
    }

    /// Begins the life of a pod that stands in the roster.
    fn begin(&mut self, uid: &PodUid, origin: Origin, ended: Option<Ended>, now: Moment) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        let mut memory = remembered(&entry.pod, now);
        merge::trim(&mut entry.pod);
        match origin {
            Origin::Accepted => {}
            Origin::Rejected => (memory.stage, memory.start_is_open) = (Stage::Terminated, false),
            Origin::Orphan => {
                memory.stage = Stage::Running.told_to_end(orphans::GRACE_SECONDS, now);
                (memory.start_is_open, memory.touched) = (false, true);
            }
        }
        entry.standing = if origin == Origin::Rejected { Standing::Stopped } else { Standing::Living };
        entry.is_outside = origin != Origin::Accepted;
        memory.ended = ended;
        let record = Record {
            pod: entry.pod.clone(),
            source: entry.source,
            origin,
            life: entry.life,
            seen_at: entry.seen_at,
            is_removed: entry.is_removed,
            memory,
        };
        self.effects.push(Effect::Begin(uid.clone(), Box::new(record)));
    }
}

/// The memory of a pod that begins a life here. What the API server tells of it may have been told by
/// a node before this one, or by this one before its journal was lost: it is where the telling goes on.
fn remembered(pod: &Pod, now: Moment) -> Memory {
    let mut memory = Memory::new(now);
    if let Some(status) = &pod.status {
        memory.accepted_at = status.start_time.as_ref().map_or(now, Moment::from);
        memory.status = status.clone();
    }
    memory
}

fn journaled(record: &Record) -> Entry {
    let ended = record.memory.stage == Stage::Terminated;
    Entry {
        source: record.source,
        pod: record.pod.clone(),
        seen_at: record.seen_at,
        life: record.life,
        standing: if ended { Standing::Stopped } else { Standing::Living },
        is_removed: record.is_removed,
        is_outside: record.origin != Origin::Accepted,
        successor: None,
    }
}

#[cfg(test)]
mod tests;
