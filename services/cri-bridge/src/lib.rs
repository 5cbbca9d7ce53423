//! cri-bridge
pub mod actors;
pub mod adapters;
pub mod config;
pub mod core;
pub mod deeds;
pub mod error;
pub mod ports;
