//! Which compartments have not been heard from, and for how long.
//!
//! Every process says its health each 5 s. The node turns NotReady only over those without which no pod
//! can be run, and only after an outage that is longer than any restart; the others are an event.

use messages::{BootTime, Owner};
use std::{collections::BTreeMap, time::Duration};

/// Outages up to this long change nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Without these the node cannot run pods.
const NEEDED: [Owner; 3] = [Owner::CriBridge, Owner::PodLifecycle, Owner::VolumeMounter];

/// Missing one of these, the node is worse off but not unready.
const USEFUL: [Owner; 3] = [Owner::NodeApi, Owner::Prober, Owner::TraceRecorder];

/// Who was heard, and when.
#[derive(Debug, Clone)]
pub(crate) struct Ears {
    /// Since when somebody could be heard at all.
    listening_since: BootTime,
    /// Since when the bus is away; `None` while it is there.
    deaf_since: Option<BootTime>,
    heard: BTreeMap<Owner, BootTime>,
    told: Vec<Owner>,
}

impl Ears {
    /// Begins to listen.
    pub(crate) fn new(now: BootTime) -> Self {
        Self { listening_since: now, deaf_since: None, heard: BTreeMap::new(), told: Vec::new() }
    }

    /// Somebody said its health, at this moment.
    pub(crate) fn hear(&mut self, at: BootTime, owner: Owner) {
        let heard = self.heard.entry(owner).or_default();
        if at > *heard {
            *heard = at;
            self.told.retain(|told| *told != owner);
        }
    }

    /// The bus is there, or it is not.
    pub(crate) fn bus(&mut self, now: BootTime, is_there: bool) {
        match (is_there, self.deaf_since) {
            (false, None) => self.deaf_since = Some(now),
            (true, Some(_)) => {
                self.deaf_since = None;
                self.forgive(now);
            }
            _ => {}
        }
    }

    /// Nobody could be heard until now: everyone gets the whole time again.
    pub(crate) fn forgive(&mut self, now: BootTime) {
        self.listening_since = now;
    }

    /// Whether everyone that is needed was heard at least once.
    pub(crate) fn all_have_spoken(&self) -> bool {
        NEEDED.iter().all(|owner| self.heard.contains_key(owner))
    }

    /// Why the node is not ready, as far as it can be heard; one sentence each.
    pub(crate) fn faults(&self, now: BootTime) -> Vec<String> {
        if let Some(since) = self.deaf_since {
            let silent = now.since(since);
            return if silent > PATIENCE { vec![sentence("the bus")] } else { Vec::new() };
        }
        let silent = NEEDED.iter().map(|owner| (owner, self.silent_for(now, *owner)));
        silent.filter(|(_, silent)| *silent > PATIENCE).map(|(owner, _)| sentence(owner.name())).collect()
    }

    /// Useful processes that have fallen silent since this was last asked.
    pub(crate) fn newly_silent(&mut self, now: BootTime) -> Vec<Owner> {
        if self.deaf_since.is_some() {
            return Vec::new();
        }
        let silent =
            |owner: &Owner| self.heard.contains_key(owner) && self.silent_for(now, *owner) > PATIENCE;
        let new: Vec<_> =
            USEFUL.into_iter().filter(silent).filter(|owner| !self.told.contains(owner)).collect();
        self.told.extend(&new);
        new
    }

    fn silent_for(&self, now: BootTime, owner: Owner) -> Duration {
        let heard = self.heard.get(&owner).copied().unwrap_or_default();
        now.since(heard.max(self.listening_since))
    }
}

/// The same for as long as the silence lasts: a message that changes is a patch.
fn sentence(who: &str) -> String {
    format!("{who} has not been heard from for more than {}s", PATIENCE.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime(seconds * 1_000_000_000)
    }

    /// Ears that heard everyone at second 0.
    fn ears() -> Ears {
        let mut ears = Ears::new(at(0));
        for owner in NEEDED.into_iter().chain(USEFUL) {
            ears.hear(at(0), owner);
        }
        ears
    }

    fn hear_needed(ears: &mut Ears, second: u64) {
        for owner in NEEDED {
            ears.hear(at(second), owner);
        }
    }

    #[test]
    fn silence_counts_only_beyond_twenty_seconds_and_names_the_compartment() {
        type Play = fn(&mut Ears);
        let cases: &[(&str, Play, u64, &[&str])] = &[
            ("an outage of twenty seconds changes nothing", |_| {}, 20, &[]),
            (
                "a longer one names who is silent",
                |ears| {
                    ears.hear(at(19), Owner::PodLifecycle);
                    ears.hear(at(19), Owner::VolumeMounter);
                },
                31,
                &["cri-bridge has not been heard from for more than 20s"],
            ),
            (
                "several are named together",
                |ears| ears.hear(at(19), Owner::CriBridge),
                25,
                &[
                    "pod-lifecycle has not been heard from for more than 20s",
                    "volume-mounter has not been heard from for more than 20s",
                ],
            ),
            ("the others make no node unready", |ears| hear_needed(ears, 300), 310, &[]),
            ("while the bus is away nobody can be blamed", |ears| ears.bus(at(1), false), 21, &[]),
            (
                "but the bus",
                |ears| ears.bus(at(1), false),
                22,
                &["the bus has not been heard from for more than 20s"],
            ),
            (
                "after its return everyone has time to speak",
                |ears| {
                    ears.bus(at(1), false);
                    ears.bus(at(100), true);
                },
                119,
                &[],
            ),
        ];
        for (name, play, second, want) in cases {
            let mut ears = ears();
            play(&mut ears);
            assert_eq!(ears.faults(at(*second)), *want, "{name}");
        }
    }

    #[test]
    fn a_useful_process_that_falls_silent_is_told_of_once_each_time() {
        let mut ears = ears();
        hear_needed(&mut ears, 20);
        ears.hear(at(20), Owner::NodeApi);
        ears.hear(at(20), Owner::TraceRecorder);
        assert_eq!(ears.newly_silent(at(21)), [Owner::Prober]);
        assert_eq!(ears.newly_silent(at(22)), []);
        ears.hear(at(23), Owner::Prober);
        assert!(ears.newly_silent(at(44)).contains(&Owner::Prober), "again");
    }

    #[test]
    fn a_node_is_heard_whole_only_when_all_needed_have_spoken() {
        let mut fresh = Ears::new(at(0));
        fresh.hear(at(1), Owner::CriBridge);
        assert!(!fresh.all_have_spoken());
        hear_needed(&mut fresh, 2);
        assert!(fresh.all_have_spoken());
    }
}
