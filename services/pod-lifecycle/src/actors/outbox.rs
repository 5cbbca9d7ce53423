//! Facts on their way to a pod's actor.
//!
//! Its mailbox is bounded. While it is full, facts wait here, and of what only the newest counts the
//! newest is kept.

use super::{
    node::Leave,
    pod::{PodActor, Take},
    rows::Cause,
};
use crate::core::life::Fact;
use actix::{Addr, dev::SendError};
use std::{collections::VecDeque, mem::discriminant};

/// A fact, and what brought it.
#[derive(Debug, Clone)]
pub(super) struct Notice {
    pub(super) fact: Fact,
    pub(super) cause: Cause,
}

impl From<Fact> for Notice {
    /// A fact of this process's own.
    fn from(fact: Fact) -> Self {
        Self { fact, cause: Cause::own() }
    }
}

/// The way to one pod's actor.
#[derive(Debug)]
pub(super) struct Outbox {
    actor: Addr<PodActor>,
    waiting: VecDeque<Notice>,
}

impl Outbox {
    pub(super) fn new(actor: Addr<PodActor>) -> Self {
        Self { actor, waiting: VecDeque::new() }
    }

    /// Sends a fact; whether everything has left.
    pub(super) fn send(&mut self, notice: Notice) -> bool {
        if !self.waiting.is_empty() {
            keep_newest(&mut self.waiting, &notice.fact);
        }
        self.waiting.push_back(notice);
        self.flush()
    }

    /// Has the actor stop; the pod goes on.
    pub(super) fn stop(&self) {
        self.actor.do_send(Leave);
    }

    /// Sends what waits; whether everything has left.
    pub(super) fn flush(&mut self) -> bool {
        while let Some(notice) = self.waiting.pop_front() {
            match self.actor.try_send(Take(notice)) {
                Ok(()) => {}
                Err(SendError::Full(Take(notice))) => {
                    self.waiting.push_front(notice);
                    return false;
                }
                // Its life is over; nobody waits for this any more.
                Err(SendError::Closed(_)) => self.waiting.clear(),
            }
        }
        true
    }
}

/// Drops what a newer fact of the same kind makes void.
fn keep_newest(waiting: &mut VecDeque<Notice>, fact: &Fact) {
    let replaces = matches!(fact, Fact::Desired(_) | Fact::Runtime(_) | Fact::Volumes(_) | Fact::Node(_));
    if replaces {
        waiting.retain(|old| discriminant(&old.fact) != discriminant(fact));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{situation::NodeFacts, testing::RuntimeBuilder};
    use messages::Owner;

    #[test]
    fn of_what_replaces_only_the_newest_waits() {
        let runtime =
            |revision| Fact::Runtime(Some(Box::new(RuntimeBuilder::new().revision(revision).build())));
        let mut waiting = VecDeque::new();
        for fact in
            [runtime(1), Fact::Complete(Owner::CriBridge), Fact::Node(NodeFacts::default()), runtime(2)]
        {
            keep_newest(&mut waiting, &fact);
            waiting.push_back(fact.into());
        }
        let kinds: Vec<_> = waiting
            .iter()
            .map(|notice| match &notice.fact {
                Fact::Runtime(Some(pod)) => format!("runtime {}", pod.revision),
                Fact::Complete(_) => "complete".into(),
                _ => "node".into(),
            })
            .collect();
        assert_eq!(kinds, ["complete", "node", "runtime 2"]);
    }
}
