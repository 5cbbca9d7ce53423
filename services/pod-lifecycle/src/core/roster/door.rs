//! Who may come in, when, and in which order.

use super::{Effect, Ended, Entry, Origin, Roster, Standing, Verdict};
use crate::core::{
    admission::{self, House, Rejection, Tenant},
    event::{self, Told},
    moment::Moment,
    status::phase,
};
use messages::PodUid;
use std::time::Duration;

/// How long a pod whose labels do not match may wait for a newer node object: the scheduler may have
/// seen a label that has not reached this process yet.
const DOUBT: Duration = Duration::from_secs(5);

/// The message of a pod that gives way.
const PREEMPTED: &str = "Preempted in order to admit critical pod";

/// What keeps a pod that waits from being let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hindrance {
    /// The node object is not known yet.
    Node,
    /// The runtime was not listed yet.
    Runtime,
    /// A static pod of the same name has not left yet.
    Namesake,
    /// Those who give way to it have not left yet.
    Room,
    /// The node object may be behind.
    Doubt,
}

impl Roster {
    /// What a pod waits for; nothing for one that does not wait.
    pub fn hindrance(&self, uid: &PodUid) -> Option<Hindrance> {
        let entry = self.pods.get(uid).filter(|entry| entry.is_waiting())?;
        Some(match self {
            _ if self.node.is_none() => Hindrance::Node,
            _ if !self.runtime_is_listed => Hindrance::Runtime,
            _ if self.waits_for_its_name(uid, entry) => Hindrance::Namesake,
            _ if self.waits_for_room(uid) => Hindrance::Room,
            _ => Hindrance::Doubt,
        })
    }

    /// Lets in who waits and may come in, oldest first. Tells when to look again.
    pub(super) fn admit(&mut self, now: Moment) -> Option<Moment> {
        if self.node.is_none() || !self.runtime_is_listed {
            return None;
        }
        let mut wake: Option<Moment> = None;
        for uid in self.queue() {
            if let Some(until) = self.admit_one(&uid, now) {
                wake = Some(wake.map_or(until, |known| known.min(until)));
            }
        }
        wake
    }

    /// Who waits, by age at the API server, then by age here, then by name.
    fn queue(&self) -> Vec<PodUid> {
        let mut waiting: Vec<_> = self.pods.iter().filter(|(_, entry)| entry.is_waiting()).collect();
        waiting.sort_by_key(|(uid, entry)| {
            let created = entry.pod.metadata.creation_timestamp.as_ref().map_or(entry.seen_at, Moment::from);
            (created, entry.seen_at, entry.pod.metadata.name.clone(), (*uid).clone())
        });
        waiting.into_iter().map(|(uid, _)| uid.clone()).collect()
    }

    fn admit_one(&mut self, uid: &PodUid, now: Moment) -> Option<Moment> {
        let entry = self.pods.get(uid)?;
        if self.waits_for_its_name(uid, entry) || self.waits_for_room(uid) {
            return None;
        }
        if self.is_beyond_judging(uid, entry) {
            self.begin(uid, Origin::Accepted, None, now);
            return None;
        }
        match self.judge(uid, entry) {
            Verdict::Admitted => self.begin(uid, Origin::Accepted, None, now),
            Verdict::After(victims) => self.preempt(uid, victims, now),
            Verdict::Rejected(rejection) => return self.reject(uid, rejection, now),
        }
        None
    }

    /// A static pod of the same name has not left yet.
    fn waits_for_its_name(&self, uid: &PodUid, entry: &Entry) -> bool {
        let mut others = self.pods.iter().filter(|(other, _)| *other != uid);
        entry.is_static()
            && others.any(|(_, other)| {
                other.is_static() && !other.is_waiting() && other.full_name() == entry.full_name()
            })
    }

    /// Those who give way to it have not left yet.
    fn waits_for_room(&self, uid: &PodUid) -> bool {
        let living =
            |victim: &PodUid| self.pods.get(victim).is_some_and(|entry| entry.standing == Standing::Living);
        self.preempting.get(uid).is_some_and(|victims| victims.iter().any(living))
    }

    /// It runs already, or will never run.
    fn is_beyond_judging(&self, uid: &PodUid, entry: &Entry) -> bool {
        let runs = self.sightings.get(uid).is_some_and(|sighting| sighting.runs);
        let phase = entry.pod.status.as_ref().and_then(|status| status.phase.as_deref());
        runs || phase::is_terminal(phase) || entry.pod.metadata.deletion_timestamp.is_some()
    }

    fn judge(&self, uid: &PodUid, entry: &Entry) -> Verdict {
        let Some(node) = &self.node else { return Verdict::Admitted };
        let living = self.pods.iter().filter(|(_, entry)| entry.standing == Standing::Living);
        let tenants: Vec<_> = living.map(|(uid, entry)| tenant(uid, entry)).collect();
        let house = House {
            node,
            tenants: &tenants,
            unsafe_sysctls: &self.settings.unsafe_sysctls,
            has_apparmor: self.settings.has_apparmor,
        };
        admission::judge(&tenant(uid, entry), &house)
    }

    fn preempt(&mut self, uid: &PodUid, victims: Vec<PodUid>, now: Moment) {
        for victim in &victims {
            let Some(entry) = self.pods.get(victim) else { continue };
            let told = Told::warning(event::PREEMPTING, PREEMPTED);
            self.effects.push(Effect::Tell(event::of_pod(&entry.pod, victim, told, now)));
            let ended =
                Ended { reason: event::PREEMPTING.into(), message: PREEMPTED.into(), disrupted: true };
            self.effects.push(Effect::End(victim.clone(), ended));
        }
        self.preempting.insert(uid.clone(), victims.into_iter().collect());
    }

    /// Turns a pod down, unless the node object may be behind: then it waits a little for another.
    fn reject(&mut self, uid: &PodUid, rejection: Rejection, now: Moment) -> Option<Moment> {
        let entry = self.pods.get_mut(uid)?;
        if rejection.is_doubtful {
            let Standing::Waiting { doubtful_until } = &mut entry.standing else { return None };
            let until = *doubtful_until.get_or_insert(now.after(DOUBT));
            if until > now {
                return Some(until);
            }
        }
        let told = Told::warning(&rejection.reason, rejection.message.clone());
        self.effects.push(Effect::Tell(event::of_pod(&entry.pod, uid, told, now)));
        let message = format!("Pod was rejected: {}", rejection.message);
        let ended = Ended { reason: rejection.reason, message, disrupted: false };
        self.preempting.remove(uid);
        self.begin(uid, Origin::Rejected, Some(ended), now);
        None
    }
}

fn tenant<'a>(uid: &'a PodUid, entry: &'a Entry) -> Tenant<'a> {
    Tenant { uid, pod: &entry.pod, is_static: entry.is_static() }
}
