//! `/healthz`: whether the node agent as a whole does its work, and on request what each of its processes says.
//!
//! The checks are the stock kubelet's: `ping`, `log` and `syncloop`. Its sync loop is pod-lifecycle here, which
//! says every few seconds that it lives. The other processes are told of and fail nothing: a dead prober is
//! for the supervisor to mend, and a node that is restarted for it would lose more.

use super::{directory::Directory, query::Query};
use messages::{BootTime, Incarnation, Owner};
use std::{fmt::Write as _, time::Duration};

/// The sync loop may be silent at least this long.
const LEAST: Duration = Duration::from_secs(300);
/// A process that says something every five seconds, and has not for this long, is not well.
const SILENCE: Duration = Duration::from_secs(20);
/// The checks there are.
const CHECKS: [&str; 3] = ["ping", "log", "syncloop"];

/// What the checks look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'d> {
    /// What was heard.
    pub(crate) directory: &'d Directory,
    /// Now.
    pub(crate) now: BootTime,
    /// When this process began to listen.
    pub(crate) since: BootTime,
    /// `syncFrequency`.
    pub(crate) sync_frequency: Duration,
    /// This process' number and life: it is well enough to answer.
    pub(crate) own: (u32, Incarnation),
}

/// An answer: whether all is well, and the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// 200 or 500.
    pub(crate) is_well: bool,
    /// The body.
    pub(crate) body: String,
}

/// `/healthz`, with `verbose` and `exclude` in the query.
pub(crate) fn all(facts: Facts<'_>, query: &Query) -> Answer {
    let (mut lines, mut is_well) = (String::new(), true);
    for check in CHECKS {
        if query.all("exclude").any(|excluded| excluded == check) {
            let _ = writeln!(lines, "[+]{check} excluded: ok");
        } else if failure(check, facts).is_none() {
            let _ = writeln!(lines, "[+]{check} ok");
        } else {
            let _ = writeln!(lines, "[-]{check} failed: reason withheld");
            is_well = false;
        }
    }
    lines.push_str(&unknown(query));
    match (is_well, query.has("verbose")) {
        (false, _) => {
            Answer { is_well, body: format!("{lines}{}healthz check failed\n", compartments(facts)) }
        }
        (true, true) => {
            Answer { is_well, body: format!("{lines}{}healthz check passed\n", compartments(facts)) }
        }
        (true, false) => Answer { is_well, body: "ok".to_owned() },
    }
}

/// `/healthz/<check>`; nothing for a check that there is none of.
pub(crate) fn one(check: &str, facts: Facts<'_>) -> Option<Answer> {
    let known = CHECKS.into_iter().find(|known| *known == check)?;
    Some(match failure(known, facts) {
        None => Answer { is_well: true, body: "ok".to_owned() },
        Some(why) => Answer { is_well: false, body: format!("internal server error: {why}\n") },
    })
}

