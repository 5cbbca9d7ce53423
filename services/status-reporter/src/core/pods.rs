//! Which of the API server's pods belongs to which of ours.
//!
//! An API pod is its own object. A static pod's object is its mirror, which bears the same name and
//! another UID; and a name may be claimed by two static pods for a while, one on its way out and one
//! waiting to start. There is never more than one object of a name.

use super::pod::View;
use messages::{
    PodUid,
    pod_lifecycle::{PodSource, Status},
};
use std::collections::{BTreeMap, HashMap};

/// Namespace and name.
pub(crate) type Name = (String, String);

/// What a pod is told of its object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sight {
    /// This is it.
    Seen(Box<View>),
    /// All were seen and it was not among them.
    Absent,
    /// It is gone.
    Gone(String),
    /// Another pod has the name.
    Displaced,
}

/// What follows from a change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Tell a pod.
    Tell(PodUid, Sight),
    /// A mirror of no pod of ours: to be deleted.
    Orphan(Name, Box<View>),
}

/// What of a status decides whose an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Claim {
    is_static: bool,
    /// The hash of the mirror that it wants.
    mirror: Option<String>,
    seen_at: i64,
}

/// All claims and all objects.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    claims: BTreeMap<Name, BTreeMap<PodUid, Claim>>,
    names: HashMap<PodUid, Name>,
    objects: HashMap<Name, Box<View>>,
    /// Whom each object was shown to, and in which version.
    shown: HashMap<PodUid, Shown>,
    objects_complete: bool,
    claims_complete: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shown {
    Absent,
    Displaced,
    Object(String, u64),
}

impl Directory {
    /// pod-lifecycle speaks of a pod.
    pub(crate) fn claim(&mut self, status: &Status, mirror: Option<&str>) -> Vec<Effect> {
        let name = (status.namespace.clone(), status.name.clone());
        let claim = Claim {
            is_static: status.source != PodSource::Api,
            mirror: mirror.map(str::to_owned),
            seen_at: status.seen_at,
        };
        self.names.insert(status.pod.clone(), name.clone());
        self.claims.entry(name.clone()).or_default().insert(status.pod.clone(), claim);
        self.settle(&name)
    }

    /// pod-lifecycle speaks of it no more.
    pub(crate) fn unclaim(&mut self, pod: &PodUid) -> Vec<Effect> {
        self.shown.remove(pod);
        let Some(name) = self.names.remove(pod) else { return Vec::new() };
        if let Some(claims) = self.claims.get_mut(&name) {
            claims.remove(pod);
            if claims.is_empty() {
                self.claims.remove(&name);
            }
        }
        // The last one deletes its mirror itself.
        if self.claims.contains_key(&name) { self.settle(&name) } else { Vec::new() }
    }

    /// Whether pod-lifecycle speaks of it.
    pub(crate) fn knows(&self, pod: &PodUid) -> bool {
        self.names.contains_key(pod)
    }

    /// The API server has this object.
    pub(crate) fn see(&mut self, name: Name, view: Box<View>) -> Vec<Effect> {
        self.objects.insert(name.clone(), view);
        self.settle(&name)
    }

    /// The API server has it no more. The pods of its name are told, even if they know of another by now.
    pub(crate) fn lose(&mut self, name: &Name, uid: &str) -> Vec<Effect> {
        if self.objects.get(name).is_some_and(|view| view.uid == uid) {
            self.objects.remove(name);
        }
        let claims = self.claims.get(name).into_iter().flat_map(BTreeMap::keys);
        let told = claims
            .filter(|pod| matches!(self.shown.get(*pod), Some(Shown::Object(shown, _)) if shown == uid));
        let told: Vec<PodUid> = told.cloned().collect();
        let mut effects: Vec<_> =
            told.iter().map(|pod| Effect::Tell(pod.clone(), Sight::Gone(uid.to_owned()))).collect();
        for pod in told {
            self.shown.insert(pod, Shown::Absent);
        }
        effects.extend(self.settle(name));
        effects
    }

    /// All objects of this node have been seen: those that were not are gone.
    pub(crate) fn complete_objects(&mut self, names: &[Name]) -> Vec<Effect> {
        self.objects_complete = true;
        let lost: Vec<_> = self
            .objects
            .iter()
            .filter(|(name, _)| !names.contains(name))
            .map(|(name, view)| (name.clone(), view.uid.clone()))
            .collect();
        let mut effects: Vec<_> = lost.iter().flat_map(|(name, uid)| self.lose(name, uid)).collect();
        effects.extend(self.settle_all());
        effects
    }

    /// pod-lifecycle has spoken of all its pods: a mirror of none of them is nobody's.
    pub(crate) fn complete_claims(&mut self) -> Vec<Effect> {
        self.claims_complete = true;
        self.settle_all()
    }

    fn settle_all(&mut self) -> Vec<Effect> {
        let names: Vec<_> = self.claims.keys().chain(self.objects.keys()).cloned().collect();
        names.iter().flat_map(|name| self.settle(name)).collect()
    }

    /// Tells the pods of a name what they have not been told yet.
    fn settle(&mut self, name: &Name) -> Vec<Effect> {
        let object = self.objects.get(name);
        let Some(claims) = self.claims.get(name) else {
            let orphan = object.filter(|view| self.claims_complete && view.mirror.is_some());
            return orphan.map(|view| Effect::Orphan(name.clone(), view.clone())).into_iter().collect();
        };
        let holder = holder(claims, object.map(|view| &**view));
        let mut effects = Vec::new();
        for pod in claims.keys() {
            let (shown, sight) = match object {
                _ if holder != Some(pod) => (Shown::Displaced, Sight::Displaced),
                Some(view) => (Shown::Object(view.uid.clone(), view.version), Sight::Seen(view.clone())),
                None if self.objects_complete => (Shown::Absent, Sight::Absent),
                None => continue,
            };
            if self.shown.insert(pod.clone(), shown.clone()) != Some(shown) {
                effects.push(Effect::Tell(pod.clone(), sight));
            }
        }
        effects
    }
}

/// Whose the object of a name is, or who may make one.
fn holder<'a>(claims: &'a BTreeMap<PodUid, Claim>, object: Option<&View>) -> Option<&'a PodUid> {
    if let Some(view) = object.filter(|view| view.mirror.is_none()) {
        return claims.keys().find(|pod| pod.as_str() == view.uid);
    }
    let mirrored = object.and_then(|view| view.mirror.as_deref());
    let rank = |claim: &Claim| {
        let is_its_own = claim.mirror.is_some() && claim.mirror.as_deref() == mirrored;
        (is_its_own, claim.mirror.is_some(), claim.seen_at)
    };
    let statics = claims.iter().filter(|(_, claim)| claim.is_static || object.is_none());
    statics.max_by_key(|(_, claim)| rank(claim)).map(|(pod, _)| pod)
}

#[cfg(test)]
mod tests;
