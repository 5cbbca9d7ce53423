//! The actors: one for the node, which hears everything and keeps the roster, and one for each pod.

mod admissions;
mod hearings;
mod node;
mod outbox;
mod pod;
mod refusals;
mod rows;

pub(crate) use hearings::Hearings;
pub(crate) use node::{Empty, Leave, NodeActor, Parts};
