//! The contract of Bulkhead: every subject and every type that crosses the bus.
//!
//! Each owner's messages are one file named for the owner. A message declares its own
//! address (owner, kind, name, key) once; [`subject`] turns it into a NATS subject and back,
//! and [`catalog`] is the table of who says what to whom, from which the bus permissions,
//! the gate's API rules and the READMEs' lists are generated or checked.
//!
//! No IO and no async here: services reach the bus through `chassis` only.
#![warn(missing_docs)]

mod amount;
pub mod catalog;
mod container_hash;
pub mod cri_bridge;
mod decision;
mod fault;
pub mod health;
mod ids;
mod message;
pub mod pod_lifecycle;
pub mod prober;
pub mod proxy_programmer;
pub mod status_reporter;
pub mod subject;
pub mod volume_mounter;

pub use amount::{Amount, BadAmount};
pub use container_hash::container_hash;
pub use decision::{BootTime, Decision, Incarnation};
pub use fault::{Fault, Outcome, Refusal};
pub use ids::{BadId, ContainerName, NodeName, PodUid, Token};
pub use message::{Command, Event, Key, Kind, Message, Owner, State};
