//! The rules of cri-bridge: what a pod's spec and the node's facts become in CRI requests, and
//! what the runtime's answers mean. No async, no clock, no IO.
//!
//! One file per idea. [`sandbox`] and [`container`] put the requests together, [`readback`] reads the
//! answers, [`ledger`] decides what a command becomes; the rest are the parts.

pub mod cgroup;
pub mod collection;
pub mod container;
pub mod credentials;
pub mod dns;
pub mod downward;
pub mod env;
pub mod env_file;
pub mod expansion;
pub mod hook;
pub mod hosts;
pub mod image;
pub mod labels;
pub mod ledger;
pub mod linux_resources;
pub mod mounts;
pub mod names;
pub mod node;
pub mod pull;
pub mod qos;
pub mod readback;
pub mod resources;
pub mod rotation;
#[cfg(test)]
mod samples;
pub mod sandbox;
pub mod security;
pub mod service_env;
pub mod spec;
pub mod stop;
pub mod termination;
pub mod turnstile;
