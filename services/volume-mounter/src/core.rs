//! The rules of volumes. No async, no clock, no IO.
//!
//! [`spec`] reads a pod's [`volume`]s; [`layout`] says where they stand; [`payload`] and [`downward`]
//! what is in them; [`ownership`] and [`memory`] whose and how big they are; [`token`] when a token
//! is renewed; [`check`] whether the pod is the one that the API server knows; [`progress`] is the
//! pod's state machine, and [`record`] what its journal keeps.

pub mod backoff;
pub mod check;
pub mod downward;
pub mod keep;
pub mod layout;
pub mod memory;
pub mod mount_table;
pub mod ownership;
pub mod path;
pub mod payload;
pub mod progress;
pub mod record;
pub mod reference;
pub mod spec;
pub mod token;
pub mod version;
pub mod volume;
