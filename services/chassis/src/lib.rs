//! chassis
pub mod config;
