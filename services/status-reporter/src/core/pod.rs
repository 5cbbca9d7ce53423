//! One pod: its status on the way to the API server, its mirror, and its end.
//!
//! [`Pod`] holds what pod-lifecycle wants to be known and what the API server is known to know, and plans
//! one deed at a time from the difference: the newest status always wins, whatever came in between.

pub(crate) mod merge;
pub(crate) mod plan;
pub(crate) mod start;

use super::{backoff, failure::Failure, time::Now};
use k8s_openapi::api::core::v1::PodStatus;
use messages::{
    BootTime,
    pod_lifecycle::{PodSource, Status},
};
use plan::{Class, Deed};
use start::Ended;
use std::time::Duration;

/// How often what others do to a status is undone at most (the stock kubelet looks each 10 s).
const REPAIR: Duration = Duration::from_secs(10);

/// The API server's pod, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct View {
    /// `metadata.uid`: for a static pod not the pod's own, but its mirror's.
    pub(crate) uid: String,
    /// `metadata.resourceVersion`, which grows (KEP-5504); 0 when it is no number.
    pub(crate) version: u64,
    /// It is marked deleted.
    pub(crate) deleting: bool,
    /// The annotation `kubernetes.io/config.mirror`; `None` for a pod that is no mirror.
    pub(crate) mirror: Option<String>,
    /// `status`.
    pub(crate) status: PodStatus,
}

/// What the pod is told.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    /// pod-lifecycle's word.
    Said(Box<Status>),
    /// pod-lifecycle has nothing more to say about it.
    Unsaid,
    /// The API server's object for it.
    Seen(Box<View>),
    /// All objects were seen, and there is none for it.
    Absent,
    /// The object of this UID is gone.
    Gone(String),
    /// The name belongs to another pod for now.
    Displaced,
    /// The UID under which the node is registered, for what it owns.
    Node(Option<String>),
    /// The answer to the deed under way. A deletion leaves nothing to view.
    Answered(Result<Option<Box<View>>, Failure>),
    /// A pause is over, or the API server is back.
    Woke,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Ask for a turn; when it comes, [`Pod::turn`] tells the deed.
    Queue(Class),
    /// Say `Woke` after this time; replaces what was asked for before.
    WakeAfter(Duration),
    /// The start is over.
    Ended(Ended),
    /// A deed failed and the API server says that it always will.
    Refused(Failure),
    /// Nothing is left to be done, ever.
    Leave,
}

/// What is known of the API server's object.
#[derive(Debug, Clone, Default, PartialEq)]
enum Known {
    /// Nothing yet.
    #[default]
    Nothing,
    /// There is none.
    None,
    /// It.
    Some(Box<View>),
    /// Another pod has the name.
    Displaced,
}

impl Known {
    fn view(&self) -> Option<&View> {
        match self {
            Self::Some(view) => Some(view),
            _ => None,
        }
    }
}

/// One pod's reporter.
#[derive(Debug, Default)]
pub(crate) struct Pod {
    wanted: Option<Box<Status>>,
    /// Grows with each word of pod-lifecycle.
    word: u64,
    /// The word that the API server has answered, and for which object: it will not say it better.
    settled: Option<(u64, String)>,
    known: Known,
    /// The newest version seen of any object for it: older sights come late.
    newest: u64,
    node: Option<String>,
    /// The word of which the deed under way tells.
    under_way: Option<(Deed, u64)>,
    failures: u32,
    not_before: BootTime,
    /// When a status was last written.
    written_at: Option<BootTime>,
    /// The life whose start was told of, or of which it is too late to tell.
    ended: Option<u32>,
    started_at: Option<i64>,
    ready_at: Option<i64>,
    /// What follows from the fact that is being taken in.
    effects: Vec<Effect>,
}

impl Pod {
    /// A pod of which nothing is known, but perhaps that the start of one of its lives was told of.
    pub(crate) fn new(ended: Option<u32>) -> Self {
        Self { ended, ..Self::default() }
    }

