//! The node object, its lease and its events, as an API server sees them.

use crate::support::{Reporter, said::runtime, until};
use chassis::Heard;
use messages::{cri_bridge::Runtime, status_reporter::Node};
use serde_json::json;

const NODE: &str = "nodes/node-1";

/// The status of the node's Ready condition.
fn ready(reporter: &Reporter) -> Option<String> {
    let conditions = reporter.api.value(NODE, "/status/conditions");
    let ready = conditions.as_array()?.iter().find(|condition| condition["type"] == "Ready")?;
    Some(ready["status"].as_str()?.to_owned())
}

/// The node as the others hear it first.
async fn heard_node(reporter: &Reporter) -> Node {
    let mut nodes = reporter.lifecycle().hear::<Node>().await.unwrap();
    loop {
        let heard =
            tokio::time::timeout(crate::support::DEADLINE, nodes.next()).await.expect("a node in time");
        if let Heard::Value { state, .. } = heard {
            return state;
        }
    }
}

#[actix::test]
async fn a_node_registers_becomes_ready_and_has_a_lease() {
    let Some(reporter) = Reporter::start().await else { return };
    reporter.is_registered().await;
    until("it is ready", || ready(&reporter).as_deref() == Some("True")).await;

    assert_eq!(reporter.api.value(NODE, "/status/addresses/0/address"), "192.168.0.5");
    assert_eq!(reporter.api.value(NODE, "/status/capacity/cpu"), "2");
    assert_eq!(reporter.api.value("leases/node-1", "/spec/holderIdentity"), "node-1");
    let owner = reporter.api.value("leases/node-1", "/metadata/ownerReferences/0/uid");
    assert_eq!(owner, reporter.api.value(NODE, "/metadata/uid"));
    let reasons =
        || reporter.api.all("events").iter().map(|event| event["reason"].clone()).collect::<Vec<_>>();
    until("it is told", || reasons().contains(&json!("NodeReady")) && reasons().contains(&json!("Starting")))
        .await;
}

#[actix::test]
async fn a_node_that_exists_is_adopted_with_what_others_wrote_in_it() {
    let Some(reporter) = Reporter::start().await else { return };
    let cloud = json!({"type": "NetworkUnavailable", "status": "False", "reason": "RouteCreated"});
    let existing = json!({
        "metadata": {"name": "node-1", "labels": {"zone": "a"}},
        "spec": {"taints": [{"key": "mine", "effect": "NoSchedule"}]},
        "status": {"conditions": [cloud], "capacity": {"example.com/gpu": "1"}},
    });
    reporter.api.put(NODE, existing);
    reporter.is_registered().await;
    until("it is ready", || ready(&reporter).as_deref() == Some("True")).await;

    assert_eq!(reporter.api.value(NODE, "/metadata/labels/zone"), "a");
    assert_eq!(reporter.api.value(NODE, "/metadata/labels/kubernetes.io~1os"), "linux");
    assert_eq!(reporter.api.value(NODE, "/spec/taints/0/key"), "mine");
    assert_eq!(reporter.api.value(NODE, "/status/capacity/example.com~1gpu"), "1");
    assert_eq!(reporter.api.value(NODE, "/status/conditions/0"), cloud, "it is not ours");
}

#[actix::test]
async fn others_hear_of_the_node_before_and_without_an_api_server() {
    let Some(reporter) = Reporter::with(|_| {}).await else { return };
    reporter.is_well().await;
    let node = heard_node(&reporter).await;
    assert!(node.standalone && !node.registered);
    assert_eq!(node.object.metadata.name.as_deref(), Some("node-1"));
    assert!(reporter.api.writes("").is_empty());
}

#[actix::test]
async fn a_runtime_without_network_makes_a_new_node_unready_and_the_network_ready() {
    let Some(reporter) = Reporter::start().await else { return };
    let mut without = runtime();
    without.conditions[1].holds = false;
    without.conditions[1].message = "no CNI configuration".to_owned();
    reporter.bridge().bus.say(&crate::support::said::machine()).await;
    reporter.bridge().bus.say::<Runtime>(&without).await;
    until("the node is registered", || ready(&reporter).is_some()).await;
    assert_eq!(ready(&reporter).as_deref(), Some("False"));
    reporter.bridge().bus.say(&runtime()).await;
    until("it is ready", || ready(&reporter).as_deref() == Some("True")).await;
}

#[actix::test]
async fn a_node_without_changes_is_not_written_and_its_lease_is() {
    let Some(reporter) = Reporter::with(|config| {
        config.kubeconfig = Some("k".into());
        config.kubelet.node_lease_duration_seconds = 1;
        config.kubelet.node_status_update_frequency = chassis::config::GoDuration::milliseconds(100);
    })
    .await
    else {
        return;
    };
    reporter.is_registered().await;
    until("it is ready", || ready(&reporter).as_deref() == Some("True")).await;
    let written = reporter.api.writes("nodes").len();
    until("the lease was renewed some times", || reporter.api.writes("PUT leases").len() > 5).await;
    assert_eq!(reporter.api.writes("nodes").len(), written, "{:?}", reporter.api.writes("nodes"));
}

#[actix::test]
async fn a_node_registers_once_the_api_server_is_there() {
    let Some(reporter) = Reporter::start().await else { return };
    reporter.api.away(true);
    reporter.is_well().await;
    assert!(!heard_node(&reporter).await.registered);
    reporter.gate().health.waiting_for("the API server");
    reporter.api.away(false);
    reporter.gate().health.ready();
    until("it is registered", || reporter.api.object(NODE).is_some()).await;
}

#[actix::test]
async fn a_later_life_remembers_the_node_while_the_api_server_is_away() {
    let remembered: k8s_openapi::api::core::v1::Node = serde_json::from_value(json!({
        "metadata": {"name": "node-1", "uid": "u", "labels": {"zone": "b"}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }))
    .unwrap();
    let in_cluster = |config: &mut chassis::config::NodeConfig| config.kubeconfig = Some("k".into());
    let journal = |service: &chassis::Service| service.journal.save("node", &remembered).unwrap();
    let Some(reporter) = Reporter::after(in_cluster, journal).await else { return };
    reporter.api.away(true);
    reporter.is_well().await;

    let node = heard_node(&reporter).await;
    assert!(node.registered);
    assert_eq!(node.object.metadata.labels.unwrap()["zone"], "b");
}
