//! The whole service on real ports: TLS with certificates of the test's own, a real bus, and an API server, a
//! cri-bridge and a runtime that say what the test has them say.

mod client;
mod world;

use client::{Caller, Reply};
use messages::{Owner, cri_bridge::StreamKind};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use world::{LogChange, World};

const PATIENCE: Duration = Duration::from_secs(20);

#[actix::test]
async fn callers_are_known_by_certificate_or_token_and_let_in_as_the_api_server_says() {
    let Some(world) = World::start(|_| {}).await else { return };
    let unauthorized = (401, "Unauthorized");
    let forbidden = (403, "Forbidden (user=joe, verb=get, resource=nodes, subresource(s)=[pods proxy])\n");
    let cases = [
        ("nobody", world.caller(), unauthorized),
        ("a certificate of our authority", world.caller().certificate("jane", "admins"), (200, "PodList")),
        ("one of another authority", world.caller().foreign_certificate("jane"), unauthorized),
        ("a token", world.caller().token("jane-token"), (200, "PodList")),
        ("a token that is none", world.caller().token("nonsense"), unauthorized),
        ("a token of somebody who may not", world.caller().token("joe-token"), forbidden),
        (
            "a foreign certificate beside a good token",
            world.caller().foreign_certificate("x").token("jane-token"),
            (200, "PodList"),
        ),
    ];
    for (name, caller, (code, text)) in cases {
        let Reply { status, body, .. } = caller.get("/pods").await;
        assert_eq!(status, code, "{name}: {body}");
        assert!(body.contains(text), "{name}: {body}");
    }
}

#[actix::test]
async fn a_review_is_asked_for_with_all_that_is_known_and_only_once() {
    let Some(world) = World::start(|_| {}).await else { return };
    let jane = world.caller().certificate("jane", "admins");
    for _ in 0..3 {
        assert_eq!(jane.get("/metrics").await.status, 200);
    }
    let reviews = world.api.reviews();
    assert_eq!(reviews.len(), 1, "{reviews:?}");
    let spec = &reviews[0]["spec"];
    assert_eq!(spec["user"], "jane");
    assert_eq!(spec["groups"], serde_json::json!(["admins", "system:authenticated"]));
    let attributes = &spec["resourceAttributes"];
    assert_eq!(
        (&attributes["resource"], &attributes["subresource"], &attributes["verb"], &attributes["name"]),
        (&"nodes".into(), &"metrics".into(), &"get".into(), &"node-1".into())
    );
}

#[actix::test]
async fn when_the_api_server_is_away_nobody_gets_in() {
    let Some(world) = World::start(|_| {}).await else { return };
    world.api.go_away();
    let reply = world.caller().certificate("jane", "admins").get("/metrics").await;
    assert_eq!(reply.status, 500);
    assert!(
        reply.body.starts_with("Authorization error (user=jane, verb=get, resource=nodes"),
        "{}",
        reply.body
    );
}

#[actix::test]
async fn pods_and_configuration_are_told() {
    let Some(world) = World::start(|_| {}).await else { return };
    world.pod("u-1", "web", &["app"]).await;
    let jane = world.caller().certificate("jane", "admins");
    let pods = jane.get_until("/pods", |reply| reply.json()["items"][0]["metadata"]["name"] == "web").await;
    assert_eq!(pods.json()["items"][0]["status"]["phase"], "Running");
    let running =
        jane.get_until("/runningpods/", |reply| reply.json()["items"][0]["metadata"]["uid"] == "u-1").await;
    assert_eq!(running.json()["items"][0]["spec"]["containers"][0]["name"], "app");
    let configuration = jane.get("/configz").await.json();
    assert_eq!(configuration["kubeletconfig"]["kind"], "KubeletConfiguration");
    assert_eq!(configuration["kubeletconfig"]["port"], world.port);
    let metrics = jane.get("/metrics").await.body;
    assert!(metrics.contains("kubelet_running_pods 1\n"), "{metrics}");
    assert_eq!(jane.get("/nothing").await.status, 404);
    let posted = jane.post("/pods").await;
    assert_eq!((posted.status, posted.body.as_str()), (405, "405: Method Not Allowed"));
}

