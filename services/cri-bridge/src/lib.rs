//! cri-bridge
pub mod core;