    /// The newest status, for spans.
    pub(crate) fn wanted(&self) -> Option<&Status> {
        self.wanted.as_deref()
    }

    /// Whether the start of the life that is spoken of has not been told of yet.
    pub(crate) fn is_starting(&self) -> bool {
        self.wanted.as_ref().is_some_and(|status| self.ended != Some(status.life))
    }

    /// Takes a fact in.
    pub(crate) fn step(&mut self, now: Now, fact: Fact) -> Vec<Effect> {
        let may_be_last = matches!(fact, Fact::Unsaid | Fact::Gone(_) | Fact::Answered(_));
        match fact {
            Fact::Said(status) => self.hear(now, status),
            Fact::Unsaid => self.wanted = None,
            Fact::Seen(view) => self.see(now, view),
            Fact::Absent if self.known.view().is_none() => self.known = Known::None,
            Fact::Gone(uid) if self.known.view().is_some_and(|view| view.uid == uid) => {
                self.known = Known::None
            }
            Fact::Absent | Fact::Gone(_) => {}
            Fact::Displaced => (self.known, self.newest) = (Known::Displaced, 0),
            Fact::Node(uid) => self.node = uid,
            Fact::Answered(answer) => self.answered(now, answer),
            Fact::Woke => self.not_before = BootTime::default(),
        }
        if let Some((class, _)) = self.next(now) {
            self.effects.push(Effect::Queue(class));
        } else if may_be_last && self.is_done() {
            self.effects.push(Effect::Leave);
        }
        std::mem::take(&mut self.effects)
    }

    /// The deed whose turn has come; `None` when by now there is none.
    pub(crate) fn turn(&mut self, now: Now) -> Option<Deed> {
        let (_, deed) = self.next(now)?;
        self.under_way = Some((deed.clone(), self.word));
        if matches!(deed, Deed::Patch { .. }) {
            self.written_at = Some(now.boot);
        }
        Some(deed)
    }

    fn hear(&mut self, now: Now, status: Box<Status>) {
        let over = start::is_over(&status.status);
        if self.wanted.as_ref().is_some_and(|was| was.life != status.life) {
            (self.started_at, self.ready_at) = (None, None);
        }
        self.started_at = self.started_at.or(over.then_some(now.unix));
        self.ready_at = self.ready_at.or(start::is_ready(&status.status).then_some(now.unix));
        let is_static = status.source != PodSource::Api;
        self.wanted = Some(status);
        self.word += 1;
        // A static pod is known to nobody but this node: its start is over when it runs.
        if over && is_static {
            self.end(now, now.unix);
        }
        self.look_back(now);
    }

    fn see(&mut self, now: Now, view: Box<View>) {
        if !self.is_news(&view) {
            return;
        }
        let is_spoilt = self.is_settled_for(&view.uid) && !self.is_said_by(&view);
        self.known = Known::Some(view);
        self.look_back(now);
        if is_spoilt {
            self.repair(now);
        }
    }

    /// Somebody else has written what is ours: it is written again, but not each time at once.
    fn repair(&mut self, now: Now) {
        self.settled = None;
        let pause = self
            .written_at
            .map_or(Duration::ZERO, |written_at| REPAIR.saturating_sub(now.boot.since(written_at)));
        if !pause.is_zero() {
            self.not_before = now.boot.after(pause);
            self.effects.push(Effect::WakeAfter(pause));
        }
    }

    fn answered(&mut self, now: Now, answer: Result<Option<Box<View>>, Failure>) {
        let Some((deed, word)) = self.under_way.take() else { return };
        match answer {
            Ok(view) => {
                self.failures = 0;
                self.done(now, &deed, word, view);
            }
            Err(failure) => self.failed(now, deed, word, failure),
        }
    }