#[actix::test]
async fn healthz_is_open_on_its_own_port_and_not_on_the_other() {
    let Some(world) = World::start(|_| {}).await else { return };
    assert_eq!(world.healthz("/healthz").await.body, "ok");
    let verbose = world.healthz("/healthz?verbose").await.body;
    assert!(
        verbose.contains("[+]syncloop ok\n") && verbose.contains("compartment prober: not heard of"),
        "{verbose}"
    );
    assert_eq!(world.healthz("/healthz/ping").await.body, "ok");
    assert_eq!(world.healthz("/pods").await.status, 404);
    assert_eq!(world.caller().get("/healthz").await.status, 401);
}

#[actix::test]
async fn every_process_is_heard_and_nothing_is_forbidden() {
    let Some(world) = World::start(|_| {}).await else { return };
    let _others = world.everybody_is_well().await;
    for owner in Owner::ALL.into_iter().filter(|owner| *owner != Owner::Bulkhead) {
        world.healthz_until("/healthz?verbose", &format!("compartment {owner}: ready")).await;
    }
    assert_eq!(world.forbidden(), None);
    let metrics = world.caller().certificate("jane", "admins").get("/metrics").await.body;
    assert!(metrics.contains("bulkhead_process_resident_memory_bytes{compartment=\"prober\"} "), "{metrics}");
}

#[actix::test]
async fn the_read_only_port_tells_and_does_nothing() {
    let read_only = world::free_port();
    let change = move |config: &mut chassis::config::NodeConfig| config.kubelet.read_only_port = read_only;
    let Some(world) = World::start(change).await else { return };
    assert_eq!(world.plain(read_only, "/pods").await.json()["kind"], "PodList");
    let exec = world.plain(read_only, "/exec/default/web/app?output=1").await;
    assert_eq!((exec.status, exec.body.as_str()), (405, "Debug endpoints are disabled.\n"));
}

#[actix::test]
async fn without_debugging_handlers_nothing_is_run_or_read() {
    let Some(world) = World::start(|config| config.kubelet.enable_debugging_handlers = false).await else {
        return;
    };
    let jane = world.caller().certificate("jane", "admins");
    for path in
        ["/containerLogs/default/web/app", "/exec/default/web/app", "/runningpods/", "/run/default/web/app"]
    {
        let reply = jane.get(path).await;
        assert_eq!((reply.status, reply.body.as_str()), (405, "Debug endpoints are disabled.\n"), "{path}");
    }
    assert_eq!(jane.get("/pods").await.status, 200);
}

#[actix::test]
async fn logs_are_read_from_the_files_that_cri_bridge_opens() {
    let Some(world) = World::start(|_| {}).await else { return };
    world.pod("u-1", "web", &["app"]).await;
    world.log(&["one", "two", "three"]);
    let jane = world.caller().certificate("jane", "admins");
    jane.get_until("/pods", |reply| reply.json()["items"][0]["status"]["phase"] == "Running").await;
    let path = |query: &str| format!("/containerLogs/default/web/app?{query}");
    let cases = [
        ("", 200, "one\ntwo\nthree\n"),
        ("tailLines=1", 200, "three\n"),
        ("limitBytes=5", 200, "one\nt"),
        ("timestamps=true&tailLines=1", 200, "2026-11-21T12:00:02.000000000Z three\n"),
        ("tailLines=-1", 422, "{\"message\": \"Invalid request.\"}"),
        ("tailLines=x", 400, "{\"message\": \"Unable to decode query.\"}"),
        ("previous=true", 400, "previous terminated container \"app\" in pod \"web\" not found"),
    ];
    for (query, status, body) in cases {
        let reply = jane.get(&path(query)).await;
        assert_eq!((reply.status, reply.body.as_str()), (status, body), "{query}");
    }
    let missing = jane.get("/containerLogs/default/db/app").await;
    assert_eq!((missing.status, missing.body.as_str()), (404, "pod \"db\" does not exist"));
    assert_eq!(world.logs_asked()[0]["instance"], "c-1", "the instance is named");
}

