//! Events on their way, one after the other.

use super::*;
use messages::status_reporter::{About, Severity};
use serde_json::json;

fn at(seconds: u64) -> Now {
    let nanoseconds = seconds * 1_000_000_000;
    Now { boot: BootTime(nanoseconds), unix: i64::try_from(nanoseconds).unwrap(), dice: 1.0 }
}

fn recorder() -> Recorder {
    Recorder::new("node-1".parse().unwrap(), (0, 0), at(0))
}

fn about(name: &str) -> About {
    About::Pod {
        pod: "u-1".parse().unwrap(),
        namespace: "default".to_owned(),
        name: name.to_owned(),
        field_path: "spec.containers{app}".to_owned(),
    }
}

fn event(reason: &str, message: &str, second: i64) -> RecordEvent {
    RecordEvent {
        about: about("web"),
        severity: Severity::Warning,
        reason: reason.to_owned(),
        message: message.to_owned(),
        at: second * 1_000_000_000,
    }
}

fn effects(taken: Taken) -> Vec<Effect> {
    match taken {
        Taken::Yes(effects) => effects,
        other => panic!("{other:?}"),
    }
}

fn created(effects: &[Effect]) -> &Event {
    match effects {
        [Effect::Ask(Ask::Create(event))] => event,
        other => panic!("{other:?}"),
    }
}

fn counted(effects: &[Effect]) -> Option<&Value> {
    match effects {
        [Effect::Ask(Ask::Patch { patch, .. })] => Some(&patch["count"]),
        _ => None,
    }
}

const SENT: Fact = Fact::Answered(Ok(()));

#[test]
fn an_event_looks_as_the_stock_kubelets_do() {
    let effects = effects(recorder().record(at(7), event("BackOff", "again", 7)));
    let event = created(&effects);
    assert_eq!(event.metadata.name.as_deref(), Some("web.1a13b8600"), "the time in hex");
    assert_eq!(event.metadata.namespace.as_deref(), Some("default"));
    let object = json!(event.involved_object);
    let want = json!({
        "apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": "web", "uid": "u-1",
        "fieldPath": "spec.containers{app}",
    });
    assert_eq!(object, want);
    assert_eq!(json!(event.source), json!({"component": "kubelet", "host": "node-1"}));
    assert_eq!(event.reporting_component.as_deref(), Some("kubelet"));
    assert_eq!((event.type_.as_deref(), event.count), (Some("Warning"), Some(1)));
}

#[test]
fn an_event_about_the_node_lies_in_the_default_namespace() {
    let about_node = RecordEvent { about: About::Node, ..event("Starting", "", 1) };
    let effects = effects(recorder().record(at(1), about_node));
    let event = created(&effects);
    assert_eq!(event.metadata.namespace.as_deref(), Some("default"));
    assert_eq!(event.involved_object.uid.as_deref(), Some("node-1"));
}

#[test]
fn what_happens_again_is_counted() {
    let mut recorder = recorder();
    effects(recorder.record(at(1), event("BackOff", "again", 1)));
    assert_eq!(effects(recorder.record(at(2), event("BackOff", "again", 2))), [], "the first is under way");
    assert_eq!(
        effects(recorder.record(at(3), event("BackOff", "again", 3))),
        [],
        "folded into the waiting one"
    );
    assert_eq!(counted(&recorder.step(at(3), SENT)), Some(&json!(3)));
    recorder.step(at(3), SENT);
    assert_eq!(counted(&effects(recorder.record(at(4), event("BackOff", "again", 4)))), Some(&json!(4)));
}

#[test]
fn an_event_that_the_api_server_has_forgotten_begins_anew() {
    let mut recorder = recorder();
    effects(recorder.record(at(1), event("BackOff", "again", 1)));
    recorder.step(at(1), SENT);
    effects(recorder.record(at(4000), event("BackOff", "again", 4000)));
    let effects = recorder.step(at(4000), Fact::Answered(Err(Failure::NotFound)));
    assert_eq!(created(&effects).count, Some(1));
}

