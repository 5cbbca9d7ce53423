//! The actors: [`Pods`] and one worker per container and probe. They own their state and do what the
//! core returns.

mod pods;
mod worker;

pub(crate) use pods::{Pods, remember};
