//! The actors: [`Pods`] hears and routes, one `pod` actor per pod keeps its volumes, `watches` follows
//! the objects that they are filled from.

mod commands;
mod copies;
mod pod;
mod pods;
mod watches;

pub(crate) use commands::serve;
pub(crate) use pods::{Pods, Restore};
