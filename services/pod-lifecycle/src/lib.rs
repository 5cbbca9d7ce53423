//! pod-lifecycle

pub mod core;
