//! The sources' pods into one roster.

use super::{Effect, Entry, Roster, Standing, spec};
use crate::core::{
    event::{self, Told},
    moment::Moment,
    spec::{CONFIG_SEEN, CONFIG_SOURCE},
};
use k8s_openapi::api::core::v1::Pod;
use messages::{PodUid, pod_lifecycle::PodSource};
use std::collections::BTreeSet;

impl Roster {
    /// A source has exactly these pods: others of it are gone.
    pub(super) fn deliver(&mut self, source: PodSource, pods: Vec<(PodUid, Pod)>, now: Moment) {
        self.delivered.insert(source);
        let kept: BTreeSet<PodUid> = pods.iter().map(|(uid, _)| uid.clone()).collect();
        let of_source = self.pods.iter().filter(|(uid, entry)| entry.source == source && !kept.contains(uid));
        let gone: Vec<PodUid> = of_source.map(|(uid, _)| uid.clone()).collect();
        for uid in gone {
            self.remove(source, &uid);
        }
        for (uid, pod) in pods {
            self.change(source, uid, pod, now);
        }
    }

    /// A source has this pod now.
    pub(super) fn change(&mut self, source: PodSource, uid: PodUid, pod: Pod, now: Moment) {
        if self.is_closed {
            return;
        }
        let Some(entry) = self.pods.get_mut(&uid) else {
            return self.arrive(source, uid, pod, now);
        };
        if entry.source != source || (entry.is_outside && entry.is_removed) {
            return self.meet(source, &uid, pod, now);
        }
        if entry.is_removed {
            entry.successor = Some(Box::new(pod));
            return;
        }
        entry.pod = marked(pod, source, entry.seen_at);
        if !entry.is_waiting() {
            trim(&mut entry.pod);
            self.effects.push(Effect::Desire(uid, Box::new(entry.pod.clone())));
        }
    }

    /// A pod that was not here before.
    pub(super) fn arrive(&mut self, source: PodSource, uid: PodUid, pod: Pod, now: Moment) {
        let entry = Entry {
            source,
            pod: marked(pod, source, now),
            seen_at: now,
            life: self.life_of(&uid),
            standing: Standing::Waiting { doubtful_until: None },
            is_removed: false,
            is_outside: false,
            successor: None,
        };
        self.pods.insert(uid, entry);
    }

    /// A UID that another source has already, or that belongs to what is being cleared away.
    fn meet(&mut self, source: PodSource, uid: &PodUid, pod: Pod, now: Moment) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        if entry.is_removed || entry.is_outside {
            entry.source = source;
            entry.successor = Some(Box::new(pod));
            return;
        }
        let why = format!("pod {} has the UID of a pod of another source, ignoring it", spec::title(&pod));
        let told = Told::warning(event::FAILED_VALIDATION, why);
        self.effects.push(Effect::Tell(event::of_pod(&pod, uid, told, now)));
    }

    /// Every source has let everything go, and is not listened to any more.
    pub(super) fn empty(&mut self) {
        self.is_closed = true;
        let all: Vec<_> = self.pods.iter().map(|(uid, entry)| (entry.source, uid.clone())).collect();
        for (source, uid) in all {
            self.remove(source, &uid);
        }
    }

    /// A source has let a pod go.
    pub(super) fn remove(&mut self, source: PodSource, uid: &PodUid) {
        let Some(entry) = self.pods.get_mut(uid).filter(|entry| entry.source == source) else { return };
        entry.successor = None;
        if entry.is_waiting() {
            self.pods.remove(uid);
            self.preempting.remove(uid);
        } else if !std::mem::replace(&mut entry.is_removed, true) {
            self.effects.push(Effect::Remove(uid.clone()));
        }
    }
}

impl Entry {
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.standing, Standing::Waiting { .. })
    }
}

/// A pod with the marks that the kubelet keeps on each pod in memory, and without what changes with
/// every write at the API server.
fn marked(mut pod: Pod, source: PodSource, seen_at: Moment) -> Pod {
    let name = match source {
        PodSource::Api => "api",
        PodSource::File => "file",
        PodSource::Http => "http",
    };
    pod.metadata.managed_fields = None;
    pod.metadata.resource_version = None;
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(CONFIG_SOURCE.into(), name.into());
    annotations.insert(CONFIG_SEEN.into(), seen_at.to_rfc3339());
    pod
}

/// Leaves of a status what others may change: phase, reason, conditions and start. The rest is told
/// here, and kept once.
pub(super) fn trim(pod: &mut Pod) {
    if let Some(status) = &mut pod.status {
        status.container_statuses = None;
        status.init_container_statuses = None;
        status.ephemeral_container_statuses = None;
    }
}