fn failure(check: &str, facts: Facts<'_>) -> Option<&'static str> {
    let allowed = LEAST.max(facts.sync_frequency * 2);
    let last = facts.directory.health(Owner::PodLifecycle).map_or(facts.since, |(_, heard)| *heard);
    let is_stuck = check == "syncloop" && facts.now.since(last) > allowed;
    is_stuck.then_some("sync Loop took longer than expected")
}

fn unknown(query: &Query) -> String {
    let unknown: Vec<_> =
        query.all("exclude").filter(|name| !CHECKS.contains(name)).map(|name| format!("{name:?}")).collect();
    match unknown.is_empty() {
        true => String::new(),
        false => {
            format!("warn: some health checks cannot be excluded: no matches for {}\n", unknown.join(","))
        }
    }
}

/// A line for each process but the supervisor, which is on no bus.
fn compartments(facts: Facts<'_>) -> String {
    Owner::ALL
        .into_iter()
        .filter(|owner| *owner != Owner::Bulkhead)
        .map(|owner| compartment(owner, facts))
        .collect()
}

fn compartment(owner: Owner, facts: Facts<'_>) -> String {
    if owner == Owner::NodeApi {
        let (pid, life) = facts.own;
        return format!("compartment {owner}: ready (pid {pid}, life {life})\n");
    }
    let Some((health, heard)) = facts.directory.health(owner) else {
        return format!("compartment {owner}: not heard of\n");
    };
    let silent = facts.now.since(*heard);
    let state = match (silent > SILENCE, health.ready) {
        (true, _) => format!("silent for {} s", silent.as_secs()),
        (false, true) => "ready".to_owned(),
        (false, false) => format!("waits for {}", health.waiting_for.join(", ")),
    };
    format!("compartment {owner}: {state} (pid {}, life {})\n", health.pid, health.incarnation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::directory::Fact;
    use messages::health::Health;

    fn at(seconds: u64) -> BootTime {
        BootTime::default().after(Duration::from_secs(seconds))
    }

    fn directory(heard: &[(Owner, u64, bool)]) -> Directory {
        let mut directory = Directory::default();
        for (owner, heard_at, ready) in heard {
            let health = Health {
                owner: *owner,
                incarnation: Incarnation(3),
                pid: 42,
                ready: *ready,
                waiting_for: if *ready { Vec::new() } else { vec!["the runtime".into()] },
                at: at(*heard_at),
            };
            directory.note(Fact::Health(Box::new(health), at(*heard_at)));
        }
        directory
    }

    fn ask(directory: &Directory, now: u64, query: &str) -> Answer {
        let (sync_frequency, own) = (Duration::from_secs(60), (1, Incarnation(7)));
        let facts = Facts { directory, now: at(now), since: at(0), sync_frequency, own };
        all(facts, &Query::parse(query))
    }

    #[test]
    fn only_a_silent_sync_loop_fails() {
        type Row = (&'static str, &'static [(Owner, u64, bool)], u64, bool);
        let cases: &[Row] = &[
            ("nothing heard yet, at the start", &[], 10, true),
            ("nothing heard for long", &[], 400, false),
            ("the sync loop speaks", &[(Owner::PodLifecycle, 300, true)], 400, true),
            ("it speaks, and waits for the runtime", &[(Owner::PodLifecycle, 300, false)], 400, true),
            ("it has fallen silent", &[(Owner::PodLifecycle, 99, true)], 400, false),
            (
                "another one is silent",
                &[(Owner::PodLifecycle, 399, true), (Owner::Prober, 0, true)],
                400,
                true,
            ),
        ];
        for (name, heard, now, is_well) in cases {
            assert_eq!(ask(&directory(heard), *now, "").is_well, *is_well, "{name}");
        }
    }

    #[test]
    fn the_body_is_what_probes_and_people_expect() {
        let heard =
            [(Owner::PodLifecycle, 399, true), (Owner::CriBridge, 399, false), (Owner::Prober, 300, true)];
        let directory = directory(&heard);
        assert_eq!(ask(&directory, 400, "").body, "ok");
        let verbose = ask(&directory, 400, "verbose").body;
        assert!(verbose.starts_with("[+]ping ok\n[+]log ok\n[+]syncloop ok\n"), "{verbose}");
        assert!(verbose.ends_with("healthz check passed\n"), "{verbose}");
        for line in [
            "compartment pod-lifecycle: ready (pid 42, life 3)",
            "compartment cri-bridge: waits for the runtime (pid 42, life 3)",
            "compartment prober: silent for 100 s (pid 42, life 3)",
            "compartment api-gate: not heard of",
        ] {
            assert!(verbose.lines().any(|at| at == line), "{line} is missing in {verbose}");
        }
        let failed = ask(&directory, 9000, "");
        assert!(failed.body.contains("[-]syncloop failed: reason withheld\n"));
        assert!(failed.body.ends_with("healthz check failed\n"));
        assert!(ask(&directory, 9000, "exclude=syncloop").is_well);
    }
}
