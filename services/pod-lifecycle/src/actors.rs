//! The actors: one for the node, which hears everything and keeps the roster, and one for each pod.

mod hearings;
mod node;
mod outbox;
mod pod;
mod refusals;

pub(crate) use hearings::Hearings;
pub(crate) use node::{Empty, Leave, NodeActor, Parts};
