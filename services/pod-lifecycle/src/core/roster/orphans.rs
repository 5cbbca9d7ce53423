//! Pods that the runtime holds and nobody wants.
//!
//! CRI has one name space for all: what looks like an orphan may be a pod whose source has not
//! spoken. So nothing is touched before every source has delivered, and without an API server, which
//! alone would know all pods, nothing is touched at all.

use super::{Entry, Origin, Roster, Sighting, Standing};
use crate::core::moment::Moment;
use k8s_openapi::api::core::v1::Pod;
use messages::{PodUid, pod_lifecycle::PodSource};

/// What containers of an orphan are given, as by the stock kubelet.
pub(super) const GRACE_SECONDS: u64 = 1;

impl Roster {
    /// Begins to clear away every orphan.
    pub(super) fn adopt_orphans(&mut self, now: Moment) {
        let knows_all = self.settings.sources.contains(&PodSource::Api) && self.is_complete();
        if !knows_all || !self.runtime_is_listed || self.is_closed {
            return;
        }
        let unknown = self.sightings.values().filter(|sighting| !self.pods.contains_key(&sighting.uid));
        for sighting in unknown.cloned().collect::<Vec<_>>() {
            self.adopt(sighting, now);
        }
    }

    fn adopt(&mut self, sighting: Sighting, now: Moment) {
        let uid: PodUid = sighting.uid.clone();
        let entry = Entry {
            source: PodSource::Api,
            pod: bare(sighting),
            seen_at: now,
            life: 0,
            standing: Standing::Waiting { doubtful_until: None },
            is_removed: true,
            is_outside: true,
            successor: None,
        };
        self.pods.insert(uid.clone(), entry);
        self.begin(&uid, Origin::Orphan, None, now);
    }
}

/// What is known of it: who it is.
fn bare(sighting: Sighting) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.uid = Some(sighting.uid.to_string());
    pod.metadata.namespace = Some(sighting.namespace);
    pod.metadata.name = Some(sighting.name);
    pod
}
