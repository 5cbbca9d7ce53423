//! What proxy-programmer says: a summary of the packet rules in force.

use crate::{Key, Kind, Message, Owner, State};
use serde::{Deserialize, Serialize};

/// `proxy-programmer.state.table`: what is programmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// `nftables`, `iptables`, `ipvs`, or empty while nothing is programmed.
    pub mode: String,
    /// Service ports in force.
    pub service_ports: u32,
    /// Endpoints in force.
    pub endpoints: u32,
    /// When the last change was committed, nanoseconds since the Unix epoch.
    pub committed_at: i64,
}

impl Message for Table {
    const OWNER: Owner = Owner::ProxyProgrammer;
    const KIND: Kind = Kind::State;
    const NAME: &'static str = "table";
    fn key(&self) -> Key {
        Key::none()
    }
}
impl State for Table {}
