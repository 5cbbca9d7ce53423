//! The whole service on a real bus, with scripted neighbours ([`scripted`]): what becomes of volumes,
//! and which spans tell of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scripted;
mod trace;
mod volumes;
