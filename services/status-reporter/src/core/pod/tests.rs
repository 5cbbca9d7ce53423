//! The life of a pod's status, fact by fact.

use super::*;
use serde_json::{Value, json};

/// A pod before an API server that does what it is told.
#[derive(Default)]
struct Play {
    pod: Pod,
    second: u64,
}

impl Play {
    fn now(&self) -> Now {
        let nanoseconds = self.second * 1_000_000_000;
        Now { boot: BootTime(nanoseconds), unix: i64::try_from(nanoseconds).unwrap(), dice: 1.0 }
    }

    fn fact(&mut self, fact: Fact) -> Vec<Effect> {
        self.pod.step(self.now(), fact)
    }

    /// The deed that follows from a fact, if any.
    fn deed(&mut self, fact: Fact) -> Option<Deed> {
        let effects = self.fact(fact);
        let queued = effects.iter().any(|effect| matches!(effect, Effect::Queue(_)));
        let deed = self.pod.turn(self.now());
        assert_eq!(queued, deed.is_some(), "{effects:?}");
        deed
    }
}

fn status(source: PodSource, status: Value) -> Status {
    Status {
        pod: "u-1".parse().unwrap(),
        namespace: "default".to_owned(),
        name: "web".to_owned(),
        source,
        status: serde_json::from_value(status).unwrap(),
        mirror: None,
        release: false,
        seen_at: 5,
        life: 0,
    }
}

fn said(phase: &str) -> Fact {
    Fact::Said(Box::new(status(PodSource::Api, json!({ "phase": phase }))))
}

fn running() -> Value {
    let container = json!({
        "name": "a", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}
    });
    let ready = json!({"type": "Ready", "status": "True"});
    json!({"phase": "Running", "containerStatuses": [container], "conditions": [ready]})
}

fn view(version: u64, status: Value) -> Box<View> {
    Box::new(View {
        uid: "u-1".to_owned(),
        version,
        status: serde_json::from_value(status).unwrap(),
        ..View::default()
    })
}

fn seen(version: u64, phase: &str) -> Fact {
    Fact::Seen(view(version, json!({ "phase": phase })))
}

fn accepted(version: u64, phase: &str) -> Fact {
    Fact::Answered(Ok(Some(view(version, json!({ "phase": phase })))))
}

