//! The whole gate between peers and a scripted API server that speaks TLS and HTTP/2.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};
use messages::{
    Owner,
    catalog::{API_RULES, ApiRule},
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use support::{
    Gate,
    api_server::{Answer, ApiServer, open_watch},
    peer::{ask, get, piece, text},
    until,
};

const POD: &str = "/api/v1/namespaces/default/pods/web";

#[actix::test]
async fn an_allowed_request_goes_with_the_nodes_credentials_and_none_of_the_peers() {
    let server = ApiServer::start(|_| Answer::Now(200, "{}")).await;
    let Some(gate) = Gate::before(&server).await else { return };
    let request = Request::patch(format!("{POD}/status"))
        .header("host", "api-gate")
        .header("authorization", "Bearer mine")
        .header("impersonate-user", "admin")
        .header("content-type", "application/merge-patch+json")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .body(Full::from("{\"status\":{}}"));
    let response = ask(&gate, Owner::StatusReporter, request.unwrap()).await;

    assert_eq!(response.status(), StatusCode::OK);
    let seen = server.seen().remove(0);
    assert_eq!(seen.line, format!("PATCH {POD}/status"));
    assert_eq!(seen.headers["authorization"], "Bearer first");
    assert!(!seen.headers.contains_key("impersonate-user"));
    assert_eq!(seen.headers["content-type"], "application/merge-patch+json");
    assert!(seen.headers.contains_key("traceparent"), "the trace goes on");
    assert_eq!(seen.body, "{\"status\":{}}");
}

#[actix::test]
async fn what_no_rule_allows_is_refused_by_name_and_never_sent() {
    let server = ApiServer::start(|_| Answer::Now(200, "{}")).await;
    let Some(gate) = Gate::before(&server).await else { return };
    let response = get(&gate, Owner::StatusReporter, "/api/v1/namespaces/default/secrets/s").await;

    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(response.headers()["bulkhead-forbidden-by"], "api-gate");
    let body = text(response).await;
    assert!(body.contains("status-reporter may not get \\\"secrets\\\""), "{body}");
    assert!(server.seen().is_empty());
}

/// Every verb on a resource, with its request line. A subresource exists only below a name, and is created there.
fn verbs_on(group: &str, resource: &str) -> Vec<(&'static str, Method, String)> {
    let root = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
    let (whole, part) = resource.split_once('/').unwrap_or((resource, ""));
    let all = format!("{root}/namespaces/a/{whole}");
    let one = format!("{all}/x/{part}").trim_end_matches('/').to_owned();
    let mut verbs = vec![
        ("get", Method::GET, one.clone()),
        ("create", Method::POST, if part.is_empty() { all.clone() } else { one.clone() }),
        ("update", Method::PUT, one.clone()),
        ("patch", Method::PATCH, one.clone()),
        ("delete", Method::DELETE, one),
    ];
    if part.is_empty() {
        verbs.push(("list", Method::GET, all.clone()));
        verbs.push(("watch", Method::GET, format!("{all}?watch=1")));
        verbs.push(("deletecollection", Method::DELETE, all));
    }
    verbs
}

/// Every peer, at its own socket, with every verb on every resource that anybody may use, and on some that nobody may.
#[actix::test]
async fn each_peer_gets_through_with_what_the_catalog_says_and_with_nothing_else() {
    let server = ApiServer::start(|_| Answer::Now(200, "{}")).await;
    let Some(gate) = Gate::before(&server).await else { return };
    let mut resources: BTreeSet<_> = API_RULES.iter().map(|rule| (rule.group, rule.resource)).collect();
    resources.extend([("", "pods/exec"), ("", "pods/eviction"), ("", "nodes/proxy"), ("", "namespaces")]);
    resources.extend([("apps", "deployments"), ("rbac.authorization.k8s.io", "clusterroles")]);
    for owner in Owner::ALL {
        let own: Vec<_> = API_RULES.iter().filter(|rule| rule.owner == owner).collect();
        assert_eq!(gate.socket(owner).exists(), !own.is_empty(), "{owner} has a socket");
        for (group, resource) in resources.iter().filter(|_| !own.is_empty()) {
            for (verb, method, path) in verbs_on(group, resource) {
                let is_it = |rule: &&&ApiRule| (rule.group, rule.resource) == (*group, *resource);
                let may = own.iter().filter(is_it).any(|rule| rule.verbs.contains(&verb));
                let before = server.seen().len();
                let request = Request::builder().method(method).uri(&path).header("host", "api-gate");
                let answer = ask(&gate, owner, request.body(Full::default()).unwrap()).await;
                let want = if may { StatusCode::OK } else { StatusCode::FORBIDDEN };
                assert_eq!(answer.status(), want, "{owner} {verb} {path}");
                assert_eq!(server.seen().len() - before, usize::from(may), "{owner} {verb} {path} was sent");
            }
        }
    }
}

#[actix::test]
async fn a_body_that_no_api_server_would_take_is_refused() {
    let server = ApiServer::start(|_| Answer::Now(200, "{}")).await;
    let Some(gate) = Gate::before(&server).await else { return };
    let body = Bytes::from(vec![b'x'; 4 * 1024 * 1024]);
    let request =
        Request::post("/api/v1/namespaces/default/pods").header("host", "api-gate").body(Full::from(body));
    let response = ask(&gate, Owner::StatusReporter, request.unwrap()).await;

    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(server.seen().is_empty());
}

#[actix::test]
async fn a_watch_comes_through_line_by_line() {
    let server = ApiServer::start(|_| open_watch(&["first\n", "second\n"])).await;
    let Some(gate) = Gate::before(&server).await else { return };
    let mut response = get(&gate, Owner::PodLifecycle, "/api/v1/pods?watch=1").await;

    assert_eq!(piece(&mut response).await.as_deref(), Some("first\n"));
    assert_eq!(piece(&mut response).await.as_deref(), Some("second\n"));
}

#[actix::test]
async fn more_watches_than_a_connection_holds_do_not_hold_up_anything_else() {
    let server = ApiServer::start(|seen| match seen.line.contains("watch=1") {
        true => open_watch(&["begun\n"]),
        false => Answer::Now(200, "{}"),
    })
    .await;
    let Some(gate) = Gate::before(&server).await else { return };
    let mut watches = Vec::new();
    for number in 0..250 {
        let path =
            format!("/api/v1/namespaces/default/secrets?fieldSelector=metadata.name%3Ds{number}&watch=1");
        let mut watch = get(&gate, Owner::CriBridge, &path).await;
        assert_eq!(piece(&mut watch).await.as_deref(), Some("begun\n"), "watch {number}");
        watches.push(watch);
    }
    let short = get(&gate, Owner::CriBridge, "/api/v1/namespaces/default/secrets/s").await;
    assert_eq!(short.status(), StatusCode::OK);
}

#[actix::test]
async fn an_api_server_that_is_away_is_told_at_once_and_found_again() {
    let mut server = ApiServer::start(|_| Answer::Now(200, "{}")).await;
    let Some(gate) = Gate::before(&server).await else { return };
    until("the gate is ready", || gate.is_ready()).await;

    server.go_away().await;
    let response = get(&gate, Owner::PodLifecycle, POD).await;
    assert!(response.status().is_server_error(), "{}", response.status());
    until("the gate says so", || !gate.is_ready()).await;
    let asked = Instant::now();
    let response = get(&gate, Owner::PodLifecycle, POD).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    assert!(asked.elapsed() < Duration::from_secs(5), "it is not waited for");

    server.come_back().await;
    until("the gate is ready again", || gate.is_ready()).await;
    assert_eq!(get(&gate, Owner::PodLifecycle, POD).await.status(), StatusCode::OK);
}

#[actix::test]
async fn an_api_server_that_stops_and_returns_elsewhere_is_found_again() {
    let mut server = ApiServer::start(|_| Answer::Now(200, "{}")).await;
    let Some(gate) = Gate::before(&server).await else { return };
    until("the gate is ready", || gate.is_ready()).await;

    // Connections are taken and nobody speaks on them.
    server.go_away().await;
    let silent = tokio::net::TcpListener::bind(server.address).await.unwrap();
    get(&gate, Owner::PodLifecycle, POD).await;
    until("the gate says so", || !gate.is_ready()).await;
    let _held = silent.accept().await.unwrap();

    drop(silent);
    server.come_back().await;
    until("the gate is ready again", || gate.is_ready()).await;
}

#[actix::test]
async fn an_answer_429_holds_back_its_own_class_alone() {
    let server = ApiServer::start(|seen| match seen.line.as_str() {
        "GET /api/v1/namespaces/default/secrets/s" => Answer::Later(30),
        _ => Answer::Now(200, "{}"),
    })
    .await;
    let Some(gate) = Gate::before(&server).await else { return };
    let response = get(&gate, Owner::CriBridge, "/api/v1/namespaces/default/secrets/s").await;
    assert_eq!(
        (response.status(), &response.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"30".parse().unwrap())
    );

    // Work waits in the gate and is sent away after a while; what keeps the node alive passes.
    let held = get(&gate, Owner::CriBridge, "/api/v1/namespaces/default/configmaps/c");
    let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n";
    assert_eq!(get(&gate, Owner::StatusReporter, lease).await.status(), StatusCode::OK);
    assert_eq!(held.await.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(server.seen().len(), 2, "the second read was never sent");
}

#[actix::test]
async fn within_a_small_budget_everything_gets_through_one_after_the_other() {
    let server = ApiServer::start(|_| Answer::Now(200, "{}")).await;
    let Some(gate) = Gate::with_budget(&server, 20, 1).await else { return };
    let begun = Instant::now();
    let asks = (0..6).map(|_| get(&gate, Owner::PodLifecycle, POD));
    for response in futures::future::join_all(asks).await {
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert!(begun.elapsed() >= Duration::from_millis(240), "five of them waited for a token each");
}

#[actix::test]
async fn new_credentials_are_used_at_once_when_the_old_ones_are_refused() {
    let server =
        ApiServer::start(|seen| match (seen.headers["authorization"].to_str(), seen.line.as_str()) {
            (Ok("Bearer second"), "GET /api/v1/pods?watch=1") => open_watch(&["with the second\n"]),
            (_, "GET /api/v1/pods?watch=1") => open_watch(&["with the first\n"]),
            (Ok("Bearer second"), _) => Answer::Now(200, "{}"),
            _ => Answer::Now(401, "{}"),
        })
        .await;
    let Some(gate) = Gate::before(&server).await else { return };
    let mut watch = get(&gate, Owner::PodLifecycle, "/api/v1/pods?watch=1").await;
    assert_eq!(piece(&mut watch).await.as_deref(), Some("with the first\n"));

    gate.replace_credentials(&server, "token: second");
    assert_eq!(get(&gate, Owner::PodLifecycle, POD).await.status(), StatusCode::UNAUTHORIZED);

    assert_eq!(piece(&mut watch).await, None, "the watch ends, so that it begins anew");
    assert_eq!(get(&gate, Owner::PodLifecycle, POD).await.status(), StatusCode::OK);
    let mut watch = get(&gate, Owner::PodLifecycle, "/api/v1/pods?watch=1").await;
    assert_eq!(piece(&mut watch).await.as_deref(), Some("with the second\n"));
}

#[actix::test]
async fn a_kubernetes_client_reads_through_the_gate() {
    const LIST: &str =
        r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[{"metadata":{"name":"web"}}]}"#;
    let server = ApiServer::start(|_| Answer::Now(200, LIST)).await;
    let Some(gate) = Gate::before(&server).await else { return };
    let client = chassis::api::client_at(&gate.socket(Owner::PodLifecycle));
    let pods = Api::<Pod>::all(client).list(&ListParams::default().fields("spec.nodeName=n")).await.unwrap();

    assert_eq!(pods.items[0].metadata.name.as_deref(), Some("web"));
    assert_eq!(server.seen()[0].line, "GET /api/v1/pods?&fieldSelector=spec.nodeName%3Dn");
}
