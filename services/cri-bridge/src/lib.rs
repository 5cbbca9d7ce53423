//! cri-bridge
pub mod adapters;
pub mod core;
