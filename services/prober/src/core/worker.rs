//! One container's one probe over time.
//!
//! | the container | what its worker does |
//! |---|---|
//! | has no id, is not running, or its pod has no business with this kind | rests |
//! | is younger than `initialDelaySeconds` | wakes when the delay is over |
//! | has not started, for liveness and readiness | rests |
//! | has started, for startup | rests |
//! | failed liveness or startup for good | is on hold until there is a new container id |
//! | has just come up, for liveness | waits for a period |
//! | has just come up, for the others | looks at it a few times ([`super::infancy`]) |
//! | else | probes each period |
//!
//! Until thresholds settle on something about an instance nothing is said about it.

use super::{
    facts::{Beginning, Effect, Fact, Now, Settled, View},
    infancy::Infancy,
    outcome::Outcome,
    tidings,
    timing::Timing,
};
use messages::{
    BootTime,
    prober::{Finding, ProbeKind},
};
use std::time::Duration;

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
    infancy: Option<Infancy>,
    /// The probe in flight counts only when it succeeds.
    looking: bool,
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
            infancy: None,
            looking: false,
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
            Fact::Probed { container_id, outcome } => self.probed(now, &container_id, outcome),
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
        let came_up = view.running && (is_new || !self.view.running);
        self.view = view;
        if is_new {
            (self.run, self.on_hold, self.said) = (Run::default(), false, None);
        }
        if came_up {
            self.come_up(now);
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

    /// Containers that are older than this process wait for a part of the period, so that they are
    /// not all probed at once.
    fn come_up(&mut self, now: Now) {
        self.infancy = None;
        self.due = now.boot;
        if self.view.started_at < self.beginning.at.unix {
            let has_just_begun = now.boot.since(self.beginning.at.boot) < self.timing.period;
            let wait = self.timing.period.mul_f64(self.beginning.fraction.clamp(0.0, 1.0));
            self.due = if has_just_begun { now.boot.after(wait) } else { now.boot };
        } else if self.timing.initial_delay.is_zero() && self.kind == ProbeKind::Liveness {
            self.due = now.boot.after(self.timing.period);
        } else if self.timing.initial_delay.is_zero() {
            self.infancy = Some(Infancy::from(now.boot));
        }
    }

    fn probed(&mut self, now: Now, container_id: &str, outcome: Outcome) -> Vec<Effect> {
        self.probing = false;
        let is_current = self.view.container_id.as_deref() == Some(container_id);
        if !is_current || !self.view.running || self.is_over() {
            return vec![];
        }
        let infancy = self.infancy.filter(|_| self.looking);
        if let (Some(infancy), false) = (infancy, outcome.is_success()) {
            self.due = infancy.next(now.boot);
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
        self.looking = self.infancy.is_some_and(|infancy| infancy.is_young(now.boot));
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
