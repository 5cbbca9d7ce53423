//! The rules of the kubelet's ports, without sockets and clocks: who may ask for what, what a query means, what
//! is answered when something is not there, and what the answers look like.

pub(crate) mod access;
pub(crate) mod cache;
pub(crate) mod directory;
pub(crate) mod healthz;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod pod_list;
pub(crate) mod query;
pub(crate) mod refused;
pub(crate) mod run;
pub(crate) mod streams;
pub(crate) mod tls;
pub(crate) mod user;
