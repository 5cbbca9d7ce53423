//! The rules of beginning and leaving.

use super::*;
use messages::Owner;

const BUS: Process = Process::Bus;
const PROBER: Process = Process::Service(Owner::Prober);
const LIFECYCLE: Process = Process::Service(Owner::PodLifecycle);
const RECORDER: Process = Process::Service(Owner::TraceRecorder);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A fleet in which these processes run since moment zero, with pids 1, 2, ….
fn running(processes: &[Process]) -> Fleet {
    let mut fleet = Fleet::new(processes.iter().copied());
    fleet.step(ms(0), Fact::Tick);
    for (pid, process) in (1..).zip(processes) {
        assert_eq!(fleet.step(ms(0), Fact::Began(*process, pid)), []);
    }
    fleet
}

#[test]
fn all_begin_at_once() {
    let mut fleet = Fleet::new([BUS, PROBER].into_iter());
    assert_eq!(fleet.step(ms(0), Fact::Tick), [Effect::Begin(BUS), Effect::Begin(PROBER)]);
    assert_eq!(fleet.step(ms(0), Fact::Tick), [], "each once");
}

#[test]
fn pauses_double_up_to_the_longest_and_are_forgiven_after_a_good_life() {
    let mut fleet = running(&[PROBER]);
    let (mut now, mut pauses) = (ms(0), Vec::new());
    for _ in 0..9 {
        fleet.step(now, Fact::Ended(PROBER));
        let due = fleet.wakes_at().unwrap();
        pauses.push((due - now).as_millis());
        now = due;
        assert_eq!(fleet.step(now, Fact::Tick), [Effect::Begin(PROBER)]);
        fleet.step(now, Fact::Began(PROBER, 7));
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    assert_eq!(fleet.members()[&PROBER].restarts, 9);
    now += GOOD_LIFE;
    fleet.step(now, Fact::Ended(PROBER));
    assert_eq!(fleet.wakes_at(), Some(now + FIRST_PAUSE), "after a good life");
}

#[test]
fn nobody_begins_before_the_pause_is_over() {
    let mut fleet = running(&[PROBER]);
    assert_eq!(fleet.step(ms(0), Fact::Ended(PROBER)), []);
    assert_eq!(fleet.step(ms(99), Fact::Tick), []);
    assert_eq!(fleet.step(ms(100), Fact::Tick), [Effect::Begin(PROBER)]);
    assert_eq!(fleet.step(ms(100), Fact::NotBegun(PROBER)), [], "a failure to begin counts as an end");
    assert_eq!(fleet.wakes_at(), Some(ms(300)));
}

#[test]
fn groups_leave_one_after_the_other_the_bus_last() {
    let mut fleet = running(&[BUS, PROBER, LIFECYCLE, RECORDER]);
    let asked = fleet.step(ms(0), Fact::ToldToLeave);
    assert_eq!(asked, [Effect::Ask(LIFECYCLE, 3), Effect::Ask(PROBER, 2)]);
    assert_eq!(fleet.step(ms(1), Fact::ToldToLeave), [], "once is enough");
    assert_eq!(fleet.step(ms(1), Fact::Ended(PROBER)), [], "one of the group is still there");
    assert_eq!(
        fleet.step(ms(2), Fact::Ended(LIFECYCLE)),
        [Effect::Ask(RECORDER, 4)],
        "empty groups are skipped"
    );
    assert_eq!(fleet.step(ms(3), Fact::Ended(RECORDER)), [Effect::Ask(BUS, 1)]);
    assert_eq!(fleet.step(ms(4), Fact::Ended(BUS)), [Effect::Done]);
}

#[test]
fn who_does_not_leave_is_killed() {
    let mut fleet = running(&[BUS, PROBER]);
    fleet.step(ms(0), Fact::ToldToLeave);
    assert_eq!(fleet.wakes_at(), Some(PATIENCE));
    assert_eq!(fleet.step(PATIENCE, Fact::Tick), [Effect::Kill(PROBER, 2)]);
    assert_eq!(fleet.step(PATIENCE, Fact::Ended(PROBER)), [Effect::Ask(BUS, 1)]);
}

#[test]
fn who_ends_while_the_node_leaves_stays_away() {
    let mut fleet = running(&[BUS, PROBER]);
    fleet.step(ms(0), Fact::Ended(PROBER));
    assert_eq!(
        fleet.step(ms(50), Fact::ToldToLeave),
        [Effect::Ask(BUS, 1)],
        "it was due, and is not any more"
    );
    assert_eq!(fleet.step(ms(500), Fact::Tick), []);
}

#[test]
fn who_is_being_begun_when_the_node_leaves_is_asked_as_soon_as_it_runs() {
    let mut fleet = Fleet::new([PROBER].into_iter());
    assert_eq!(fleet.step(ms(0), Fact::Tick), [Effect::Begin(PROBER)]);
    assert_eq!(fleet.step(ms(1), Fact::ToldToLeave), []);
    assert_eq!(fleet.step(ms(2), Fact::Began(PROBER, 5)), [Effect::Ask(PROBER, 5)]);
    assert_eq!(fleet.step(ms(3), Fact::Ended(PROBER)), [Effect::Done]);
}
