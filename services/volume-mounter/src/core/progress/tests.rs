//! The way of a pod's volumes, step by step.

use super::*;

fn name(text: &str) -> VolumeName {
    VolumeName::parse(text).unwrap()
}

fn wanted(names: &[&str]) -> Fact {
    Fact::Wanted(names.iter().map(|text| name(text)).collect())
}

fn made(text: &str) -> Fact {
    Fact::Made { volume: name(text), result: Ok(None) }
}

fn failed(text: &str) -> Fact {
    let setback = Setback { why: "configmap \"c\" not found".into(), passing: false };
    Fact::Made { volume: name(text), result: Err(setback) }
}

fn make(text: &str) -> Effect {
    Effect::Make(name(text))
}

fn wake(text: &str, millis: u64) -> Effect {
    Effect::WakeAfter(Wake::Volume(name(text)), Duration::from_millis(millis))
}

fn after(facts: &[Fact]) -> Progress {
    let mut progress = Progress::default();
    for fact in facts {
        progress.step(fact.clone());
    }
    progress
}

const MESSAGE: &str = "MountVolume.SetUp failed for volume \"a\" : configmap \"c\" not found";

#[test]
fn volumes_are_made_side_by_side_and_the_pod_is_ready_with_the_last() {
    let mut progress = Progress::default();
    assert_eq!(progress.step(wanted(&["a", "b"])), [Effect::Say, make("a"), make("b")]);
    assert_eq!(progress.step(made("b")), [Effect::Say]);
    assert_eq!(progress.stage(), Stage::Preparing);
    assert_eq!(progress.step(made("a")), [Effect::Say]);
    assert_eq!(progress.stage(), Stage::Ready);
}

#[test]
fn while_the_api_server_is_away_it_is_asked_again_within_seconds() {
    let away = Setback { why: "connection refused".into(), passing: true };
    let (mut progress, mut waits) = (after(&[wanted(&["a"])]), Vec::new());
    for _ in 0..6 {
        let effects = progress.step(Fact::Made { volume: name("a"), result: Err(away.clone()) });
        let wait = effects.iter().find_map(|effect| match effect {
            Effect::WakeAfter(_, wait) => Some(wait.as_millis()),
            _ => None,
        });
        waits.extend(wait);
        progress.step(Fact::Woken(Wake::Volume(name("a"))));
    }
    assert_eq!(waits, [500, 1000, 2000, 4000, 4000, 4000]);
}

#[test]
fn facts_and_what_they_bring() {
    let one = [wanted(&["a"])];
    let ready = [wanted(&["a"]), made("a")];
    let waiting = [wanted(&["a"]), failed("a")];
    let releasing = [wanted(&["a"]), made("a"), Fact::ReleaseAsked];
    let told = Effect::Tell(MESSAGE.into());
    let due = Fact::Made { volume: name("a"), result: Ok(Some(Duration::from_secs(9))) };
    let woken = Fact::Woken(Wake::Volume(name("a")));
    let changed = Fact::Changed(vec![name("a"), name("stranger")]);
    let stuck = Fact::TakenDown(Err("busy".into()));
    let later = Effect::WakeAfter(Wake::Release, Duration::from_millis(500));
    let cases: Vec<(&str, &[Fact], Fact, Vec<Effect>)> = vec![
        ("no volumes at all", &[], wanted(&[]), vec![Effect::Say]),
        ("asked again while it is made", &one, wanted(&["a"]), vec![Effect::Say]),
        ("asked again when ready", &ready, wanted(&["a"]), vec![Effect::Say]),
        ("a volume more", &ready, wanted(&["a", "b"]), vec![Effect::Say, make("b")]),
        ("a failure waits and is told", &one, failed("a"), vec![Effect::Say, told, wake("a", 500)]),
        ("asked again while it waits", &waiting, wanted(&["a"]), vec![Effect::Say]),
        ("the wait is over", &waiting, woken.clone(), vec![make("a")]),
        ("what was missing has appeared", &waiting, changed.clone(), vec![make("a")]),
        ("a token's time comes", &one, due, vec![wake("a", 9000), Effect::Say]),
        ("a source has changed", &ready, changed.clone(), vec![make("a")]),
        ("it changed while the volume is made", &one, changed.clone(), vec![]),
        ("release", &ready, Fact::ReleaseAsked, vec![Effect::Say, Effect::TakeDown]),
        ("release waits for what is in hand", &one, Fact::ReleaseAsked, vec![Effect::Say]),
        ("release, asked again", &releasing, Fact::ReleaseAsked, vec![]),
        ("nothing is made any more", &releasing, wanted(&["b"]), vec![]),
        ("nothing is filled any more", &releasing, changed, vec![]),
        ("taking down fails", &releasing, stuck, vec![Effect::Say, later]),
        ("nothing is left", &releasing, Fact::TakenDown(Ok(())), vec![Effect::Forget]),
    ];
    for (sentence, before, fact, want) in cases {
        assert_eq!(after(before).step(fact), want, "{sentence}");
    }
}

#[test]
fn a_change_while_a_volume_is_made_makes_it_once_more() {
    let mut progress = after(&[wanted(&["a"]), Fact::Changed(vec![name("a")])]);
    assert_eq!(progress.step(made("a")), [Effect::Say, make("a")]);
    assert_eq!(progress.step(made("a")), [], "nothing new to say");
}

#[test]
fn what_was_in_hand_at_release_is_finished_first() {
    let mut progress = after(&[wanted(&["a", "b"]), Fact::ReleaseAsked]);
    assert_eq!(progress.step(made("a")), []);
    assert_eq!(progress.step(failed("b")), [Effect::TakeDown]);
}

#[test]
fn failures_wait_longer_and_a_success_forgives_them() {
    let mut progress = after(&[wanted(&["a"]), failed("a"), Fact::Woken(Wake::Volume(name("a")))]);
    assert!(progress.step(failed("a")).contains(&wake("a", 1000)));
    assert_eq!(progress.fault(), Some(MESSAGE));
    progress.step(Fact::Woken(Wake::Volume(name("a"))));
    progress.step(made("a"));
    assert_eq!((progress.fault(), progress.stage()), (None, Stage::Ready));
}

#[test]
fn a_failed_refill_leaves_the_pod_ready() {
    let progress = after(&[wanted(&["a"]), made("a"), Fact::Changed(vec![name("a")]), failed("a")]);
    assert_eq!(progress.stage(), Stage::Ready);
}

#[test]
fn a_later_life_makes_only_what_is_not_whole() {
    let mut progress = Progress::restored(BTreeMap::from([(name("a"), true), (name("b"), false)]));
    assert_eq!(progress.stage(), Stage::Preparing);
    assert_eq!(progress.step(wanted(&["a", "b"])), [Effect::Say, make("b")]);
    assert_eq!(progress.step(made("b")), [Effect::Say]);
    assert_eq!(progress.stage(), Stage::Ready);
}