#[test]
fn many_messages_of_one_kind_become_one_event() {
    let mut recorder = recorder();
    for number in 0..10 {
        let effects = effects(recorder.record(at(1), event("Unhealthy", &format!("message {number}"), 1)));
        created(&effects);
        recorder.step(at(1), SENT);
    }
    let combined = effects(recorder.record(at(2), event("Unhealthy", "message 10", 2)));
    assert_eq!(created(&combined).message.as_deref(), Some("(combined from similar events): message 10"));
    recorder.step(at(2), SENT);
    let early = effects(recorder.record(at(3), event("Unhealthy", "message 3", 3)));
    assert_eq!(counted(&early), Some(&json!(2)), "what was an event of its own stays one");
}

#[test]
fn an_object_with_too_many_events_is_heard_now_and_then() {
    let mut recorder = recorder();
    let mut heard = 0;
    for number in 0..40 {
        heard += effects(recorder.record(at(1), event(&format!("Reason{number}"), "", 1))).len();
        recorder.step(at(1), SENT);
    }
    assert_eq!(heard, 25);
    let normal = RecordEvent { severity: Severity::Normal, ..event("Killing", "", 1) };
    assert_eq!(effects(recorder.record(at(1), normal)).len(), 1, "warnings do not drown the rest");
    recorder.step(at(1), SENT);
    assert_eq!(effects(recorder.record(at(200), event("Late", "", 200))), []);
    assert_eq!(effects(recorder.record(at(302), event("Later", "", 302))).len(), 1, "one in five minutes");
}

#[test]
fn events_go_within_their_budget() {
    let mut recorder = Recorder::new("node-1".parse().unwrap(), (10, 1), at(0));
    effects(recorder.record(at(1), event("One", "", 1)));
    effects(recorder.record(at(1), event("Two", "", 1)));
    assert_eq!(recorder.step(at(1), SENT), [Effect::WakeAfter(Duration::from_millis(100))]);
    assert_eq!(created(&recorder.step(at(2), Fact::Woke)).reason.as_deref(), Some("Two"));
}

#[test]
fn events_wait_while_the_api_server_is_away_and_none_is_lost() {
    let mut recorder = recorder();
    effects(recorder.record(at(1), event("One", "", 1)));
    let away = recorder.step(at(1), Fact::Answered(Err(Failure::Later(None))));
    assert_eq!(away, [Effect::WakeAfter(Duration::from_millis(200))]);
    assert!(matches!(
        effects(recorder.record(at(1), event("Two", "", 1))).as_slice(),
        [Effect::WakeAfter(_)]
    ));
    assert_eq!(created(&recorder.step(at(9), Fact::Woke)).reason.as_deref(), Some("One"));
    assert_eq!(created(&recorder.step(at(9), SENT)).reason.as_deref(), Some("Two"));
}

#[test]
fn an_event_that_is_refused_is_not_sent_again() {
    let mut recorder = recorder();
    effects(recorder.record(at(1), event("One", "", 1)));
    let refused = Failure::Forbidden("the namespace goes".to_owned());
    assert_eq!(recorder.step(at(1), Fact::Answered(Err(refused.clone()))), [Effect::Refused(refused)]);
}

#[test]
fn a_full_queue_takes_no_more() {
    let mut recorder = recorder();
    let mut full = 0;
    for number in 0..WAITING + 10 {
        let about = about(&format!("pod-{number}"));
        let taken = recorder.record(at(1), RecordEvent { about, ..event("One", "", 1) });
        full += usize::from(taken == Taken::Full);
    }
    assert_eq!(full, 9, "one is under way");
}

#[test]
fn a_name_that_is_none_goes_nowhere() {
    for name in ["../x", "", "a b", "A"] {
        let event = RecordEvent { about: about(name), ..event("One", "", 1) };
        assert_eq!(recorder().record(at(1), event), Taken::Malformed, "{name:?}");
    }
}
