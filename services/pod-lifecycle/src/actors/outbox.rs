//! Facts on their way to a pod's actor.
//!
//! Its mailbox is bounded. While it is full, facts wait here, and of what only the newest counts the
//! newest is kept.

use super::{
    node::Leave,
    pod::{PodActor, Take},
};
use crate::core::life::Fact;
use actix::{Addr, dev::SendError};
use std::{collections::VecDeque, mem::discriminant};

/// The way to one pod's actor.
#[derive(Debug)]
pub(super) struct Outbox {
    actor: Addr<PodActor>,
    waiting: VecDeque<Fact>,
}

impl Outbox {
    pub(super) fn new(actor: Addr<PodActor>) -> Self {
        Self { actor, waiting: VecDeque::new() }
    }

    /// Sends a fact; whether everything has left.
    pub(super) fn send(&mut self, fact: Fact) -> bool {
        if !self.waiting.is_empty() {
            keep_newest(&mut self.waiting, &fact);
        }
        self.waiting.push_back(fact);
        self.flush()
    }

    /// Has the actor stop; the pod goes on.
    pub(super) fn stop(&self) {
        self.actor.do_send(Leave);
    }

    /// Sends what waits; whether everything has left.
    pub(super) fn flush(&mut self) -> bool {
        while let Some(fact) = self.waiting.pop_front() {
            match self.actor.try_send(Take(fact)) {
                Ok(()) => {}
                Err(SendError::Full(Take(fact))) => {
                    self.waiting.push_front(fact);
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
fn keep_newest(waiting: &mut VecDeque<Fact>, fact: &Fact) {
    let replaces = matches!(fact, Fact::Desired(_) | Fact::Runtime(_) | Fact::Volumes(_) | Fact::Node(_));
    if replaces {
        waiting.retain(|old| discriminant(old) != discriminant(fact));
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
            waiting.push_back(fact);
        }
        let kinds: Vec<_> = waiting
            .iter()
            .map(|fact| match fact {
                Fact::Runtime(Some(pod)) => format!("runtime {}", pod.revision),
                Fact::Complete(_) => "complete".into(),
                _ => "node".into(),
            })
            .collect();
        assert_eq!(kinds, ["complete", "node", "runtime 2"]);
    }
}
