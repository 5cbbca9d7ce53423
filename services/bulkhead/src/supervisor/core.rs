//! When processes begin, begin again, and leave. Facts in, effects out; no clock, no signal, no child.
//!
//! A process that ends is begun again after [`FIRST_PAUSE`], doubling to [`LONGEST_PAUSE`] while it
//! keeps ending; one that lasted for [`GOOD_LIFE`] is forgiven. Told to leave, the groups of
//! [`LEAVING`] go one after the other: each is asked, and killed when it takes too long.
//!
//! | phase | fact | next |
//! |---|---|---|
//! | running | a process ended | it begins again after its pause |
//! | running | told to leave | leaving, the first group is asked |
//! | leaving | a group is gone | the next group is asked; after the last one all is done |
//! | leaving | a group's patience is over | what is left of it is killed |

use crate::process::{LEAVING, Process};
use std::{collections::BTreeMap, time::Duration};

/// The pause before the first new life.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A life as long as this ends a row of short ones.
pub(crate) const GOOD_LIFE: Duration = Duration::from_secs(10);
/// How long a group may take to finish what it has in hand: longer than any runtime call that is
/// waited for, and with all groups together shorter than systemd's or a test's patience.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);

/// What happened. Moments are durations since any fixed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    /// A process began.
    Began(Process, u32),
    /// It could not be begun.
    NotBegun(Process),
    /// It ended, however.
    Ended(Process),
    /// The node is to be left.
    ToldToLeave,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Begin this process.
    Begin(Process),
    /// Ask it (SIGTERM) to finish and leave.
    Ask(Process, u32),
    /// Kill it.
    Kill(Process, u32),
    /// All have left.
    Done,
}

/// One process over its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    /// Where it is in this life.
    pub(crate) life: Life,
    /// The pause before the next one.
    pub(crate) pause: Duration,
    /// How many lives there were before this one.
    pub(crate) restarts: u32,
}

/// Where a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// It begins at this moment.
    Due(Duration),
    /// It is being begun.
    Beginning,
    /// It runs under this id since this moment.
    Running(u32, Duration),
    /// It is not begun any more.
    Over,
}

/// All processes of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fleet {
    members: BTreeMap<Process, Member>,
    leaving: Option<Leaving>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Leaving {
    group: usize,
    until: Duration,
}

impl Fleet {
    /// These processes, all due at once.
    pub(crate) fn new(processes: impl Iterator<Item = Process>) -> Self {
        let due = Member { life: Life::Due(Duration::ZERO), pause: FIRST_PAUSE, restarts: 0 };
        Self { members: processes.map(|process| (process, due)).collect(), leaving: None }
    }

    /// The processes, for tables.
    pub(crate) fn members(&self) -> &BTreeMap<Process, Member> {
        &self.members
    }

    /// Whether the node is being left.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// The id of a process that runs.
    pub(crate) fn pid(&self, process: Process) -> Option<u32> {
        match self.members.get(&process)?.life {
            Life::Running(pid, _) => Some(pid),
            _ => None,
        }
    }

    /// Takes in a fact.
    pub(crate) fn step(&mut self, now: Duration, fact: Fact) -> Vec<Effect> {
        match fact {
            Fact::Began(process, pid) => return self.began(process, pid, now),
            Fact::NotBegun(process) | Fact::Ended(process) => self.ended(process, now),
            Fact::ToldToLeave => return self.leave(now),
            Fact::Tick => {}
        }
        match self.leaving {
            None => self.begin_due(now),
            Some(leaving) => self.go_on_leaving(leaving, now),
        }
    }

    /// When something is to be done although nothing happens.
    pub(crate) fn wakes_at(&self) -> Option<Duration> {
        let due = self.members.values().filter_map(|member| match member.life {
            Life::Due(at) => Some(at),
            _ => None,
        });
        due.chain(self.leaving.map(|leaving| leaving.until)).min()
    }

    fn began(&mut self, process: Process, pid: u32, now: Duration) -> Vec<Effect> {
        if let Some(member) = self.members.get_mut(&process) {
            member.life = Life::Running(pid, now);
        }
        // It was told to leave while it was being begun.
        let too_late = self.leaving.is_some_and(|leaving| group_of(process) <= leaving.group);
        if too_late { vec![Effect::Ask(process, pid)] } else { Vec::new() }
    }

    fn ended(&mut self, process: Process, now: Duration) {
        let leaving = self.leaving.is_some();
        let Some(member) = self.members.get_mut(&process) else { return };
        if matches!(member.life, Life::Running(_, since) if now.saturating_sub(since) >= GOOD_LIFE) {
            member.pause = FIRST_PAUSE;
        }
        member.life = if leaving { Life::Over } else { Life::Due(now + member.pause) };
        member.pause = (member.pause * 2).min(LONGEST_PAUSE);
        member.restarts = member.restarts.saturating_add(1);
    }

    fn begin_due(&mut self, now: Duration) -> Vec<Effect> {
        let due =
            self.members.iter_mut().filter(|(_, member)| matches!(member.life, Life::Due(at) if at <= now));
        due.map(|(process, member)| {
            member.life = Life::Beginning;
            Effect::Begin(*process)
        })
        .collect()
    }

    fn leave(&mut self, now: Duration) -> Vec<Effect> {
        if self.leaving.is_some() {
            return Vec::new();
        }
        for member in self.members.values_mut() {
            if matches!(member.life, Life::Due(_)) {
                member.life = Life::Over;
            }
        }
        self.ask_from(0, now)
    }

    fn go_on_leaving(&mut self, leaving: Leaving, now: Duration) -> Vec<Effect> {
        if !self.lives_in(leaving.group) {
            return self.ask_from(leaving.group + 1, now);
        }
        if now < leaving.until {
            return Vec::new();
        }
        self.leaving = Some(Leaving { until: now + PATIENCE, ..leaving });
        self.of(leaving.group).map(|(process, pid)| Effect::Kill(process, pid)).collect()
    }

    /// Asks the first group from this one on in which anybody lives.
    fn ask_from(&mut self, group: usize, now: Duration) -> Vec<Effect> {
        let next = (group..LEAVING.len()).find(|group| self.lives_in(*group));
        self.leaving = Some(Leaving { group: next.unwrap_or(LEAVING.len()), until: now + PATIENCE });
        match next {
            Some(group) => self.of(group).map(|(process, pid)| Effect::Ask(process, pid)).collect(),
            None => vec![Effect::Done],
        }
    }

    fn lives_in(&self, group: usize) -> bool {
        let of_group = |process: &Process| LEAVING.get(group).is_some_and(|group| group.contains(process));
        self.members.iter().any(|(process, member)| of_group(process) && member.life != Life::Over)
    }

    /// Who runs in a group.
    fn of(&self, group: usize) -> impl Iterator<Item = (Process, u32)> {
        let group = LEAVING.get(group).copied().unwrap_or_default();
        group.iter().filter_map(|process| Some((*process, self.pid(*process)?)))
    }
}

fn group_of(process: Process) -> usize {
    LEAVING.iter().position(|group| group.contains(&process)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
