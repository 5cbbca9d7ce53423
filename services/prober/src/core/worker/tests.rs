//! The rules of probing as tables.

use super::*;
use crate::core::tidings::Tidings;

const SECOND: u64 = 1_000_000_000;
/// When the process of the tests began, on the wall clock.
const BEGAN: i64 = 1_000 * SECOND as i64;

fn timing() -> Timing {
    Timing {
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        success_threshold: 1,
        failure_threshold: 3,
    }
}

/// So many seconds after the process began.
fn at(seconds: u64) -> Now {
    Now { boot: BootTime(seconds * SECOND), unix: BEGAN + (seconds * SECOND) as i64 }
}

fn beginning() -> Beginning {
    Beginning { at: at(0), fraction: 0.5 }
}

fn worker(kind: ProbeKind, timing: Timing) -> Worker {
    Worker::new(kind, timing, beginning(), None)
}

fn running(id: &str) -> View {
    View {
        container_id: Some(id.into()),
        running: true,
        started_at: BEGAN + 1,
        started: true,
        terminating: false,
    }
}

/// A container that came up before the process, and is seen when a period has passed since: probes
/// of it count from the first.
fn grown(id: &str) -> View {
    View { started_at: BEGAN - 1, ..running(id) }
}

fn probed(id: &str, outcome: Outcome) -> Fact {
    Fact::Probed { container_id: id.into(), outcome }
}

fn failure() -> Outcome {
    Outcome::Failure("bad".into())
}

fn settled(id: &str, finding: Finding) -> Settled {
    Settled { container_id: id.into(), finding, message: String::new() }
}

fn probe(id: &str) -> Effect {
    Effect::Probe { container_id: id.into() }
}

fn wake(seconds: u64) -> Effect {
    Effect::WakeAfter(Duration::from_secs(seconds))
}

/// What was settled, in order, when a container's probes go like this.
fn findings(kind: ProbeKind, timing: Timing, outcomes: &[Outcome]) -> Vec<Finding> {
    let mut worker = worker(kind, timing);
    let view = View { started: kind != ProbeKind::Startup, ..grown("c1") };
    worker.step(at(100), Fact::Seen(view));
    let mut found = vec![];
    for (turn, outcome) in outcomes.iter().enumerate() {
        let now = at(100 + 10 * turn as u64);
        worker.step(now, Fact::Woken);
        let effects = worker.step(now, probed("c1", outcome.clone()));
        found.extend(effects.into_iter().filter_map(|effect| match effect {
            Effect::Settle(settled) => Some(settled.finding),
            _ => None,
        }));
    }
    found
}

#[test]
fn outcomes_in_a_row_settle() {
    use Finding::{Failure as Bad, Success as Good};
    use Outcome::Success as Pass;
    let errored = || Outcome::Errored("no runtime".into());
    let away = || Outcome::NotTried("away".into());
    let warning = Outcome::Warning("moved".into());
    let cases: Vec<(&str, Vec<Outcome>, Vec<Finding>)> = vec![
        ("one success is enough", vec![Pass], vec![Good]),
        ("a warning is a success", vec![warning], vec![Good]),
        ("the same again is not said again", vec![Pass, Pass], vec![Good]),
        ("two failures are not enough", vec![Pass, failure(), failure()], vec![Good]),
        ("three in a row are", vec![Pass, failure(), failure(), failure()], vec![Good, Bad]),
        (
            "a success in between starts the count again",
            vec![failure(), failure(), Pass, failure(), failure()],
            vec![Good],
        ),
        (
            "an error is no result and breaks no row",
            vec![failure(), errored(), failure(), away(), failure()],
            vec![Bad],
        ),
        ("it comes back", vec![failure(), failure(), failure(), Pass], vec![Bad, Good]),
    ];
    for (name, outcomes, want) in cases {
        assert_eq!(findings(ProbeKind::Readiness, timing(), &outcomes), want, "{name}");
    }
}

#[test]
fn success_needs_as_many_as_its_threshold() {
    let two = Timing { success_threshold: 2, ..timing() };
    let outcomes = [Outcome::Success, failure(), Outcome::Success, Outcome::Success];
    assert_eq!(findings(ProbeKind::Readiness, two, &outcomes), [Finding::Success]);
}

#[test]
fn after_failing_for_good_liveness_and_startup_hold_until_a_new_container() {
    let once = Timing { failure_threshold: 1, ..timing() };
    let cases = [
        (ProbeKind::Liveness, true, wake(10)),
        (ProbeKind::Startup, true, probe("c2")),
        (ProbeKind::Readiness, false, probe("c2")),
    ];
    for (kind, holds, then) in cases {
        let mut worker = worker(kind, once);
        let started = kind != ProbeKind::Startup;
        worker.step(at(100), Fact::Seen(View { started, ..grown("c1") }));
        let effects = worker.step(at(100), probed("c1", failure()));
        assert_eq!(effects.contains(&wake(10)), !holds, "{kind}");
        let next = View { started, ..running("c2") };
        assert_eq!(worker.step(at(130), Fact::Seen(next)), [then], "{kind}: there is a new one");
    }
}

