//! Looking at containers that were just started, in a runtime that does not tell when one ends.
//!
//! The list of every second would let each init container of a moment's work cost a second. So what was
//! just started is looked at after growing pauses until the list takes over: its end is seen after at
//! most about twice the time that it ran. The alternative, runtimes' own events beside CRI, would tie
//! us to one of them.

use super::{PodActor, flight::Deed};
use actix::{AsyncContext, Context};
use messages::cri_bridge::ContainerState;
use std::time::Duration;

/// Pauses before each look, from the first to the longest; each twice the one before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(15), Duration::from_millis(500));

impl PodActor {
    /// A deed has ended: if a container runs by it, it is looked at.
    pub(super) fn attend(&mut self, deed: &Deed, context: &mut Context<Self>) {
        let Some((container, attempt)) = deed.starts() else { return };
        let is_it = |it: &&messages::cri_bridge::Container| it.name == *container && it.attempt == attempt;
        let started = self.ledger.containers().iter().find(is_it).map(|it| it.id.clone());
        if let Some(id) = started.filter(|_| !self.world.following.borrow().has_events) {
            Self::look_after(PAUSES.0, id, context);
        }
    }

    fn look_after(pause: Duration, id: String, context: &mut Context<Self>) {
        context.run_later(pause, move |actor, context| {
            if !actor.ledger.stands(&id, Some(ContainerState::Running)) {
                return;
            }
            actor.look_at(id.clone(), context);
            if pause < PAUSES.1 {
                Self::look_after(pause * 2, id, context);
            }
        });
    }
}
