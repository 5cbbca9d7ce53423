//! What a process tells of itself: ready, or what it waits for.

use crate::{Bus, clock};
use messages::{Incarnation, Owner, health::Health};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{sync::watch, time::timeout};
use tracing::debug;

/// The file in a process' folder that holds what it last said, for the supervisor, which has no
/// network, and for who asks while the bus is away. Written at each change.
pub const HEALTH_FILE: &str = "health.json";

/// Health is said at least this often; a reader that has not heard it for several of these may
/// worry.
const EVERY: Duration = Duration::from_secs(5);

/// Sets what this process says of its health. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HealthHandle {
    waiting_for: watch::Sender<Vec<String>>,
}

impl Default for HealthHandle {
    fn default() -> Self {
        Self { waiting_for: watch::Sender::new(vec!["its start".to_owned()]) }
    }
}

impl HealthHandle {
    /// The work cannot be done until one thing, such as `the runtime`, is there.
    pub fn waiting_for(&self, what: &str) {
        self.waiting_for_all(vec![what.to_owned()]);
    }

    /// The work cannot be done until all of these are there; none means ready.
    pub fn waiting_for_all(&self, what: Vec<String>) {
        self.waiting_for.send_if_modified(|now| {
            let changed = *now != what;
            *now = what;
            changed
        });
    }

    /// The work can be done.
    pub fn ready(&self) {
        self.waiting_for_all(Vec::new());
    }

    /// Whether it was last said that the work can be done.
    pub fn is_ready(&self) -> bool {
        self.waiting_for.borrow().is_empty()
    }

    /// Says it at each change and every few seconds, for ever; each change also goes into the file in
    /// the process' folder.
    pub(crate) async fn keep_saying(self, bus: Bus, incarnation: Incarnation, dir: PathBuf) {
        let mut changes = self.waiting_for.subscribe();
        let mut changed = true;
        loop {
            let waiting_for = changes.borrow_and_update().clone();
            let health = health(bus.owner(), incarnation, waiting_for);
            if changed && let Err(error) = write(&dir, &health) {
                debug!(%error, dir = %dir.display(), "could not write the health file");
            }
            bus.say(&health).await;
            // Either way it is said again.
            changed = timeout(EVERY, changes.changed()).await.is_ok();
        }
    }
}

/// Replaces the file at once. Not synced: after a crash of the machine nobody asks for it.
fn write(dir: &Path, health: &Health) -> io::Result<()> {
    let (file, draft) = (dir.join(HEALTH_FILE), dir.join("health.draft"));
    fs::write(&draft, serde_json::to_vec(health)?)?;
    fs::rename(draft, file)
}

fn health(owner: Owner, incarnation: Incarnation, waiting_for: Vec<String>) -> Health {
    Health {
        owner,
        incarnation,
        pid: std::process::id(),
        ready: waiting_for.is_empty(),
        waiting_for,
        at: clock::now_boot(),
    }
}
