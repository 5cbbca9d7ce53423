//! Static pods on a real bus, with neighbours that do what they are asked.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use stage::{Stage, manifest, until};

#[actix::test]
async fn a_manifest_becomes_a_running_pod_in_one_trace_and_goes_away_with_its_file() {
    let Some(stage) = Stage::set().await else { return };
    let _service = stage.start().await;
    stage.write("web.yaml", &manifest("web", "nginx:1"));

    let uid = until("Running", || stage.reporter.of_phase("Running").pop()).await;

    let mut asked = stage.runtime.asked();
    asked.retain(|it| it != "pull app");
    assert_eq!(asked, ["sandbox 0", "start app 0"]);
    let status = stage.reporter.status(&uid).unwrap();
    assert_eq!((status.name.as_str(), status.status.pod_ip.as_deref()), ("web-node-1", Some("10.0.0.9")));
    assert!(status.mirror.is_some() && !status.release);
    let traces = stage.reporter.traces.borrow().clone();
    assert!(
        traces.iter().all(|(_, trace)| *trace == uid.as_str()),
        "said in the trace of its UID: {traces:?}"
    );

    std::fs::remove_file(stage.path("web.yaml")).unwrap();

    until("nothing is left", || (stage.runtime.is_empty() && stage.reporter.is_empty()).then_some(())).await;
    assert_eq!(stage.runtime.asked(), ["stop-pod 30", "forget true"]);
    until("the pod is taken back", || (stage.runtime.wanted() == 0).then_some(())).await;
    assert!(stage.is_serving());
}

#[actix::test]
async fn an_edited_manifest_ends_the_old_pod_before_the_new_one_begins() {
    let Some(stage) = Stage::set().await else { return };
    let _service = stage.start().await;
    stage.write("web.yaml", &manifest("web", "nginx:1"));
    let old = until("Running", || stage.reporter.of_phase("Running").pop()).await;
    stage.runtime.asked();

    stage.write("web.yaml", &manifest("web", "nginx:2"));

    let new =
        until("another pod", || stage.reporter.of_phase("Running").into_iter().find(|uid| *uid != old)).await;
    let asked = stage.runtime.asked();
    let at = |what: &str| asked.iter().position(|it| it.starts_with(what)).unwrap();
    assert!(at("forget true") < at("sandbox 0"), "{asked:?}");
    assert!(stage.reporter.status(&old).is_none() && stage.runtime.running(&new).is_some());
}

#[actix::test]
async fn a_killed_process_comes_back_to_running_pods_and_restarts_what_ends() {
    let Some(stage) = Stage::set().await else { return };
    let first = stage.start().await;
    stage.write("web.yaml", &manifest("web", "nginx:1"));
    let uid = until("Running", || stage.reporter.of_phase("Running").pop()).await;
    let before = stage.reporter.status(&uid).unwrap();
    first.stop.tell("the test");
    stage.runtime.asked();

    let _second = stage.start().await;

    stage.runtime.exits(&uid, 1).await;
    until("a restart", || stage.runtime.running(&uid).filter(|attempt| *attempt == 1)).await;
    assert_eq!(stage.runtime.asked(), ["pull app", "start app 1"], "and nothing else was touched");
    let after = until("its status", || {
        stage
            .reporter
            .status(&uid)
            .filter(|it| it.status.container_statuses.as_ref().unwrap()[0].restart_count == 1)
    })
    .await;
    assert_eq!(after.status.start_time, before.status.start_time);
    assert_eq!(after.seen_at, before.seen_at);
}

#[actix::test]
async fn a_refused_manifest_is_told_and_hurts_nobody() {
    let Some(stage) = Stage::set().await else { return };
    let _service = stage.start().await;
    let evil = manifest("evil", "nginx").replace("name: evil", "name: evil, uid: ../../etc");
    stage.write("evil.yaml", &evil);
    stage.write("web.yaml", &manifest("web", "nginx:1"));

    until("the other runs", || stage.reporter.of_phase("Running").pop()).await;

    let told = until("an event", || {
        let events = stage.reporter.events.borrow();
        events.iter().find(|event| event.reason == "FailedValidation").map(|event| event.message.clone())
    })
    .await;
    assert!(told.contains("evil.yaml") && told.contains("metadata.uid"), "{told}");
    assert_eq!(stage.runtime.wanted(), 1);
}
