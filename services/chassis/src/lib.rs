//! What every process of a node stands on: the bus, the trace, the journal, health and a clean end.
//!
//! A service is a library crate with one function, `run(service: chassis::Service)`. The executable
//! hands it to [`run`], which makes one process of it: one thread, an actix system, the lock, the
//! bus connection and the telemetry. Everything a service may touch outside its own job is a field
//! of [`Service`].
//!
//! Where to look: [`bus`] is the only way to NATS, [`telemetry`] the only way to the trace,
//! [`journal`] the only thing remembered across lives, [`clock`] the only reader of clocks,
//! [`config`] the node's settings, [`bucket`] what keeps rates. No rule of Kubernetes lives here.
#![warn(missing_docs)]

pub mod api;
pub mod bucket;
pub mod bus;
pub mod clock;
pub mod config;
pub mod error;
mod events;
mod health;
mod heap;
pub mod identity;
pub mod journal;
mod lifeline;
mod lock;
mod process;
pub mod recent;
mod service;
mod stop;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;

pub use bus::{Answered, AskError, Asked, Bus, BusError, Heard, Hearing, Serving};
pub use events::Events;
pub use health::{HEALTH_FILE, HealthHandle};
pub use journal::Journal;
pub use lifeline::BEAT;
pub use lock::LockError;
pub use process::{Failure, Options, run};
pub use service::Service;
pub use stop::Stop;