#[test]
fn a_worker_rests_while_it_has_no_business() {
    let not_started = View { started: false, ..running("c1") };
    let created = View { running: false, started_at: 0, ..running("c1") };
    let stopping = View { terminating: true, ..running("c1") };
    let stopping_success = vec![Effect::Settle(settled("c1", Finding::Success))];
    let cases = [
        ("liveness waits for started", ProbeKind::Liveness, not_started.clone(), vec![]),
        ("readiness waits for started", ProbeKind::Readiness, not_started.clone(), vec![]),
        ("startup does not", ProbeKind::Startup, not_started, vec![probe("c1")]),
        ("startup is over once started", ProbeKind::Startup, running("c1"), vec![]),
        ("liveness goes once started", ProbeKind::Liveness, grown("c1"), vec![probe("c1")]),
        ("and leaves what has just come up a period", ProbeKind::Liveness, running("c1"), vec![wake(10)]),
        ("what was only created is not judged", ProbeKind::Readiness, created, vec![]),
        ("no instance, nothing to probe", ProbeKind::Readiness, View::default(), vec![]),
        ("liveness ends in a stopping pod", ProbeKind::Liveness, stopping.clone(), stopping_success),
        ("readiness goes on in one", ProbeKind::Readiness, stopping, vec![probe("c1")]),
    ];
    for (name, kind, view, want) in cases {
        assert_eq!(worker(kind, timing()).step(at(100), Fact::Seen(view)), want, "{name}");
    }
}

#[test]
fn a_container_that_ended_is_not_ready_any_more() {
    let mut worker = worker(ProbeKind::Readiness, timing());
    worker.step(at(1), Fact::Seen(running("c1")));
    worker.step(at(1), probed("c1", Outcome::Success));
    let ended = View { running: false, ..running("c1") };
    assert_eq!(worker.step(at(2), Fact::Seen(ended)), [Effect::Settle(settled("c1", Finding::Failure))]);
}

#[test]
fn a_container_that_is_down_is_not_said_to_be_dead() {
    for (kind, then) in [(ProbeKind::Liveness, wake(10)), (ProbeKind::Startup, probe("c1"))] {
        let started = kind == ProbeKind::Liveness;
        let hook_runs = View { running: false, started, ..running("c1") };
        let mut worker = worker(kind, timing());
        assert_eq!(worker.step(at(1), Fact::Seen(hook_runs.clone())), [], "{kind}");
        let up = View { running: true, ..hook_runs };
        assert_eq!(worker.step(at(3), Fact::Seen(up)), [then], "{kind}: its hook has ended");
    }
}

#[test]
fn the_initial_delay_counts_from_the_containers_start() {
    let delayed = Timing { initial_delay: Duration::from_secs(30), ..timing() };
    let started = |seconds: i64| View { started_at: BEGAN + seconds * SECOND as i64, ..running("c1") };
    let cases = [
        ("just started", 20, 20, vec![wake(30)]),
        ("started a while ago", 20, 30, vec![wake(20)]),
        ("old enough", 20, 50, vec![probe("c1")]),
        ("a clock that went backwards asks for no more than the delay", 500, 20, vec![wake(30)]),
    ];
    for (name, start, now, want) in cases {
        let mut worker = worker(ProbeKind::Liveness, delayed);
        assert_eq!(worker.step(at(now), Fact::Seen(started(start))), want, "{name}");
    }
}

#[test]
fn containers_older_than_the_process_are_spread_over_a_period() {
    let old = View { started_at: BEGAN - 1, ..running("c1") };
    let cases = [
        ("an old container, right after the start", old.clone(), 1, vec![wake(5)]),
        ("an old container, seen when a period has passed", old, 11, vec![probe("c1")]),
        ("a container started since, right after the start", running("c1"), 1, vec![wake(10)]),
    ];
    for (name, view, now, want) in cases {
        let mut worker = worker(ProbeKind::Liveness, timing());
        assert_eq!(worker.step(at(now), Fact::Seen(view)), want, "{name}");
    }
}

#[test]
fn periods_count_from_probe_to_probe() {
    let mut worker = worker(ProbeKind::Liveness, timing());
    assert_eq!(worker.step(at(101), Fact::Seen(grown("c1"))), [probe("c1")]);
    assert_eq!(worker.step(at(104), Fact::Woken), [], "one at a time");
    let effects = worker.step(at(104), probed("c1", Outcome::Success));
    assert_eq!(effects.last(), Some(&wake(7)), "the next is due a period after the last began");
    assert_eq!(worker.step(at(111), Fact::Woken), [probe("c1")]);
    let effects = worker.step(at(140), probed("c1", Outcome::Success));
    assert_eq!(effects, [probe("c1")], "after a probe longer than the period the next goes at once");
}

