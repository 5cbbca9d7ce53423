//! The whole service on a real bus, with scripted neighbours ([`scripted`]): which verdicts are said,
//! and which spans tell of them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scripted;
mod trace;
mod verdicts;
