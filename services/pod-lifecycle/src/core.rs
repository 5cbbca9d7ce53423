//! The rules: facts in, effects out. No IO, no clock, nothing asynchronous.
//!
//! Two machines stand on top. [`life::Life`] is one pod's way from acceptance to nothing left;
//! [`roster::Roster`] merges the sources, admits ([`admission`], with what [`resources`] add up to),
//! and begins and ends lives. Below them every idea has a file:
//!
//! - what is known: [`situation`], seen through [`runtime`] and [`spec`];
//! - what to do: [`plan`], made of [`sandbox`], [`init`], [`regular`], [`image`] and [`halt`], with
//!   [`restart`] policies and [`backoff`] clocks; as [`deed`]s, of which [`flight`] keeps account;
//! - what comes in from files and URLs: [`manifest`], put together by [`gather`];
//! - what to tell: [`status`], [`probes`], [`mirror`], [`event`].

pub mod admission;
pub mod backoff;
pub mod deed;
pub mod event;
pub mod flight;
pub mod fnv;
pub mod gather;
pub mod halt;
pub mod image;
pub mod init;
pub mod life;
pub mod manifest;
pub mod mirror;
pub mod moment;
pub mod plan;
pub mod probes;
pub mod qos;
pub mod regular;
pub mod resources;
pub mod restart;
pub mod roster;
pub mod runtime;
pub mod sandbox;
pub mod situation;
pub mod spec;
pub mod stage;
pub mod status;
#[cfg(test)]
pub(crate) mod testing;
pub mod waiting;
