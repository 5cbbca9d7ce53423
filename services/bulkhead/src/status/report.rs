//! What `bulkhead status` tells, as data, as text and as a verdict. Pure.

use crate::{columns, process::Process, supervisor::Entry};
use messages::{health::Health, pod_lifecycle::Refused};
use serde::Serialize;
use std::fmt::Write;

/// A node at one moment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// Its name.
    pub(crate) node: String,
    /// `standalone` or `cluster`.
    pub(crate) mode: &'static str,
    /// The API server has accepted the node object.
    pub(crate) registered: bool,
    /// Name and version of the runtime; none while it was not heard of.
    pub(crate) runtime: Option<String>,
    /// How many pods have a status.
    pub(crate) pods: usize,
    /// Bytes of memory of all processes, shared pages in proportion.
    pub(crate) memory: u64,
    /// Every process.
    pub(crate) processes: Vec<ProcessReport>,
    /// Manifests that were refused.
    pub(crate) refused: Vec<Refused>,
    /// What is wrong besides.
    pub(crate) problems: Vec<String>,
}

/// One process.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ProcessReport {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its id; none while it does not run.
    pub(crate) pid: Option<u32>,
    /// Which life; none for what counts none.
    pub(crate) incarnation: Option<u64>,
    /// How often this supervisor began it again.
    pub(crate) restarts: u32,
    /// What it is.
    pub(crate) health: HealthReport,
    /// What it waits for, one sentence each.
    pub(crate) waiting_for: Vec<String>,
    /// Bytes of memory, shared pages in proportion; none where it cannot be seen.
    pub(crate) memory: Option<u64>,
}

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HealthReport {
    /// It works.
    Ready,
    /// It waits for something.
    Waiting,
    /// It runs and has said nothing.
    Silent,
    /// It runs, and says nothing any more.
    Still,
    /// It does not run.
    Down,
}

impl HealthReport {
    const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Waiting => "waiting",
            Self::Silent => "silent",
            Self::Still => "still",
            Self::Down => "down",
        }
    }
}

/// What a process says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// This.
    Now(Health),
    /// This, and nothing since, though it says something every few seconds.
    LongAgo(Health),
    /// Nothing yet.
    Nothing,
}

impl Said {
    /// The same, unless it is not so.
    pub(crate) fn filter(self, is_so: impl Fn(&Health) -> bool) -> Self {
        match &self {
            Self::Now(health) | Self::LongAgo(health) if !is_so(health) => Self::Nothing,
            _ => self,
        }
    }

    fn into_health(self) -> Option<Health> {
        match self {
            Self::Now(health) | Self::LongAgo(health) => Some(health),
            Self::Nothing => None,
        }
    }
}

impl ProcessReport {
    /// The supervisor itself.
    pub(crate) fn supervisor(pid: u32, memory: Option<u64>) -> Self {
        let (incarnation, waiting_for) = (None, Vec::new());
        let health = HealthReport::Ready;
        Self { name: "bulkhead", pid: Some(pid), incarnation, restarts: 0, health, waiting_for, memory }
    }

    /// One that no supervisor of ours began: known only by what it said a moment ago, or by its answers.
    pub(crate) fn unsupervised(process: Process, said: Option<Health>, answers: bool) -> Self {
        let health = match &said {
            Some(said) if said.ready => HealthReport::Ready,
            Some(_) => HealthReport::Waiting,
            None if answers => HealthReport::Ready,
            None => HealthReport::Down,
        };
        Self {
            name: process.name(),
            pid: None,
            incarnation: said.as_ref().map(|said| said.incarnation.0),
            restarts: 0,
            health,
            waiting_for: said.map(|said| said.waiting_for).unwrap_or_default(),
            memory: None,
        }
    }

    /// One of the others. The bus server says nothing of itself: while it runs it is ready.
    pub(crate) fn of(process: Process, entry: Option<&Entry>, said: Said, memory: Option<u64>) -> Self {
        let pid = entry.and_then(|entry| entry.pid);
        let state = match (&said, pid) {
            (_, None) => HealthReport::Down,
            (Said::Now(health), _) if health.ready => HealthReport::Ready,
            (Said::Now(_), _) => HealthReport::Waiting,
            (Said::LongAgo(_), _) => HealthReport::Still,
            (Said::Nothing, _) if process == Process::Bus => HealthReport::Ready,
            (Said::Nothing, _) => HealthReport::Silent,
        };
        let health = said.into_health();
        Self {
            name: process.name(),
            pid,
            incarnation: health.as_ref().map(|health| health.incarnation.0),
            restarts: entry.map(|entry| entry.restarts).unwrap_or_default(),
            health: state,
            waiting_for: health.map(|health| health.waiting_for).unwrap_or_default(),
            memory,
        }
    }

    fn cells(&self) -> [String; 7] {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        [
            self.name.to_owned(),
            or_dash(self.pid.map(|pid| pid.to_string())),
            or_dash(self.incarnation.map(|life| life.to_string())),
            self.restarts.to_string(),
            or_dash(self.memory.map(mebibytes)),
            self.health.word().to_owned(),
            self.waiting_for.join("; "),
        ]
    }
}

