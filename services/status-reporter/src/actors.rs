//! Who acts: `Pods` hears and hands out turns, one `Pod` each writes, `Node`, `Lease` and `Events` do as
//! they are called. None of them waits for another.

pub(crate) mod ears;
pub(crate) mod events;
pub(crate) mod lease;
pub(crate) mod node;
pub(crate) mod pod;
pub(crate) mod pods;

use crate::core::time::Now;
use chassis::clock;
use std::time::{Duration, SystemTime};

/// Now, and a throw of the dice.
fn now() -> Now {
    Now { boot: clock::now_boot(), unix: clock::now_unix(), dice: rand::random() }
}

/// Nanoseconds since the Unix epoch as telemetry has it.
fn system_time(unix: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(unix).unwrap_or_default())
}

/// The API server is back: everyone who waits for it tries at once.
#[derive(Debug, Clone, Copy, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct ApiIsBack;

/// The UID under which the node is registered has changed.
#[derive(Debug, Clone, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct NodeUid(pub(crate) Option<String>);
