//! What was said: the last verdict of every probe, as it stands on the bus and in the journal.

use super::{facts::Settled, fleet::Place};
use messages::{PodUid, prober::Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// All verdicts in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    pods: BTreeMap<PodUid, BTreeMap<Place, Verdict>>,
}

impl Ledger {
    /// A ledger with the verdicts of an earlier life.
    pub fn of(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        let mut ledger = Self::default();
        for verdict in verdicts {
            ledger.enter(verdict);
        }
        ledger
    }

    /// Enters a verdict in the place of the one before.
    pub fn enter(&mut self, verdict: Verdict) {
        let place = (verdict.container.clone(), verdict.probe);
        self.pods.entry(verdict.pod.clone()).or_default().insert(place, verdict);
    }

    /// Every verdict.
    pub fn all(&self) -> impl Iterator<Item = &Verdict> {
        self.pods.values().flat_map(BTreeMap::values)
    }

    /// The verdicts of a pod, as its journal entry keeps them.
    pub fn of_pod(&self, pod: &PodUid) -> Vec<Verdict> {
        self.pods.get(pod).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// What a worker of this place goes on from.
    pub fn settled(&self, pod: &PodUid, place: &Place) -> Option<Settled> {
        let verdict = self.pods.get(pod)?.get(place)?;
        Some(Settled {
            container_id: verdict.container_id.clone(),
            finding: verdict.finding,
            message: verdict.message.clone(),
        })
    }

    /// Strikes out the places of a pod that are not among `kept`; returns what was struck out.
    pub fn keep(&mut self, pod: &PodUid, kept: &BTreeSet<Place>) -> Vec<Verdict> {
        let Some(places) = self.pods.get_mut(pod) else { return vec![] };
        let (staying, struck): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(places).into_iter().partition(|(place, _)| kept.contains(place));
        *places = staying;
        if places.is_empty() {
            self.pods.remove(pod);
        }
        struck.into_values().collect()
    }

    /// The pods that have verdicts.
    pub fn pods(&self) -> impl Iterator<Item = &PodUid> {
        self.pods.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::prober::{Finding, ProbeKind};

    fn verdict(pod: &str, container: &str, probe: ProbeKind) -> Verdict {
        Verdict {
            pod: pod.parse().unwrap(),
            container: container.parse().unwrap(),
            probe,
            container_id: "c1".into(),
            finding: Finding::Success,
            message: String::new(),
        }
    }

    #[test]
    fn a_later_verdict_takes_the_place_of_an_earlier_one() {
        let first = verdict("u-1", "a", ProbeKind::Readiness);
        let second = Verdict { finding: Finding::Failure, ..first.clone() };
        let ledger = Ledger::of([first, second.clone()]);
        assert_eq!(ledger.of_pod(&second.pod), [second]);
    }

    #[test]
    fn places_that_are_not_kept_are_struck_out() {
        let kept = verdict("u-1", "a", ProbeKind::Readiness);
        let gone = verdict("u-1", "a", ProbeKind::Liveness);
        let other = verdict("u-2", "a", ProbeKind::Liveness);
        let mut ledger = Ledger::of([kept.clone(), gone.clone(), other.clone()]);

        let places = BTreeSet::from([(kept.container.clone(), kept.probe)]);
        assert_eq!(ledger.keep(&kept.pod, &places), [gone]);
        assert_eq!(ledger.keep(&kept.pod, &BTreeSet::new()), [kept]);
        assert_eq!(ledger.pods().collect::<Vec<_>>(), [&other.pod], "a pod without verdicts is forgotten");
    }
}