#[test]
fn an_unready_container_is_asked_at_once_when_something_changes() {
    let mut worker = worker(ProbeKind::Readiness, timing());
    let waiting = View { started: false, ..running("c1") };
    assert_eq!(worker.step(at(1), Fact::Seen(waiting.clone())), []);
    assert_eq!(worker.step(at(3), Fact::Seen(running("c1"))), [probe("c1")], "its startup probe succeeded");
    worker.step(at(3), probed("c1", failure()));
    assert_eq!(worker.step(at(4), Fact::Seen(running("c1"))), [wake(9)], "the same again is no change");
}

#[test]
fn late_outcomes_change_nothing() {
    let mut worker = worker(ProbeKind::Liveness, Timing { failure_threshold: 1, ..timing() });
    worker.step(at(100), Fact::Seen(grown("c1")));
    worker.step(at(101), Fact::Seen(grown("c2")));
    let effects = worker.step(at(102), probed("c1", failure()));
    assert_eq!(effects, [probe("c2")], "the old one's failure does not judge the new one");

    let ended = View { running: false, ..grown("c2") };
    worker.step(at(103), Fact::Seen(ended));
    assert_eq!(worker.step(at(104), probed("c2", failure())), [], "it has ended meanwhile");
}

#[test]
fn a_later_life_goes_on_from_what_was_said() {
    let said = |finding| Some(settled("c1", finding));
    let old = View { started_at: BEGAN - 1, ..running("c1") };
    let cases = [
        ("ready stays ready", ProbeKind::Readiness, said(Finding::Success), vec![wake(5)]),
        ("a failed liveness stays on hold", ProbeKind::Liveness, said(Finding::Failure), vec![]),
        ("a failed readiness goes on", ProbeKind::Readiness, said(Finding::Failure), vec![wake(5)]),
    ];
    for (name, kind, said, want) in cases {
        let mut worker = Worker::new(kind, timing(), beginning(), said);
        assert_eq!(worker.step(at(1), Fact::Seen(old.clone())), want, "{name}");
    }
    let mut worker = Worker::new(ProbeKind::Liveness, timing(), beginning(), said(Finding::Failure));
    let next = running("c2");
    assert_eq!(worker.step(at(1), Fact::Seen(next)), [wake(10)], "a new container lifts the hold");
}

#[test]
fn failures_are_told_even_below_the_threshold() {
    let mut worker = worker(ProbeKind::Liveness, timing());
    worker.step(at(100), Fact::Seen(grown("c1")));
    let effects = worker.step(at(100), probed("c1", failure()));
    let told = Tidings { reason: "Unhealthy", message: "Liveness probe failed: bad".into() };
    assert_eq!(effects, [Effect::Tell(told), wake(10)]);
}

#[test]
fn what_has_just_come_up_is_looked_at_before_probes_count() {
    let after = |millis: u64| {
        let nanos = millis * 1_000_000;
        Now { boot: BootTime(SECOND + nanos), unix: BEGAN + (SECOND + nanos) as i64 }
    };
    let wait = |millis: u64| Effect::WakeAfter(Duration::from_millis(millis));
    let once = Timing { failure_threshold: 1, ..timing() };
    for kind in [ProbeKind::Readiness, ProbeKind::Startup] {
        let mut worker = worker(kind, once);
        let view = View { started: kind == ProbeKind::Readiness, ..running("c1") };
        assert_eq!(worker.step(after(0), Fact::Seen(view)), [probe("c1")], "{kind}: at once");
        let quiet = worker.step(after(10), probed("c1", failure()));
        assert_eq!(quiet, [wait(90)], "{kind}: a look that fails is no failure");
        worker.step(after(100), Fact::Woken);
        let quiet = worker.step(after(150), probed("c1", Outcome::Errored("not up".into())));
        assert_eq!(quiet, [wait(150)], "{kind}: nor is one that goes wrong told");
        worker.step(after(300), Fact::Woken);
        assert_eq!(worker.step(after(301), probed("c1", failure())), [wait(699)], "{kind}");
        assert_eq!(worker.step(after(1000), Fact::Woken), [probe("c1")], "{kind}");
        let effects = worker.step(after(1001), probed("c1", failure()));
        assert!(
            effects.contains(&Effect::Settle(Settled {
                message: "bad".into(),
                ..settled("c1", Finding::Failure)
            })),
            "{kind}: this one counts: {effects:?}"
        );
    }
}

#[test]
fn a_look_that_succeeds_counts() {
    let mut worker = worker(ProbeKind::Readiness, timing());
    worker.step(at(1), Fact::Seen(running("c1")));
    let effects = worker.step(at(1), probed("c1", Outcome::Success));
    assert_eq!(effects, [Effect::Settle(settled("c1", Finding::Success)), wake(10)]);
}
