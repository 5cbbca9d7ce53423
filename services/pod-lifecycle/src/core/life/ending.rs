//! A pod that ends: everything stops, then volumes go, then what the runtime still holds.
//!
//! A pod that merely finished keeps its dead containers, for their logs, until it is deleted. A pod
//! that was deleted is released once nothing of it is left, and forgotten once its source has let
//! it go.

use super::{
    super::{deed::Deed, moment::Moment, runtime::View, situation::Known, stage::Stage},
    Effect, Life, Origin,
};

impl Life {
    /// Moves on once the runtime shows that nothing of the pod runs.
    pub(super) fn look_whether_stopped(&mut self) {
        let is_ending = matches!(self.record.memory.stage, Stage::Terminating { .. });
        if is_ending && self.is_stopped() {
            self.go(self.record.memory.stage.stopped());
        }
    }

    /// Nothing runs, and nothing that was asked before can start any more.
    fn is_stopped(&self) -> bool {
        let shown = match &self.world.runtime {
            Known::Unheard => return self.record.origin == Origin::Rejected,
            Known::Absent => true,
            Known::Present(pod) => View(Some(pod)).is_stopped(),
        };
        shown && (self.stop_is_confirmed || !self.may_start())
    }

    /// Whether a start may still be on its way: something was asked, or the runtime holds
    /// something that this process did not ask for.
    fn may_start(&self) -> bool {
        self.record.memory.touched || !View(self.world.runtime.get()).sandboxes().is_empty()
    }

    /// Asks for what ending needs next.
    pub(super) fn end_on(&mut self, now: Moment) {
        match self.record.memory.stage {
            Stage::Running => {}
            Stage::Terminating { .. } => self.stop(now),
            Stage::Terminated => self.give_back(),
        }
    }

    /// A shorter grace than one that is in flight is asked for beside it.
    fn stop(&mut self, now: Moment) {
        let Stage::Terminating { grace_seconds, .. } = self.record.memory.stage else { return };
        if matches!(self.world.runtime, Known::Unheard) {
            return;
        }
        let is_shorter = self.asked_grace.is_none_or(|asked| grace_seconds < asked);
        let deed = Deed::StopPod { grace_seconds: self.record.memory.stage.grace_left(now) };
        let asked = if is_shorter { self.ask_instead(deed) } else { self.ask(deed) };
        if asked {
            self.asked_grace = Some(grace_seconds);
        }
    }

    fn give_back(&mut self) {
        let rejected = self.record.origin == Origin::Rejected;
        if !rejected && self.world.volumes.get().is_some() {
            self.ask(Deed::ReleaseVolumes);
            return;
        }
        let remove_containers = self.is_leaving();
        if !rejected && self.world.volumes.is_absent() && self.holds(remove_containers) {
            self.ask(Deed::Forget { remove_containers });
        }
        if self.is_gone() && (self.record.is_removed || self.record.origin == Origin::Orphan) {
            self.effects.push(Effect::Finish);
        }
    }

    /// Whether the runtime still holds what is to be given back now.
    fn holds(&self, remove_containers: bool) -> bool {
        let view = View(self.world.runtime.get());
        view.has_cgroup() || (remove_containers && !view.is_empty())
    }

    /// Nothing of the pod is left on this node.
    pub(super) fn is_gone(&self) -> bool {
        let heard = !matches!(self.world.runtime, Known::Unheard);
        let empty = heard && View(self.world.runtime.get()).is_empty();
        let nothing = empty && self.world.volumes.is_absent();
        self.record.memory.stage == Stage::Terminated && (nothing || self.record.origin == Origin::Rejected)
    }
}