fn patched_phase(deed: Option<Deed>) -> Option<String> {
    match deed? {
        Deed::Patch { patch, .. } => Some(patch["status"]["phase"].as_str()?.to_owned()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_status_is_written_at_once_and_not_twice() {
    let mut play = Play::default();
    assert_eq!(play.deed(seen(1, "Pending")), None, "nothing was said yet");
    assert_eq!(patched_phase(play.deed(said("Running"))).as_deref(), Some("Running"));
    assert_eq!(play.deed(accepted(2, "Running")), None);
    assert_eq!(play.deed(seen(2, "Running")), None, "its own echo");
    assert_eq!(play.deed(said("Running")), None, "the API server says so already");
}

#[test]
fn what_is_said_while_a_write_is_under_way_is_written_next_and_only_the_newest_of_it() {
    let mut play = Play::default();
    play.deed(seen(1, "Pending"));
    assert!(
        play.deed(Fact::Said(Box::new(status(PodSource::Api, json!({"phase": "Pending", "message": "a"})))))
            .is_some()
    );
    assert_eq!(play.deed(said("Running")), None);
    assert_eq!(play.deed(said("Succeeded")), None);
    assert_eq!(patched_phase(play.deed(accepted(2, "Pending"))).as_deref(), Some("Succeeded"));
}

#[test]
fn nothing_is_written_before_the_object_is_known() {
    let mut play = Play::default();
    assert_eq!(play.deed(said("Running")), None);
    assert!(play.deed(seen(1, "Pending")).is_some());
}

#[test]
fn a_write_that_failed_is_repeated_after_a_pause_or_when_the_api_server_is_back() {
    let mut play = Play::default();
    play.deed(seen(1, "Pending"));
    play.deed(said("Running"));
    let effects = play.fact(Fact::Answered(Err(Failure::Unknown(String::new()))));
    assert_eq!(effects, [Effect::WakeAfter(Duration::from_millis(200))]);
    assert_eq!(play.deed(said("Succeeded")), None, "not before the pause is over");
    assert_eq!(patched_phase(play.deed(Fact::Woke)).as_deref(), Some("Succeeded"));
}

#[test]
fn a_status_that_is_refused_for_good_is_not_repeated_but_the_next_one_is_written() {
    let mut play = Play::default();
    play.deed(seen(1, "Pending"));
    play.deed(said("Running"));
    let failure = Failure::Invalid("no".to_owned());
    assert_eq!(play.fact(Fact::Answered(Err(failure.clone()))), [Effect::Refused(failure)]);
    assert_eq!(play.deed(Fact::Woke), None);
    assert!(play.deed(said("Succeeded")).is_some());
}

#[test]
fn a_status_for_a_pod_that_is_gone_or_another_is_dropped() {
    for failure in [Failure::NotFound, Failure::OtherUid] {
        let mut play = Play::default();
        play.deed(seen(1, "Pending"));
        play.deed(said("Running"));
        assert_eq!(play.fact(Fact::Answered(Err(failure))), []);
        assert_eq!(play.deed(Fact::Woke), None);
        play.fact(Fact::Gone("u-1".to_owned()));
        assert_eq!(play.deed(said("Succeeded")), None);
        assert_eq!(play.fact(Fact::Unsaid), [Effect::Leave]);
    }
}

#[test]
fn a_write_that_met_another_is_repeated() {
    let mut play = Play::default();
    play.deed(seen(1, "Pending"));
    play.deed(said("Running"));
    assert_eq!(
        play.fact(Fact::Answered(Err(Failure::Conflict))),
        [Effect::WakeAfter(Duration::from_millis(200))]
    );
    assert!(play.deed(Fact::Woke).is_some());
}

#[test]
fn an_answer_that_differs_from_what_was_written_is_taken_as_it_is() {
    let mut play = Play::default();
    play.deed(seen(1, "Pending"));
    play.deed(said("Running"));
    assert_eq!(play.deed(accepted(2, "Pending")), None, "some webhook or default wants it so");
}

#[test]
fn what_somebody_else_changes_is_written_again_but_not_each_time_at_once() {
    let mut play = Play::default();
    play.deed(seen(1, "Pending"));
    play.deed(said("Running"));
    play.deed(accepted(2, "Running"));
    play.second = 3;
    assert_eq!(play.fact(seen(3, "Pending")), [Effect::WakeAfter(Duration::from_secs(7))]);
    play.second = 10;
    assert!(play.deed(Fact::Woke).is_some());
    play.deed(accepted(4, "Running"));
    play.second = 60;
    assert!(play.deed(seen(5, "Pending")).is_some(), "long after the last write at once");
}

#[test]
fn a_sight_that_comes_late_is_none() {
    let mut play = Play::default();
    play.deed(seen(1, "Pending"));
    play.deed(said("Running"));
    play.deed(accepted(7, "Running"));
    play.second = 60;
    assert_eq!(play.deed(seen(6, "Pending")), None);
}

#[test]
fn a_deleted_pod_goes_only_when_its_end_was_accepted_and_nothing_of_it_is_left() {
    type Change = fn(&mut Status, &mut View);
    let cases: &[(&str, Change, bool)] = &[
        ("all is done", |_, _| {}, true),
        ("something of it is left on the node", |status, _| status.release = false, false),
        ("nobody has deleted it", |_, view| view.deleting = false, false),
        ("the API server does not know its end", |_, view| view.status.phase = Some("Running".into()), false),
        (
            "it never ended",
            |status, view| {
                status.status.phase = Some("Running".into());
                view.status.phase = Some("Running".into());
            },
            false,
        ),
    ];
    for (name, change, deleted) in cases {
        let mut status = Status { release: true, ..status(PodSource::Api, json!({"phase": "Succeeded"})) };
        let mut view = View { deleting: true, ..*view(1, json!({"phase": "Succeeded"})) };
        change(&mut status, &mut view);
        let mut play = Play::default();
        play.deed(Fact::Seen(Box::new(view)));
        let deed = play.deed(Fact::Said(Box::new(status)));
        assert_eq!(deed == Some(Deed::Delete { uid: "u-1".to_owned() }), *deleted, "{name}");
    }
}

#[test]
fn a_pods_end_and_its_readiness_are_urgent() {
    let ready = |holds: &str| json!({"phase": "Running", "conditions": [{"type": "Ready", "status": holds}]});
    let cases = [
        ("an end", ready("True"), json!({"phase": "Failed"}), Class::End),
        ("it becomes unready", ready("True"), ready("False"), Class::Ready),
        ("it becomes ready", ready("False"), ready("True"), Class::Ready),
        (
            "it has an address",
            ready("False"),
            json!({"phase": "Running", "podIP": "10.0.0.1"}),
            Class::Progress,
        ),
        (
            "its start goes on",
            json!({"phase": "Pending"}),
            json!({"phase": "Pending", "podIP": "10.0.0.1"}),
            Class::Starting,
        ),
        ("it runs", json!({"phase": "Pending"}), json!({"phase": "Running"}), Class::Progress),
    ];
    for (name, known, ours, class) in cases {
        let mut play = Play::default();
        play.fact(Fact::Seen(view(1, known)));
        let effects = play.fact(Fact::Said(Box::new(status(PodSource::Api, ours))));
        assert_eq!(effects, [Effect::Queue(class)], "{name}");
    }
}

#[test]
fn the_end_of_a_start_is_told_once_when_it_was_accepted() {
    let mut play = Play::default();
    play.fact(seen(1, "Pending"));
    play.second = 2;
    play.fact(Fact::Said(Box::new(status(PodSource::Api, running()))));
    assert!(play.pod.is_starting());
    play.pod.turn(play.now()).unwrap();
    play.second = 3;
    let effects = play.fact(Fact::Answered(Ok(Some(view(2, running())))));
    let second = 1_000_000_000;
    let ended = Ended {
        life: 0,
        began: 5,
        containers_started: 2 * second,
        ready: Some(2 * second),
        ended: 3 * second,
    };
    assert_eq!(effects, [Effect::Ended(ended)]);
    assert!(!play.pod.is_starting());
    let mut again = status(PodSource::Api, running());
    again.status.message = Some("other".to_owned());
    play.deed(Fact::Said(Box::new(again)));
    assert_eq!(play.fact(Fact::Answered(Ok(Some(view(3, running()))))), [], "once");
}

#[test]
fn a_pod_that_ran_before_has_no_start_to_tell_of() {
    let mut play = Play::default();
    play.fact(Fact::Said(Box::new(status(PodSource::Api, running()))));
    assert_eq!(play.fact(Fact::Seen(view(1, running()))), []);
    assert!(!play.pod.is_starting());
}

#[test]
fn a_start_that_an_earlier_life_of_ours_could_not_tell_of_is_told_of_late() {
    let second = 1_000_000_000;
    let begun = |at: &str| {
        let mut status = running();
        status["containerStatuses"][0]["state"]["running"]["startedAt"] = json!(at);
        status
    };
    let told = |started: &str, pod: Pod| {
        let mut play = Play { pod, second: 60 };
        play.fact(Fact::Said(Box::new(status(PodSource::Api, begun(started)))));
        let effects = play.fact(Fact::Seen(view(1, begun(started))));
        assert!(!play.pod.is_starting());
        effects
            .iter()
            .map(|effect| match effect {
                Effect::Ended(ended) => ended.ended / second,
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(told("1970-01-01T00:00:07Z", Pod::default()), [8], "to the second, and not before it was");
    assert_eq!(told("1970-01-01T00:00:59Z", Pod::default()), [60], "never in the future");
    assert_eq!(told("1970-01-01T00:00:07Z", Pod::new(Some(0))), [0_i64; 0], "it was told of");
    assert_eq!(
        told("1969-12-31T23:59:58Z", Pod::default()),
        [0_i64; 0],
        "it ran before it was first seen here"
    );
}

#[test]
fn a_static_pods_start_ends_when_it_runs_and_a_later_life_has_another() {
    let mut play = Play::default();
    let life = |life| Fact::Said(Box::new(Status { life, ..status(PodSource::File, running()) }));
    assert!(matches!(play.fact(life(0)).as_slice(), [Effect::Ended(Ended { life: 0, .. })]));
    assert_eq!(play.fact(life(0)), []);
    assert!(matches!(play.fact(life(1)).as_slice(), [Effect::Ended(Ended { life: 1, .. })]));

    let mut remembered = Play { pod: Pod::new(Some(1)), second: 0 };
    assert_eq!(remembered.fact(life(1)), [], "told of in an earlier life of ours");
}

/// A static pod whose mirror bears this hash.
fn mirrored(hash: &str) -> Fact {
    let mirror = json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "static", "annotations": {plan::MIRROR: hash}},
        "spec": {"nodeName": "node-1", "containers": []},
        "status": {"phase": "Running"},
    });
    let status = status(PodSource::File, json!({"phase": "Running"}));
    Fact::Said(Box::new(Status { mirror: serde_json::from_value(mirror).unwrap(), ..status }))
}

fn mirror(uid: &str, version: u64, hash: &str, phase: &str) -> Box<View> {
    let status = serde_json::from_value(json!({ "phase": phase })).unwrap();
    Box::new(View { uid: uid.to_owned(), version, mirror: Some(hash.to_owned()), deleting: false, status })
}

#[test]
fn a_mirror_is_made_for_a_registered_node_and_gets_the_static_pods_status() {
    let mut play = Play::default();
    assert_eq!(play.deed(mirrored("h")), None, "the API server's pods are not known yet");
    assert_eq!(play.deed(Fact::Absent), None, "the node is not registered yet");
    let Some(Deed::CreateMirror(object)) = play.deed(Fact::Node(Some("node-uid".to_owned()))) else {
        panic!()
    };
    let owner = &object.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (owner.kind.as_str(), owner.name.as_str(), owner.uid.as_str()),
        ("Node", "node-1", "node-uid")
    );
    assert_eq!(
        (owner.controller, object.metadata.uid.as_ref(), object.status.as_ref()),
        (Some(true), None, None)
    );
    let deed = play.deed(Fact::Answered(Ok(Some(mirror("m", 1, "h", "Pending")))));
    assert!(matches!(deed, Some(Deed::Patch { uid, .. }) if uid == "m"), "its own UID, not the static pod's");
}

#[test]
fn a_mirror_that_is_another_or_goes_away_is_replaced() {
    let delete = Some(Deed::DeleteMirror { uid: "m".to_owned() });
    let cases = [
        ("of an earlier version", mirror("m", 1, "old", "Running"), delete.clone()),
        ("marked deleted", Box::new(View { deleting: true, ..*mirror("m", 1, "h", "Running") }), delete),
        ("as it should be", mirror("m", 1, "h", "Running"), None),
        ("no mirror at all", Box::new(View { mirror: None, ..*mirror("m", 1, "h", "Pending") }), None),
    ];
    for (name, object, want) in cases {
        let mut play = Play::default();
        play.fact(mirrored("h"));
        play.fact(Fact::Node(Some("n".to_owned())));
        assert_eq!(play.deed(Fact::Seen(object)), want, "{name}");
        if want.is_some() {
            let next = play.deed(Fact::Answered(Ok(None)));
            assert!(matches!(next, Some(Deed::CreateMirror(_))), "{name}");
            let patch = play.deed(Fact::Answered(Ok(Some(mirror("m2", 9, "h", "Pending")))));
            assert!(patch.is_some(), "the new one knows nothing yet: {name}");
            play.fact(Fact::Answered(Ok(Some(mirror("m2", 10, "h", "Running")))));
            assert_eq!(play.deed(Fact::Gone("m".to_owned())), None, "the old one's end comes late: {name}");
        }
    }
}

#[test]
fn a_mirror_that_somebody_took_away_is_made_again() {
    let mut play = Play::default();
    play.fact(mirrored("h"));
    play.fact(Fact::Node(Some("n".to_owned())));
    play.fact(Fact::Seen(mirror("m", 1, "h", "Running")));
    assert!(matches!(play.deed(Fact::Gone("m".to_owned())), Some(Deed::CreateMirror(_))));
}

#[test]
fn a_static_pod_that_is_gone_takes_its_mirror_along() {
    let mut play = Play::default();
    play.fact(mirrored("h"));
    play.fact(Fact::Seen(mirror("m", 1, "h", "Running")));
    assert_eq!(play.deed(Fact::Unsaid), Some(Deed::DeleteMirror { uid: "m".to_owned() }));
    assert_eq!(play.fact(Fact::Answered(Ok(None))), [Effect::Leave]);
}

#[test]
fn a_mirror_of_nobody_goes() {
    let mut play = Play::default();
    let deed = play.deed(Fact::Seen(mirror("m", 1, "h", "Running")));
    assert_eq!(deed, Some(Deed::DeleteMirror { uid: "m".to_owned() }));
}

#[test]
fn a_pod_whose_name_is_anothers_writes_nothing() {
    let mut play = Play::default();
    play.fact(mirrored("h"));
    play.fact(Fact::Node(Some("n".to_owned())));
    assert_eq!(play.deed(Fact::Displaced), None);
    assert!(play.deed(Fact::Absent).is_some(), "until it is free");
}
