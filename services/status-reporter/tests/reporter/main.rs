//! The whole reporter between a real bus and an API server that keeps what it is told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod node;
mod pods;
mod support;
