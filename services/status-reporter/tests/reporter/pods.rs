//! Statuses, mirrors, deletions and events of pods, as an API server sees them.

use crate::support::{
    DEADLINE, Reporter,
    said::{event, mirror, running, status, uid},
    until,
};
use messages::{
    Key, Token,
    pod_lifecycle::{PodSource, Status},
    status_reporter::RecordEventReply,
};
use serde_json::json;

const WEB: &str = "pods/web";

/// A pod that the API server has bound to this node.
fn bound(uid: &str) -> serde_json::Value {
    json!({
        "metadata": {"name": "web", "namespace": "default", "uid": uid},
        "spec": {"nodeName": "node-1"},
        "status": {"phase": "Pending", "conditions": [{"type": "example.com/gate", "status": "True"}]},
    })
}

fn phase(reporter: &Reporter) -> Option<String> {
    reporter.api.value(WEB, "/status/phase").as_str().map(str::to_owned)
}

async fn is(reporter: &Reporter, wanted: &str) {
    until(&format!("the pod is {wanted}"), || phase(reporter).as_deref() == Some(wanted)).await;
}

#[actix::test]
async fn a_pods_status_is_written_at_once_beside_what_others_write() {
    let Some(reporter) = Reporter::start().await else { return };
    reporter.is_registered().await;
    reporter.api.put(WEB, bound("web"));
    reporter.lifecycle_says(&status("web", PodSource::Api, running())).await;
    is(&reporter, "Running").await;

    assert_eq!(reporter.api.value(WEB, "/status/podIP"), "10.0.0.7");
    let conditions = reporter.api.value(WEB, "/status/conditions");
    let kinds: Vec<_> = conditions.as_array().unwrap().iter().map(|c| c["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["example.com/gate", "Ready"]);

    reporter.lifecycle_says(&status("web", PodSource::Api, running())).await;
    reporter.lifecycle_says(&status("web", PodSource::Api, json!({"phase": "Succeeded"}))).await;
    is(&reporter, "Succeeded").await;
    assert_eq!(reporter.api.writes(WEB).len(), 2, "what is known is not written again");
}

#[actix::test]
async fn a_deleted_pod_is_deleted_for_good_once_its_end_is_known_and_nothing_is_left() {
    let Some(reporter) = Reporter::start().await else { return };
    reporter.is_registered().await;
    reporter.api.put(WEB, bound("web"));
    reporter.api.change(WEB, |pod| pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
    let ended = status("web", PodSource::Api, json!({"phase": "Succeeded"}));
    reporter.lifecycle_says(&ended).await;
    is(&reporter, "Succeeded").await;
    assert!(reporter.api.writes("DELETE").is_empty(), "its volumes are still there");

    reporter.lifecycle_says(&Status { release: true, ..ended }).await;
    until("it is gone", || reporter.api.object(WEB).is_none()).await;
}

#[actix::test]
async fn a_pod_that_was_made_anew_under_its_name_is_not_touched() {
    let Some(reporter) = Reporter::start().await else { return };
    reporter.is_registered().await;
    reporter.api.put(WEB, bound("another"));
    let gone = Status { release: true, ..status("web", PodSource::Api, json!({"phase": "Failed"})) };
    reporter.lifecycle_says(&gone).await;
    reporter
        .api
        .put("pods/probe", json!({"metadata": {"name": "probe", "namespace": "default", "uid": "probe"}}));
    reporter.lifecycle_says(&status("probe", PodSource::Api, running())).await;
    until("the other pod is written", || reporter.api.value("pods/probe", "/status/phase") == "Running")
        .await;
    assert_eq!(phase(&reporter).as_deref(), Some("Pending"));
    assert!(reporter.api.writes(WEB).is_empty());
}

#[actix::test]
async fn statuses_of_an_outage_are_caught_up_with_the_newest_of_each() {
    let Some(reporter) = Reporter::start().await else { return };
    reporter.is_registered().await;
    for number in 0..20 {
        let name = format!("p{number}");
        let object = json!({"metadata": {"name": name, "namespace": "default", "uid": name}, "spec": {}});
        reporter.api.put(&format!("pods/{name}"), object);
    }
    reporter.api.away(true);
    reporter.gate().health.waiting_for("the API server");
    for phase in ["Pending", "Running", "Failed"] {
        for number in 0..20 {
            reporter
                .lifecycle_says(&status(&format!("p{number}"), PodSource::Api, json!({"phase": phase})))
                .await;
        }
    }
    reporter.api.away(false);
    reporter.gate().health.ready();
    let failed = || reporter.api.all("pods").iter().filter(|pod| pod["status"]["phase"] == "Failed").count();
    until("all are caught up", || failed() == 20).await;
}

#[actix::test]
async fn what_somebody_else_does_to_a_status_is_undone() {
    let Some(reporter) = Reporter::start().await else { return };
    reporter.is_registered().await;
    reporter.api.put(WEB, bound("web"));
    reporter.lifecycle_says(&status("web", PodSource::Api, running())).await;
    is(&reporter, "Running").await;
    reporter.api.change(WEB, |pod| pod["status"]["podIP"] = json!("6.6.6.6"));
    until("it is as it should be", || reporter.api.value(WEB, "/status/podIP") == "10.0.0.7").await;
}

/// The static pod `web`.
fn of_file(hash: &str) -> Status {
    let mirror = serde_json::from_value(mirror("web", hash)).unwrap();
    Status { pod: uid("static-web"), mirror: Some(mirror), ..status("web", PodSource::File, running()) }
}

#[actix::test]
async fn a_static_pod_has_a_mirror_that_comes_back_and_goes_with_it() {
    let Some(reporter) = Reporter::start().await else { return };
    reporter.lifecycle_says(&of_file("h1")).await;
    reporter.is_registered().await;
    is(&reporter, "Running").await;
    let owner = reporter.api.value(WEB, "/metadata/ownerReferences/0");
    assert_eq!(owner["uid"], reporter.api.value("nodes/node-1", "/metadata/uid"));
    assert_eq!(reporter.api.value(WEB, "/metadata/annotations/kubernetes.io~1config.mirror"), "h1");
    let first = reporter.api.value(WEB, "/metadata/uid");

    reporter.api.take(WEB);
    is(&reporter, "Running").await;
    assert_ne!(reporter.api.value(WEB, "/metadata/uid"), first, "somebody took it: it was made again");

    reporter.lifecycle_says(&of_file("h2")).await;
    let hash = || reporter.api.value(WEB, "/metadata/annotations/kubernetes.io~1config.mirror");
    until("the mirror is of the new manifest", || hash() == "h2").await;
    is(&reporter, "Running").await;

    let key = Key::from([Token::from(&uid("static-web"))]);
    reporter.lifecycle().retract::<Status>(&key).await;
    until("the mirror is gone", || reporter.api.object(WEB).is_none()).await;
}

#[actix::test]
async fn a_mirror_of_no_pod_goes_once_all_pods_were_spoken_of() {
    let Some(reporter) = Reporter::start().await else { return };
    let mut orphan = mirror("web", "h");
    orphan["metadata"]["uid"] = json!("orphan");
    reporter.api.put(WEB, orphan);
    reporter.api.put("pods/other", bound("other"));
    reporter.is_registered().await;
    assert!(reporter.api.object(WEB).is_some());
    reporter.lifecycle().complete::<Status>().await;
    until("it is gone", || reporter.api.object(WEB).is_none()).await;
    assert!(reporter.api.object("pods/other").is_some(), "that is no mirror");
}

#[actix::test]
async fn events_are_counted_and_wait_for_the_api_server() {
    let Some(reporter) = Reporter::start().await else { return };
    reporter.is_registered().await;
    let ask = async |reason: &str| {
        let reply = reporter.bridge().bus.ask(&event("web", reason), DEADLINE).await.unwrap();
        assert_eq!(reply, RecordEventReply::Taken);
    };
    ask("Pulled").await;
    let of = |reason: &str| reporter.api.all("events").into_iter().find(|event| event["reason"] == reason);
    until("it is there", || of("Pulled").is_some()).await;
    assert_eq!(of("Pulled").unwrap()["involvedObject"]["uid"], "web");
    ask("Pulled").await;
    until("it is counted", || of("Pulled").unwrap()["count"] == 2).await;

    reporter.api.away(true);
    ask("Started").await;
    reporter.api.away(false);
    until("it comes later", || of("Started").is_some()).await;
}