impl Report {
    /// Whether every process works and nothing is wrong. A refused manifest is its author's fault, not
    /// the node's.
    pub(crate) fn is_well(&self) -> bool {
        self.problems.is_empty() && self.processes.iter().all(|process| process.health == HealthReport::Ready)
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let registered = if self.registered { ", registered" } else { "" };
        let runtime = self.runtime.as_deref().unwrap_or("not heard of");
        let mut text = format!(
            "node {} ({}{registered}), {} pods, runtime {runtime}, memory {}\n\n",
            self.node,
            self.mode,
            self.pods,
            mebibytes(self.memory)
        );
        let header =
            ["PROCESS", "PID", "LIFE", "RESTARTS", "MEMORY", "HEALTH", "WAITS FOR"].map(str::to_owned);
        let rows: Vec<_> =
            std::iter::once(header).chain(self.processes.iter().map(ProcessReport::cells)).collect();
        text.push_str(&columns::align(&rows));
        for (title, lines) in
            [("refused manifests", self.refused_lines()), ("problems", self.problems.clone())]
        {
            if !lines.is_empty() {
                // Writing to a String cannot fail.
                let _ = write!(text, "\n{title}:\n  {}\n", lines.join("\n  "));
            }
        }
        text
    }

    fn refused_lines(&self) -> Vec<String> {
        let line = |refused: &Refused| match refused.field.as_str() {
            "" => format!("{}: {}", refused.from, refused.why),
            field => format!("{}: {field}: {}", refused.from, refused.why),
        };
        // A manifest's author chooses these words; they must not move the reader's cursor.
        self.refused.iter().map(line).map(|line| line.replace(char::is_control, " ")).collect()
    }
}

fn mebibytes(bytes: u64) -> String {
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::{BootTime, Incarnation, Owner};

    const CRI: Process = Process::Service(Owner::CriBridge);

    fn entry(process: Process, pid: Option<u32>) -> Entry {
        Entry { name: process.name().into(), pid, restarts: 2 }
    }

    fn said(ready: bool) -> Health {
        let waiting_for = if ready { Vec::new() } else { vec!["the runtime".to_owned()] };
        let (incarnation, at) = (Incarnation(7), BootTime(0));
        Health { owner: Owner::CriBridge, incarnation, pid: 5, ready, waiting_for, at }
    }

    #[test]
    fn a_process_is_what_it_runs_as_and_says() {
        let cases = [
            ("ready", CRI, Some(5), Said::Now(said(true)), HealthReport::Ready),
            ("waiting", CRI, Some(5), Said::Now(said(false)), HealthReport::Waiting),
            ("it said nothing yet", CRI, Some(5), Said::Nothing, HealthReport::Silent),
            ("it says nothing any more", CRI, Some(5), Said::LongAgo(said(true)), HealthReport::Still),
            ("what it said before it ended", CRI, None, Said::Now(said(true)), HealthReport::Down),
            ("the bus says nothing of itself", Process::Bus, Some(5), Said::Nothing, HealthReport::Ready),
        ];
        for (name, process, pid, said, expected) in cases {
            let report = ProcessReport::of(process, Some(&entry(process, pid)), said, None);
            assert_eq!(report.health, expected, "{name}");
        }
    }

    #[test]
    fn without_a_supervisor_a_process_is_what_it_said_a_moment_ago() {
        let cases = [
            (CRI, Some(said(true)), false, HealthReport::Ready),
            (CRI, Some(said(false)), false, HealthReport::Waiting),
            (CRI, None, false, HealthReport::Down),
            (Process::Bus, None, true, HealthReport::Ready),
        ];
        for (process, said, answers, expected) in cases {
            assert_eq!(ProcessReport::unsupervised(process, said, answers).health, expected);
        }
    }

    #[test]
    fn the_text_shows_what_is_waited_for_refused_and_wrong() {
        let process =
            ProcessReport::of(CRI, Some(&entry(CRI, Some(5))), Said::Now(said(false)), Some(3 << 20));
        let refused = Refused {
            id: "abc".parse().unwrap(),
            from: "/m/web.yaml".into(),
            field: "metadata.name".into(),
            why: "is\u{1b}[2J required".into(),
        };
        let report = Report {
            node: "n1".into(),
            mode: "standalone",
            registered: false,
            runtime: None,
            pods: 0,
            memory: 3 << 20,
            processes: vec![process],
            refused: vec![refused],
            problems: vec!["the bus is away".into()],
        };
        let expected = "node n1 (standalone), 0 pods, runtime not heard of, memory 3.0 MiB\n\n\
            PROCESS      PID   LIFE   RESTARTS   MEMORY    HEALTH    WAITS FOR\n\
            cri-bridge   5     7      2          3.0 MiB   waiting   the runtime\n\n\
            refused manifests:\n  /m/web.yaml: metadata.name: is [2J required\n\n\
            problems:\n  the bus is away\n";
        assert_eq!(report.text(), expected);
        assert!(!report.is_well());
    }
}
