//! What a trace is and what can be said of it, without sockets and clocks.
//!
//! On the way in: [`batch`] takes an OTLP export apart into one bounded piece per trace, and [`ring`] keeps
//! the recent ones. On the way out: [`model`] reads the kept bytes, [`tree`] puts spans under their parents,
//! [`window`] and [`scale`] turn moments into places on a line, and [`account`] says where the time went.

pub mod account;
pub mod batch;
pub mod model;
pub mod ring;
pub(crate) mod sample;
pub mod scale;
pub mod tree;
pub mod window;
