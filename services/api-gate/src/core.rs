//! The gate's rules: what a request asks for, who may ask it, in which order requests go, and when the
//! API server counts as away. Facts in, effects out; no IO, no async, no clock.

pub(crate) mod budget;
pub(crate) mod class;
pub(crate) mod headers;
pub(crate) mod kubeconfig;
pub(crate) mod link;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod rules;
