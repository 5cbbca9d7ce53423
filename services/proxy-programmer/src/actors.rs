//! The one actor.

pub(crate) mod programmer;
