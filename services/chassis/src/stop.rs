//! Being told to leave: by a signal, by the lifeline, or by the process itself.

use tokio::sync::watch;
use tracing::info;

/// Whether this process was told to leave. Cheap to clone; once told, it stays told.
#[derive(Debug, Clone)]
pub struct Stop {
    told: watch::Sender<bool>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { told: watch::Sender::new(false) }
    }
}

impl Stop {
    /// Nobody has told yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns once the process was told. Cancel-safe.
    pub async fn told(&self) {
        let mut told = self.told.subscribe();
        // Cannot fail: `self` holds the sender.
        let _ = told.wait_for(|told| *told).await;
    }

    /// Whether it was told.
    pub fn is_told(&self) -> bool {
        *self.told.borrow()
    }

    /// Tells; the first reason is logged.
    pub fn tell(&self, why: &str) {
        let first = self.told.send_if_modified(|told| !std::mem::replace(told, true));
        if first {
            info!(why, "leaving");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix::test]
    async fn told_once_is_told_for_all_clones_and_for_ever() {
        let stop = Stop::new();
        let clone = stop.clone();
        assert!(!clone.is_told());
        stop.tell("a test");
        clone.told().await;
        clone.told().await;
        assert!(clone.is_told());
    }
}
