//! TCP probes: a connection that opens is well.

use super::{HostPort, socket};
use crate::core::outcome::Outcome;
use std::time::Duration;

/// Opens a connection and closes it again.
pub async fn probe(host: &str, port: u16, timeout: Duration) -> Outcome {
    match tokio::time::timeout(timeout, socket::connect(host, port)).await {
        Ok(Ok(_)) => Outcome::Success,
        Ok(Err(why)) => Outcome::Failure(why),
        Err(_) => Outcome::Failure(format!("dial tcp {}: i/o timeout", HostPort(host, port))),
    }
}
