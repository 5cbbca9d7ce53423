//! One container's one probe over time.
//!
//! | the container | what its worker does |
//! |---|---|
//! | has no id, is not running, or its pod has no business with this kind | rests |
//! | is younger than `initialDelaySeconds` | wakes when the delay is over |
//! | has not started, for liveness and readiness | rests |
//! | has started, for startup | rests |
//! | failed liveness or startup for good | is on hold until there is a new container id |
//! | else | probes at once and then each period |
//!
//! Until thresholds settle on something about an instance nothing is said about it.

use super::{
    tidings::{self, Tidings},
    timing::Timing,
};
use messages::{
    BootTime,
    prober::{Finding, ProbeKind},
};
use std::time::Duration;

/// A moment on both clocks: periods are measured on the one that never steps, a container's
/// age on the one that the runtime tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since boot.
    pub boot: BootTime,
    /// Nanoseconds since the Unix epoch.
    pub unix: i64,
}

/// The container as pod-lifecycle last told of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// CRI id of the current instance.
    pub container_id: Option<String>,
    /// It runs.
    pub running: bool,
    /// Nanoseconds since the Unix epoch, 0 while it was not started.
    pub started_at: i64,
    /// `status.started`.
    pub started: bool,
    /// The pod is being stopped.
    pub terminating: bool,
}

/// How one probe went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Success,
    /// Well, but somebody should look.
    Warning(String),
    /// Not well.
    Failure(String),
    /// The probe itself went wrong; no result.
    Errored(String),
    /// A compartment of ours was away; no result, and nothing that the pod's owner could mend.
    NotTried(String),
}

/// What can happen to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The container looks like this.
    Seen(View),
    /// The wake-up has come.
    Woken,
    /// The probe of this instance has ended.
    Probed {
        /// CRI id of the instance.
        container_id: String,
        /// How it went.
        outcome: Outcome,
    },
}

/// What a worker wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Probe this instance and come back with [`Fact::Probed`].
    Probe {
        /// CRI id of the instance.
        container_id: String,
    },
    /// Come back with [`Fact::Woken`] after this time; an earlier wake-up is forgotten.
    WakeAfter(Duration),
    /// Remember and say this verdict.
    Settle(Settled),
    /// Write an event.
    Tell(Tidings),
}

/// What thresholds have settled on about an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// CRI id of the instance.
    pub container_id: String,
    /// What.
    pub finding: Finding,
    /// What the last probe said.
    pub message: String,
}

/// What is the same for all workers of this process: when it began, so that the containers that
/// were there before are not all probed at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beginning {
    /// When this process began.
    pub at: Now,
    /// Which part of its first period this worker lets pass, 0 to 1.
    pub fraction: f64,
}

/// Outcomes in a row of the same kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Run {
    failed: bool,
    length: u32,
}

impl Run {
    fn and(self, failed: bool) -> Self {
        let length = if self.failed == failed { self.length.saturating_add(1) } else { 1 };
        Self { failed, length }
    }
}

/// The worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    kind: ProbeKind,
    timing: Timing,
    beginning: Beginning,
    view: View,
    run: Run,
    said: Option<Settled>,
    on_hold: bool,
    probing: bool,
    due: BootTime,
}

impl Worker {
    /// A worker that goes on from what an earlier life last said of the container, if anything.
    pub fn new(kind: ProbeKind, timing: Timing, beginning: Beginning, said: Option<Settled>) -> Self {
        let mut worker = Self {
            kind,
            timing,
            beginning,
            view: View::default(),
            run: Run::default(),
            said: None,
            on_hold: false,
            probing: false,
            due: BootTime::default(),
        };
        if let Some(said) = said {
            worker.view.container_id = Some(said.container_id.clone());
            worker.on_hold = worker.holds_after(said.finding);
            worker.said = Some(said);
        }
        worker
    }

    /// Takes in a fact.
    pub fn step(&mut self, now: Now, fact: Fact) -> Vec<Effect> {
        let mut effects = match fact {
            Fact::Seen(view) => self.see(now, view),
            Fact::Woken => vec![],
            Fact::Probed { container_id, outcome } => self.probed(&container_id, outcome),
        };
        effects.extend(self.go_on(now));
        effects
    }

    /// Somebody waits for the first verdict about an instance that can be probed now.
    pub fn is_awaited(&self) -> bool {
        self.said.is_none() && self.has_business()
    }

