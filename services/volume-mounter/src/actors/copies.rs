//! This service's own copies of the pods, and the commands that wait for one.

use crate::core::keep;
use chassis::clock;
use messages::{BootTime, Decision, PodUid, pod_lifecycle::Pod};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::oneshot, time::timeout};

/// So long a command waits for the copy of its pod.
const PATIENCE: Duration = Duration::from_secs(2);

/// One pod, without what volumes do not need.
#[derive(Clone)]
pub(super) struct Copy {
    pub(super) pod: Arc<Pod>,
    pub(super) first_seen: BootTime,
}

/// All pods.
#[derive(Default)]
pub(super) struct Copies {
    copies: BTreeMap<PodUid, Copy>,
    waiting: BTreeMap<PodUid, Vec<(Decision, oneshot::Sender<()>)>>,
}

impl Copies {
    /// Takes in what was told of a pod, and wakes the commands that it makes possible.
    pub(super) fn take(&mut self, pod: Pod) -> Copy {
        let (uid, decision) = (pod.pod.clone(), pod.decision);
        let pod = Arc::new(Pod { object: Box::new(keep::kept(*pod.object)), ..pod });
        let first_seen = self.get(&uid).map_or_else(clock::now_boot, |copy| copy.first_seen);
        let copy = Copy { pod, first_seen };
        self.copies.insert(uid.clone(), copy.clone());
        let waiting = self.waiting.remove(&uid).unwrap_or_default();
        let (ready, early): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(wanted, _)| *wanted <= decision);
        for (_, waiter) in ready {
            // Whoever has stopped waiting needs no answer.
            let _ = waiter.send(());
        }
        if !early.is_empty() {
            self.waiting.insert(uid, early);
        }
        copy
    }

    pub(super) fn get(&self, uid: &PodUid) -> Option<&Copy> {
        self.copies.get(uid)
    }

    pub(super) fn forget(&mut self, uid: &PodUid) {
        self.copies.remove(uid);
    }

    /// Whether a pod is known at least as far as a decision, waiting for it a little. A command and
    /// the state that it is about come by different ways.
    pub(super) fn knows(&mut self, uid: &PodUid, decision: Decision) -> impl Future<Output = bool> + use<> {
        let known = self.get(uid).is_some_and(|copy| copy.pod.decision >= decision);
        let (told, telling) = oneshot::channel();
        if !known {
            let waiting = self.waiting.entry(uid.clone()).or_default();
            waiting.retain(|(_, waiter)| !waiter.is_closed());
            waiting.push((decision, told));
        }
        async move { known || matches!(timeout(PATIENCE, telling).await, Ok(Ok(()))) }
    }
}
