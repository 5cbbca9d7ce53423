//! What every process says of itself.

use crate::{BootTime, Incarnation, Key, Kind, Message, Owner, State};
use serde::{Deserialize, Serialize};

/// `{owner}.state.health`: said at each change and at least every 5 s, under the subject of the
/// process that says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Who says it.
    pub owner: Owner,
    /// Which life.
    pub incarnation: Incarnation,
    /// Process id.
    pub pid: u32,
    /// It can do its work.
    pub ready: bool,
    /// What it waits for, one sentence each; empty when ready.
    pub waiting_for: Vec<String>,
    /// When it was said.
    pub at: BootTime,
}

impl Message for Health {
    const OWNER: Owner = Owner::Bulkhead;
    const KIND: Kind = Kind::State;
    const NAME: &'static str = "health";
    fn key(&self) -> Key {
        Key::none()
    }
}
impl State for Health {}