    fn failed(&mut self, now: Now, deed: Deed, word: u64, failure: Failure) {
        match (deed, failure) {
            // For that object it is too late; if the pod has another, the watch will tell.
            (Deed::Patch { uid, .. }, Failure::NotFound | Failure::OtherUid) => {
                self.settled = Some((word, uid))
            }
            (_, Failure::NotFound | Failure::OtherUid) => self.known = Known::None,
            (Deed::Patch { uid, .. }, failure @ Failure::Invalid(_)) => {
                self.settled = Some((word, uid));
                self.effects.push(Effect::Refused(failure));
            }
            (_, failure) => self.pause(now, failure),
        }
    }

    fn done(&mut self, now: Now, deed: &Deed, word: u64, view: Option<Box<View>>) {
        if let Deed::Patch { uid, .. } = deed {
            self.settled = Some((word, uid.clone()));
            if view.as_ref().is_some_and(|view| start::is_over(&view.status)) {
                self.end(now, now.unix);
            }
        }
        match view {
            Some(view) if self.is_news(&view) => self.known = Known::Some(view),
            Some(_) => {}
            None => self.known = Known::None,
        }
    }

    /// Versions of pods grow, whichever pod they are of. What is no number is news.
    fn is_news(&mut self, view: &View) -> bool {
        let is_news = view.version == 0 || view.version > self.newest;
        self.newest = self.newest.max(view.version);
        is_news
    }

    /// Whether the start was over before this life of ours wrote anything. An earlier one told of it, unless it was
    /// cut off before it could: then it is told of now, as near as the status tells when it was.
    fn look_back(&mut self, now: Now) {
        let Some(wanted) = self.wanted.as_ref().filter(|_| self.is_starting() && self.written_at.is_none())
        else {
            return;
        };
        let accepted = self.known.view().map(|view| &view.status).filter(|status| start::is_over(status));
        let (Some(accepted), PodSource::Api) = (accepted, wanted.source) else { return };
        match start::latest(accepted).filter(|latest| *latest >= wanted.seen_at) {
            Some(latest) => self.end(now, latest.min(now.unix)),
            // It ran before it came into this node's hands.
            None => self.ended = Some(wanted.life),
        }
    }

    fn end(&mut self, now: Now, at: i64) {
        let Some(status) = self.wanted.as_ref().filter(|status| self.ended != Some(status.life)) else {
            return;
        };
        self.ended = Some(status.life);
        self.effects.push(Effect::Ended(Ended {
            life: status.life,
            began: status.seen_at,
            containers_started: self.started_at.unwrap_or(now.unix).min(at),
            ready: self.ready_at.filter(|ready| *ready <= at),
            ended: at,
        }));
    }

    fn pause(&mut self, now: Now, failure: Failure) {
        self.failures = self.failures.saturating_add(1);
        let pause = backoff::WRITES.pause(self.failures, now.dice, &failure);
        self.not_before = now.boot.after(pause);
        self.effects.push(Effect::WakeAfter(pause));
        if matches!(failure, Failure::Forbidden(_) | Failure::Invalid(_)) && self.failures == 1 {
            self.effects.push(Effect::Refused(failure));
        }
    }

    /// The deed that is to be done now, if any.
    fn next(&self, now: Now) -> Option<(Class, Deed)> {
        if self.under_way.is_some() || now.boot < self.not_before {
            return None;
        }
        plan::next(self)
    }

    /// Whether nobody speaks of it any more and no mirror of it is left.
    fn is_done(&self) -> bool {
        let owes_a_deletion = self.known.view().is_some_and(|view| view.mirror.is_some());
        self.wanted.is_none() && self.under_way.is_none() && !owes_a_deletion
    }

    fn is_settled_for(&self, uid: &str) -> bool {
        self.settled.as_ref().is_some_and(|(word, settled)| *word == self.word && settled == uid)
    }

    fn is_said_by(&self, view: &View) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| merge::is_said(&wanted.status, &view.status))
    }
}

#[cfg(test)]
mod tests;
