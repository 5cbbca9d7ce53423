//! Two statuses made one, row by row.

use super::*;

/// A status from JSON.
fn status(value: Value) -> PodStatus {
    serde_json::from_value(value).unwrap()
}

fn condition(kind: &str, holds: &str, second: u32) -> Value {
    json!({"type": kind, "status": holds, "lastTransitionTime": format!("2026-01-01T00:00:{second:02}Z")})
}

#[test]
fn what_the_api_server_knows_better_stays() {
    let cases = [
        (
            "a transition time, while the status is the same",
            json!({"conditions": [condition("Ready", "True", 1)]}),
            json!({"conditions": [condition("Ready", "True", 9)]}),
            "/conditions/0/lastTransitionTime",
            json!("2026-01-01T00:00:01Z"),
        ),
        (
            "but not when it changes",
            json!({"conditions": [condition("Ready", "False", 1)]}),
            json!({"conditions": [condition("Ready", "True", 9)]}),
            "/conditions/0/lastTransitionTime",
            json!("2026-01-01T00:00:09Z"),
        ),
        (
            "the start time",
            json!({"startTime": "2026-01-01T00:00:01Z"}),
            json!({"startTime": "2026-01-01T00:00:09Z"}),
            "/startTime",
            json!("2026-01-01T00:00:01Z"),
        ),
        (
            "a terminal phase",
            json!({"phase": "Failed"}),
            json!({"phase": "Running"}),
            "/phase",
            json!("Failed"),
        ),
        (
            "with its reason",
            json!({"phase": "Failed", "reason": "Evicted"}),
            json!({"phase": "Running", "reason": null}),
            "/reason",
            json!("Evicted"),
        ),
        (
            "any other phase moves on",
            json!({"phase": "Pending"}),
            json!({"phase": "Running"}),
            "/phase",
            json!("Running"),
        ),
        (
            "the class that the API server worked out",
            json!({"qosClass": "Burstable"}),
            json!({}),
            "/qosClass",
            json!("Burstable"),
        ),
    ];
    for (name, known, ours, pointer, want) in cases {
        let merged = json!(over(Some(&status(known)), &status(ours)));
        assert_eq!(merged.pointer(pointer), Some(&want), "{name}");
    }
}

#[test]
fn only_a_difference_in_what_is_ours_is_worth_a_patch() {
    let cases = [
        ("the same", json!({"phase": "Running"}), json!({"phase": "Running"}), true),
        ("another phase", json!({"phase": "Running"}), json!({"phase": "Pending"}), false),
        (
            "an older time of the same condition",
            json!({"conditions": [condition("Ready", "True", 9)]}),
            json!({"conditions": [condition("Ready", "True", 1)]}),
            true,
        ),
        (
            "somebody's condition",
            json!({"conditions": [condition("Ready", "True", 1)]}),
            json!({"conditions": [condition("example.com/gate", "True", 1), condition("Ready", "True", 1)]}),
            true,
        ),
        (
            "a condition of ours that is over",
            json!({"conditions": []}),
            json!({"conditions": [condition("PodResizePending", "True", 1)]}),
            false,
        ),
        (
            "one that we share and say",
            json!({"conditions": [condition("DisruptionTarget", "True", 1)]}),
            json!({"conditions": []}),
            false,
        ),
        (
            "one that we share and do not say",
            json!({}),
            json!({"conditions": [condition("DisruptionTarget", "True", 1)]}),
            true,
        ),
        ("a message that is over", json!({}), json!({"message": "gone"}), false),
        ("what the scheduler writes", json!({}), json!({"nominatedNodeName": "n"}), true),
        (
            "what the API server writes as empty",
            json!({"containerStatuses": [{"name": "a", "image": "", "imageID": "", "ready": true, "restartCount": 0}]}),
            json!({"containerStatuses": [
                {"name": "a", "image": "", "imageID": "", "ready": true, "restartCount": 0, "lastState": {}}
            ]}),
            true,
        ),
        ("an empty list", json!({"podIPs": []}), json!({}), true),
        (
            "another address",
            json!({"podIPs": [{"ip": "10.0.0.1"}]}),
            json!({"podIPs": [{"ip": "10.0.0.2"}]}),
            false,
        ),
    ];
    for (name, ours, known, said) in cases {
        assert_eq!(is_said(&status(ours), &status(known)), said, "{name}");
    }
}

#[test]
fn a_patch_is_for_one_pod_and_takes_back_what_is_over() {
    let known = status(json!({
        "conditions": [
            condition("PodResizePending", "True", 1),
            condition("example.com/gate", "True", 1),
            condition("Ready", "True", 1),
        ],
        "reason": "old",
    }));
    let ours = status(json!({
        "phase": "Running",
        "conditions": [condition("Ready", "True", 9)],
        "podIPs": [{"ip": "10.0.0.1"}],
    }));
    let patch = patch("u-1", &ours, Some(&known));
    assert_eq!(patch["metadata"], json!({"uid": "u-1"}));
    assert_eq!(patch["status"]["reason"], Value::Null);
    assert!(patch["status"].as_object().unwrap().contains_key("reason"));
    let mut ready = condition("Ready", "True", 1);
    (ready["reason"], ready["message"]) = (Value::Null, Value::Null);
    assert_eq!(
        patch["status"]["conditions"],
        json!([ready, {"$patch": "delete", "type": "PodResizePending"}]),
        "a reason that is over is taken back"
    );
    assert_eq!(patch["status"]["podIPs"], json!([{"ip": "10.0.0.1"}, {"$patch": "replace"}]));
    assert!(!patch["status"].as_object().unwrap().contains_key("nominatedNodeName"), "that is not ours");
}