#[actix::test]
async fn a_followed_log_comes_as_it_is_written_and_goes_over_into_the_next_file() {
    let Some(world) = World::start(|_| {}).await else { return };
    world.pod("u-1", "web", &["app"]).await;
    world.log(&["one"]);
    let jane = world.caller().certificate("jane", "admins");
    jane.get_until("/pods", |reply| reply.json()["items"][0]["status"]["phase"] == "Running").await;
    let mut following = jane.follow("/containerLogs/default/web/app?follow=true").await;
    following.expect("one\n").await;
    world.log_change(LogChange::Grown("two")).await;
    following.expect("two\n").await;
    world.log_change(LogChange::Rotated("three")).await;
    following.expect("three\n").await;
    world.log_change(LogChange::Ended).await;
    following.expect_end().await;
}

#[actix::test]
async fn a_followed_log_outlives_cri_bridge() {
    let Some(world) = World::start(|_| {}).await else { return };
    world.pod("u-1", "web", &["app"]).await;
    world.log(&["one"]);
    let jane = world.caller().certificate("jane", "admins");
    jane.get_until("/pods", |reply| reply.json()["items"][0]["status"]["phase"] == "Running").await;
    let mut following = jane.follow("/containerLogs/default/web/app?follow=true").await;
    following.expect("one\n").await;
    world.cri_bridge_is_restarted();
    world.log_change(LogChange::Grown("two")).await;
    following.expect("two\n").await;
    world.cri_bridge_is_restarted();
    world.log_change(LogChange::Rotated("three")).await;
    following.expect("three\n").await;
}

#[actix::test]
async fn exec_is_handed_through_to_the_runtime_byte_for_byte() {
    let Some(world) = World::start(|_| {}).await else { return };
    world.pod("u-1", "web", &["app"]).await;
    let jane = world.caller().certificate("jane", "admins");
    jane.get_until("/pods", |reply| reply.json()["items"][0]["metadata"]["name"] == "web").await;
    let path = "/exec/default/web/app?command=sh&command=-c&command=echo%20hi&input=1&output=1&tty=1";
    for (method, protocol) in [("POST", "SPDY/3.1"), ("GET", "websocket")] {
        let (headers, mut stream) = jane.upgrade(method, path, protocol).await.expect("an upgrade");
        assert_eq!(headers["x-from-the-runtime"], "yes", "{protocol}");
        assert_eq!(headers["upgrade"], protocol);
        stream.write_all(b"\x00\x01 bytes \xff").await.unwrap();
        let mut echo = [0; 10];
        timeout(PATIENCE, stream.read_exact(&mut echo)).await.expect("in time").unwrap();
        assert_eq!(&echo, b"\x00\x01 bytes \xff");
    }
    let asked = world.streams_asked();
    let command = vec!["sh".to_owned(), "-c".to_owned(), "echo hi".to_owned()];
    let container = "app".parse().unwrap();
    let want = StreamKind::Exec { container, command, tty: true, stdin: true, stdout: true, stderr: false };
    assert_eq!(asked[0].stream, want);
    let head = world.runtime_heads().remove(0);
    assert!(head.starts_with("POST /exec/token-1 HTTP/1.1\r\n"), "{head}");
    assert!(!head.to_lowercase().contains("authorization"), "{head}");
}

#[actix::test]
async fn a_stream_ends_on_both_sides_when_it_ends_on_one() {
    let Some(world) = World::start(|_| {}).await else { return };
    world.pod("u-1", "web", &["app"]).await;
    let jane = world.caller().certificate("jane", "admins");
    jane.get_until("/pods", |reply| reply.json()["items"][0]["metadata"]["name"] == "web").await;
    let (_, mut stream) = jane
        .upgrade("POST", "/exec/default/web/app?output=1&command=true", "SPDY/3.1")
        .await
        .expect("an upgrade");
    stream.write_all(b"bye").await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .expect("the runtime hung up, and so did we")
        .unwrap();
    assert_eq!(rest, b"bye");
}