    fn see(&mut self, now: Now, view: View) -> Vec<Effect> {
        if view == self.view {
            return vec![];
        }
        let is_new = view.container_id != self.view.container_id;
        let is_first = self.view == View { container_id: view.container_id.clone(), ..View::default() };
        self.view = view;
        if is_new {
            (self.run, self.on_hold, self.said) = (Run::default(), false, None);
        }
        if is_new || is_first {
            self.due = self.first_due(now);
        } else if self.hurries() {
            self.due = now.boot;
        }
        self.settle_without_probing()
    }

    /// A pod that is not ready yet gains from being asked the moment something changes.
    fn hurries(&self) -> bool {
        self.kind == ProbeKind::Readiness && self.finding() != Some(Finding::Success)
    }

    /// What is down is not ready. Nothing is said of its liveness: it may yet come up (while its
    /// postStart hook runs it does not count as running), and must not be killed then.
    fn settle_without_probing(&mut self) -> Vec<Effect> {
        let is_down = !self.view.running && self.view.started_at != 0;
        if self.is_over() {
            self.settle(Finding::Success, String::new())
        } else if is_down && self.kind == ProbeKind::Readiness {
            self.settle(Finding::Failure, String::new())
        } else {
            vec![]
        }
    }

    /// Liveness and startup are of no more interest in a pod that is being stopped.
    fn is_over(&self) -> bool {
        self.view.terminating && self.kind != ProbeKind::Readiness
    }

    /// Containers that are older than this process wait for a part of the period.
    fn first_due(&self, now: Now) -> BootTime {
        let is_older = self.view.started_at < self.beginning.at.unix;
        let has_just_begun = now.boot.since(self.beginning.at.boot) < self.timing.period;
        let wait = self.timing.period.mul_f64(self.beginning.fraction.clamp(0.0, 1.0));
        if is_older && has_just_begun { now.boot.after(wait) } else { now.boot }
    }

    fn probed(&mut self, container_id: &str, outcome: Outcome) -> Vec<Effect> {
        self.probing = false;
        let is_current = self.view.container_id.as_deref() == Some(container_id);
        if !is_current || !self.view.running || self.is_over() {
            return vec![];
        }
        let told = tidings::of(self.kind, &outcome).map(Effect::Tell);
        let settled = match outcome {
            Outcome::Success | Outcome::Warning(_) => self.count(false, String::new()),
            Outcome::Failure(message) => self.count(true, message),
            Outcome::Errored(_) | Outcome::NotTried(_) => vec![],
        };
        told.into_iter().chain(settled).collect()
    }

    fn count(&mut self, failed: bool, message: String) -> Vec<Effect> {
        self.run = self.run.and(failed);
        let (finding, threshold) = if failed {
            (Finding::Failure, self.timing.failure_threshold)
        } else {
            (Finding::Success, self.timing.success_threshold)
        };
        if self.run.length < threshold {
            return vec![];
        }
        self.on_hold = self.holds_after(finding);
        self.settle(finding, message)
    }

    /// A container that failed for good is about to be killed: probing it on would only judge the
    /// dying, or, worse, its successor.
    fn holds_after(&self, finding: Finding) -> bool {
        self.kind != ProbeKind::Readiness && finding == Finding::Failure
    }

    fn finding(&self) -> Option<Finding> {
        self.said.as_ref().map(|said| said.finding)
    }

    fn settle(&mut self, finding: Finding, message: String) -> Vec<Effect> {
        let Some(container_id) = self.view.container_id.clone() else { return vec![] };
        if self.finding() == Some(finding) {
            return vec![];
        }
        let settled = Settled { container_id, finding, message: tidings::short(message) };
        self.said = Some(settled.clone());
        vec![Effect::Settle(settled)]
    }

    fn go_on(&mut self, now: Now) -> Option<Effect> {
        let container_id = self.view.container_id.clone()?;
        if self.probing || !self.has_business() {
            return None;
        }
        let wait = self.delay_left(now).max(self.due.since(now.boot));
        if !wait.is_zero() {
            return Some(Effect::WakeAfter(wait));
        }
        self.probing = true;
        self.due = now.boot.after(self.timing.period);
        Some(Effect::Probe { container_id })
    }

    fn has_business(&self) -> bool {
        let is_its_turn = match self.kind {
            ProbeKind::Startup => !self.view.started && self.finding() != Some(Finding::Success),
            ProbeKind::Liveness | ProbeKind::Readiness => self.view.started,
        };
        self.view.running && !self.on_hold && !self.is_over() && is_its_turn
    }

    /// Never more than the delay itself, whatever the wall clock does.
    fn delay_left(&self, now: Now) -> Duration {
        let age = now.unix.saturating_sub(self.view.started_at);
        let age = Duration::from_nanos(u64::try_from(age).unwrap_or(0));
        self.timing.initial_delay.saturating_sub(age)
    }
}

#[cfg(test)]
mod tests;
