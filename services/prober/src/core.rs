//! The rules of probing: facts about a container and outcomes of probes in, verdicts and wake-ups
//! out. No async, no clock, no IO.
//!
//! [`worker`] is one container's one probe over time, [`facts`] what it is told, [`outcome`] how a probe
//! went, [`infancy`] its first second; [`timing`] and [`check`] read it from the spec; [`fleet`] says which
//! workers a pod needs; [`ledger`] is what was said, for the journal; [`tidings`] words the events. Called by
//! the actors alone.

pub mod check;
pub mod facts;
pub mod fleet;
pub mod headers;
pub mod infancy;
pub mod ledger;
pub mod outcome;
pub mod tidings;
pub mod timing;
pub mod worker;