#[actix::test]
async fn what_cannot_be_opened_is_refused_in_the_kubelets_words() {
    let Some(world) = World::start(|_| {}).await else { return };
    world.pod("u-1", "web", &["app"]).await;
    let jane = world.caller().certificate("jane", "admins");
    jane.get_until("/pods", |reply| reply.json()["items"][0]["metadata"]["name"] == "web").await;
    let cases = [
        ("/exec/default/web/app?command=x", 400, "you must specify at least 1 of stdin, stdout, stderr"),
        ("/exec/default/db/app?output=1", 404, "pod does not exist"),
        ("/exec/default/web/gone?output=1", 500, "container not found (\"gone\")"),
        ("/exec/default/web/No_Name?output=1", 500, "container not found (\"No_Name\")"),
        ("/attach/default/web/gone?output=1", 500, "container gone not found in pod web_default"),
        ("/attach/default/web/u-9/app?output=1", 500, "pod web_default not found"),
        ("/portForward/default/web/u-9", 404, "pod not found"),
        ("/exec/default/web/broken?output=1", 500, "the runtime is broken"),
        ("/exec/default/web/teapot?output=1", 418, "I am a teapot"),
    ];
    for (path, status, body) in cases {
        let refused = jane.upgrade("POST", path, "SPDY/3.1").await.expect_err(path);
        assert_eq!((refused.status, refused.body.as_str()), (status, body), "{path}");
    }
    let plain = jane.get("/exec/default/web/app?output=1").await;
    assert_eq!((plain.status, plain.body.as_str()), (500, "Upgrade request required\n"));
}

#[actix::test]
async fn a_command_is_run_and_its_output_is_the_answer() {
    let Some(world) = World::start(|_| {}).await else { return };
    world.pod("u-1", "web", &["app"]).await;
    let jane = world.caller().certificate("jane", "admins");
    jane.get_until("/pods", |reply| reply.json()["items"][0]["metadata"]["name"] == "web").await;
    let well = jane.post("/run/default/web/runs?cmd=echo+hi").await;
    assert_eq!((well.status, well.body.as_str()), (200, "outerr"));
    let badly = jane.post("/run/default/web/fails?cmd=echo+hi").await;
    assert_eq!((badly.status, badly.body.as_str()), (500, "command 'echo hi' exited with 3: err"));
    let gone = jane.post("/run/default/web/gone?cmd=x").await;
    assert_eq!((gone.status, gone.body.as_str()), (500, "container not found (\"gone\")"));
}

#[actix::test]
async fn a_standalone_node_is_opened_by_its_own_certificate_and_by_nothing_else() {
    let standalone = |config: &mut chassis::config::NodeConfig| {
        config.kubeconfig = None;
        config.kubelet.authentication.x509.client_ca_file = None;
        config.kubelet.authentication.anonymous.enabled = true;
    };
    let Some(world) = World::start(standalone).await else { return };
    assert_eq!(world.caller().get("/pods").await.status, 401);
    assert_eq!(world.caller().token("jane-token").get("/pods").await.status, 401);
    assert_eq!(world.caller().certificate("jane", "system:masters").get("/pods").await.status, 401);
    let own = Caller::with_files(world.port, &world.pki("client.crt"), &world.pki("client.key"));
    assert_eq!(own.get("/pods").await.status, 200);
    assert!(world.address.ip().is_loopback());
}

#[actix::test]
async fn the_configured_certificate_is_shown_from_the_copy_that_was_handed_over() {
    let Some(world) = World::start(world::with_serving_certificate).await else { return };
    let shown = world.caller().certificate("jane", "admins").server_certificate().await;
    assert_eq!(shown, world.configured_certificate());
}
