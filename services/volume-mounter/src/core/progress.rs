//! A pod's way through making, keeping and giving back its volumes.
//!
//! | stage | what happens | leaves it |
//! |---|---|---|
//! | preparing | every volume is made, each by itself, failures with back-off | all are whole |
//! | ready | volumes are filled anew when their sources change or a token ages | a new volume, or release |
//! | releasing | what is in hand is finished, then everything is taken down, with back-off | nothing is left |
//! | gone | nothing | never |

use super::{backoff, path::VolumeName};
use std::{collections::BTreeMap, time::Duration};

/// What can happen to a pod's volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The pod wants these volumes.
    Wanted(Vec<VolumeName>),
    /// Making or refilling a volume has ended.
    Made {
        /// Which.
        volume: VolumeName,
        /// When to refill it at the latest, or why it failed.
        result: Result<Option<Duration>, Setback>,
    },
    /// What these volumes are filled from has changed.
    Changed(Vec<VolumeName>),
    /// A wake-up has come.
    Woken(Wake),
    /// Everything is to be given back.
    ReleaseAsked,
    /// Taking down has ended.
    TakenDown(Result<(), String>),
}

/// Why a volume was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setback {
    /// A sentence for the pod's author.
    pub why: String,
    /// Something outside is out of reach for the moment.
    pub passing: bool,
}

/// What a wake-up is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// Making or refilling a volume.
    Volume(VolumeName),
    /// Taking down.
    Release,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make or refill a volume; come back with [`Fact::Made`].
    Make(VolumeName),
    /// Take everything down; come back with [`Fact::TakenDown`].
    TakeDown,
    /// Come back with [`Fact::Woken`]; an earlier wake-up for the same is forgotten.
    WakeAfter(Wake, Duration),
    /// Write a `FailedMount` event.
    Tell(String),
    /// The phase, a fault or the list of whole volumes has changed.
    Say,
    /// Nothing is left: forget the pod.
    Forget,
}

/// Where a pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Some volume is not whole yet.
    Preparing,
    /// All are.
    Ready,
    /// On the way out.
    Releasing,
    /// Nothing is left.
    Gone,
}

/// One volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Turn {
    working: bool,
    again: bool,
    whole: bool,
    failures: u32,
}

/// A pod's volumes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    volumes: BTreeMap<VolumeName, Turn>,
    releasing: bool,
    taking_down: bool,
    release_failures: u32,
    gone: bool,
    fault: Option<String>,
}

impl Progress {
    /// What an earlier life has left: each volume, and whether it is whole.
    pub fn restored(volumes: BTreeMap<VolumeName, bool>) -> Self {
        let turn = |(name, whole)| (name, Turn { whole, ..Turn::default() });
        Self { volumes: volumes.into_iter().map(turn).collect(), ..Self::default() }
    }

    /// Where the pod is.
    pub fn stage(&self) -> Stage {
        if self.gone {
            Stage::Gone
        } else if self.releasing {
            Stage::Releasing
        } else if self.volumes.values().all(|turn| turn.whole) {
            Stage::Ready
        } else {
            Stage::Preparing
        }
    }

    /// Nothing is being made.
    pub fn is_idle(&self) -> bool {
        self.volumes.values().all(|turn| !turn.working)
    }

    /// Why the last try of something failed, while that matters.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Takes in a fact.
    pub fn step(&mut self, fact: Fact) -> Vec<Effect> {
        match fact {
            _ if self.gone => vec![],
            Fact::Wanted(volumes) => self.want(volumes),
            Fact::Made { volume, result } => self.made(&volume, result),
            Fact::Changed(volumes) => volumes.iter().filter_map(|volume| self.hurry(volume)).collect(),
            Fact::Woken(Wake::Volume(volume)) => self.hurry(&volume).into_iter().collect(),
            Fact::Woken(Wake::Release) => self.take_down_when_idle(),
            Fact::ReleaseAsked => self.release(),
            Fact::TakenDown(result) => self.taken_down(result),
        }
    }

    fn want(&mut self, volumes: Vec<VolumeName>) -> Vec<Effect> {
        if self.releasing {
            return vec![];
        }
        let mut effects = vec![Effect::Say];
        for volume in volumes {
            let turn = self.volumes.entry(volume.clone()).or_default();
            if !turn.whole && !turn.working && turn.failures == 0 {
                turn.working = true;
                effects.push(Effect::Make(volume));
            }
        }
        effects
    }

    /// Makes a volume now, or once more when it is being made already.
    fn hurry(&mut self, volume: &VolumeName) -> Option<Effect> {
        let turn = self.volumes.get_mut(volume).filter(|_| !self.releasing)?;
        if turn.working {
            turn.again = true;
            return None;
        }
        turn.working = true;
        Some(Effect::Make(volume.clone()))
    }

    fn made(&mut self, volume: &VolumeName, result: Result<Option<Duration>, Setback>) -> Vec<Effect> {
        let Some(turn) = self.volumes.get_mut(volume) else { return vec![] };
        turn.working = false;
        let again = std::mem::take(&mut turn.again);
        let mut effects = match result {
            Ok(next) => self.succeeded(volume, next),
            Err(setback) => self.failed(volume, setback),
        };
        if self.releasing {
            effects = self.take_down_when_idle();
        } else if again {
            effects.extend(self.hurry(volume));
        }
        effects
    }

    fn succeeded(&mut self, volume: &VolumeName, next: Option<Duration>) -> Vec<Effect> {
        let wake = next.map(|wait| Effect::WakeAfter(Wake::Volume(volume.clone()), wait));
        let Some(turn) = self.volumes.get_mut(volume) else { return vec![] };
        let changed = !turn.whole || turn.failures > 0;
        (turn.whole, turn.failures) = (true, 0);
        if self.volumes.values().all(|turn| turn.failures == 0) {
            self.fault = None;
        }
        wake.into_iter().chain(changed.then_some(Effect::Say)).collect()
    }

    fn failed(&mut self, volume: &VolumeName, Setback { why, passing }: Setback) -> Vec<Effect> {
        let Some(turn) = self.volumes.get_mut(volume) else { return vec![] };
        turn.failures = turn.failures.saturating_add(1);
        let wait = if passing { backoff::while_away } else { backoff::after }(turn.failures);
        let message = format!("MountVolume.SetUp failed for volume \"{volume}\" : {why}");
        self.fault = Some(message.clone());
        vec![Effect::Say, Effect::Tell(message), Effect::WakeAfter(Wake::Volume(volume.clone()), wait)]
    }

    fn release(&mut self) -> Vec<Effect> {
        if std::mem::replace(&mut self.releasing, true) {
            return vec![];
        }
        self.fault = None;
        let mut effects = vec![Effect::Say];
        effects.extend(self.take_down_when_idle());
        effects
    }

    fn take_down_when_idle(&mut self) -> Vec<Effect> {
        if !self.releasing || self.taking_down || !self.is_idle() {
            return vec![];
        }
        self.taking_down = true;
        vec![Effect::TakeDown]
    }

    fn taken_down(&mut self, result: Result<(), String>) -> Vec<Effect> {
        self.taking_down = false;
        let Err(why) = result else {
            self.gone = true;
            return vec![Effect::Forget];
        };
        self.release_failures = self.release_failures.saturating_add(1);
        self.fault = Some(why);
        vec![Effect::Say, Effect::WakeAfter(Wake::Release, backoff::after(self.release_failures))]
    }
}

#[cfg(test)]
mod tests;
