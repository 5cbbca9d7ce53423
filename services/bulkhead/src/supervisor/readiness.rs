//! What the service manager is told: READY=1 once the node works, WATCHDOG=1 while the loop turns,
//! STATUS with what is waited for.
//!
//! The node works when every source of pods was read (pod-lifecycle), the runtime answers (cri-bridge)
//! and the ports are open (node-api). Each says so in `health.json` in its folder, the same that it says on the
//! bus: the supervisor has no network, and so a node is reported ready without a bus, too.

use super::core::Fleet;
use crate::{files, process::Process};
use messages::{Owner, health::Health};
use sd_notify::NotifyState;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};
use tracing::{info, warn};

/// Without whom there is no node.
const NEEDED: [Owner; 3] = [Owner::PodLifecycle, Owner::CriBridge, Owner::NodeApi];

/// What was told so far.
pub(crate) struct Readiness {
    node_dir: PathBuf,
    ready: bool,
    status: String,
    watchdog: Option<Watchdog>,
}

struct Watchdog {
    every: Duration,
    fed: Option<Instant>,
}

impl Readiness {
    /// Nothing was told yet; health is read from the processes' folders below `node_dir`.
    pub(crate) fn new(node_dir: PathBuf) -> Self {
        // Twice as often as it is wanted.
        let watchdog = sd_notify::watchdog_enabled().map(|limit| Watchdog { every: limit / 2, fed: None });
        Self { node_dir, ready: false, status: String::new(), watchdog }
    }

    /// Whether there is nothing to wait for, so that the loop may turn slowly.
    pub(crate) fn is_settled(&self) -> bool {
        let hurried = self.watchdog.as_ref().is_some_and(|watchdog| watchdog.every < Duration::from_secs(2));
        self.ready && !hurried
    }

    /// Once in every turn of the loop.
    pub(crate) fn turn(&mut self, fleet: &Fleet) {
        self.feed();
        if self.ready {
            return;
        }
        let waiting: Vec<String> = NEEDED.iter().filter_map(|owner| self.waits(*owner, fleet)).collect();
        if waiting.is_empty() {
            self.ready = true;
            info!("the node is ready");
            tell(&[NotifyState::Ready, NotifyState::Status("ready")]);
        } else {
            self.tell_status(format!("waiting for {}", waiting.join("; ")));
        }
    }

    /// The node is being left.
    pub(crate) fn leaving(&mut self) {
        self.ready = true;
        tell(&[NotifyState::Stopping, NotifyState::Status("leaving; pods stay")]);
    }

    /// What a process waits for; none when it is ready.
    fn waits(&self, owner: Owner, fleet: &Fleet) -> Option<String> {
        let pid = fleet.pid(Process::Service(owner));
        let health = health(&self.node_dir, owner).filter(|health| Some(health.pid) == pid);
        match health {
            Some(health) if health.ready => None,
            Some(health) => Some(format!("{owner} ({})", health.waiting_for.join(", "))),
            None => Some(owner.to_string()),
        }
    }

    fn tell_status(&mut self, status: String) {
        if self.status != status {
            tell(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    fn feed(&mut self) {
        let Some(watchdog) = &mut self.watchdog else { return };
        if watchdog.fed.is_none_or(|fed| fed.elapsed() >= watchdog.every) {
            watchdog.fed = Some(Instant::now());
            tell(&[NotifyState::Watchdog]);
        }
    }
}

/// What a process last said of itself; none when it said nothing, or nothing that can be understood.
pub(crate) fn health(node_dir: &std::path::Path, owner: Owner) -> Option<Health> {
    let path = Process::Service(owner).dir(node_dir).join(chassis::HEALTH_FILE);
    let bytes = files::read_foreign(&path).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Where there is no service manager, nobody hears it and nothing fails.
fn tell(states: &[NotifyState]) {
    if let Err(failure) = sd_notify::notify(states) {
        warn!(error = %failure, "could not tell the service manager");
    }
}
