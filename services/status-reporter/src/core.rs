//! What is reported, when and in which order. Facts in, effects out; no IO, no async, no clock.

pub(crate) mod backoff;
pub(crate) mod events;
pub(crate) mod failure;
pub(crate) mod lease;
pub(crate) mod node;
pub(crate) mod pod;
pub(crate) mod pods;
pub(crate) mod quantity;
pub(crate) mod time;
pub(crate) mod turns;
