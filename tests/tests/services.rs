//! Services on our whole node: proxy-programmer in kube-proxy's place, with real pods and a real control plane; and that
//! it keeps its hands off where we are only the kubelet.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use serde_json::json;
use tests::containerd::Version;
use tests::control_plane::ControlPlane;
use tests::dns::Dns;
use tests::ground::Ground;
use tests::kubelet::Flavour;
use tests::namespace::{Namespace, SOON};
use tests::netns::Netns;
use tests::node::Node;
use tests::process::output;
use tests::scene::{self, Scenes};
use tests::wait;

static SCENES: Scenes = Scenes::new(|_| {});

const SERVICE: &str = r#"
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  type: NodePort
  clusterIP: 10.96.5.5
  selector: { app: web }
  ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }]
"#;

const CLUSTER_IP: &str = "http://10.96.5.5/";
const NODE_PORT: &str = "http://10.77.0.11:30080/";
const NAME: &str = "web.services.svc.cluster.local";

/// Requests that must all go to the same, before it is believed that they always do.
const MANY: usize = 20;

/// What kubeadm gives kube-proxy, given to nodes: theirs is the only identity that our node has.
const GRANT: [&str; 5] = [
    "create",
    "clusterrolebinding",
    "bulkhead-services",
    "--clusterrole=system:node-proxier",
    "--group=system:nodes",
];

/// Makes a pod that answers with its own name.
fn backend(home: &Namespace, name: &str) -> Result<()> {
    let line = format!("mkdir /www; echo {name} > /www/index.html; exec httpd -f -p 8080 -h /www");
    let spec =
        json!({ "nodeName": "node-1", "containers": [{ "name": "app", "command": ["sh", "-c", line] }] });
    home.run_as(json!({ "name": name, "labels": { "app": "web" } }), &spec.to_string())
}

/// Who answers.
type Ask<'a> = &'a dyn Fn(&str) -> Result<String>;

/// Who answers a process in a network namespace.
fn from(netns: &Netns, url: &str) -> Result<String> {
    let answer =
        output(netns.command("curl").args(["-sSf", "--connect-timeout", "0.3", "--max-time", "2", url]))?;
    Ok(answer.trim().to_owned())
}

/// Waits until just these answer.
fn answered_by(who: &str, ask: Ask, url: &str, wanted: &[&str]) -> Result<()> {
    let wanted: BTreeSet<String> = wanted.iter().map(|&name| name.to_owned()).collect();
    wait::until(&format!("{wanted:?} answering {who} at {url}"), SOON, || {
        let answers = (0..MANY).map(|_| ask(url)).collect::<Result<BTreeSet<_>>>()?;
        ensure!(answers == wanted, "there answer {answers:?}");
        Ok(())
    })
}

#[test]
fn services_are_reached_from_everywhere_and_whatever_happens_to_the_proxy() -> Result<()> {
    if let Some(reason) = scene::lacking(Flavour::Ours) {
        eprintln!("skipped: {reason}");
        return Ok(());
    }
    let ground = Ground::new()?;
    let plane = ControlPlane::start(&ground)?;
    plane.kubectl().run(&GRANT)?;
    let _dns = Dns::start(&ground, &plane)?;
    let mut node = Node::joined(&ground, &plane, 1, Version::V2_4)?;
    node.start_up(&plane)?;
    play(&plane, &mut node).inspect_err(|_| node.tell_log())
}

fn play(plane: &ControlPlane, node: &mut Node) -> Result<()> {
    plane.namespace("services")?;
    let home = Namespace::new(plane.kubectl(), "services");
    home.create(SERVICE)?;
    home.run("client", r#"{ nodeName: node-1, containers: [{ name: app, command: [sleep, "3600"] }] }"#)?;
    backend(&home, "one")?;
    backend(&home, "two")?;
    ["client", "one", "two"].into_iter().try_for_each(|pod| home.ready(pod).map(drop))?;

    reached_from_everywhere(plane, node, &home)?;
    names_are_looked_up_through_a_service(&home)?;
    an_endpoint_that_goes_is_not_used_any_more(node, &home)?;
    flushed_rules_are_mended(node)?;
    killed_it_leaves_traffic_alone_and_catches_up(node, &home)
}

fn reached_from_everywhere(plane: &ControlPlane, node: &Node, home: &Namespace) -> Result<()> {
    let pod = |url: &str| {
        let line = format!("wget -T 2 -q -O - {url}");
        anyhow::Ok(home.shell("client", "app", &line)?.trim().to_owned())
    };
    let host = |url: &str| from(node.netns(), url);
    let outside = |url: &str| from(plane.lan().hub(), url);
    let ways: [(&str, Ask, &str); 5] = [
        ("a pod", &pod, CLUSTER_IP),
        ("a pod", &pod, NODE_PORT),
        ("the node", &host, CLUSTER_IP),
        ("the node", &host, NODE_PORT),
        ("somebody outside", &outside, NODE_PORT),
    ];
    ways.into_iter().try_for_each(|(who, ask, url)| answered_by(who, ask, url, &["one", "two"]))
}

fn names_are_looked_up_through_a_service(home: &Namespace) -> Result<()> {
    wait::until("the address of the name", SOON, || {
        let answer = home.shell("client", "app", &format!("nslookup -type=a {NAME}"))?;
        ensure!(answer.contains("10.96.0.10") && answer.contains("10.96.5.5"), "the answer {answer}");
        Ok(())
    })
}

fn an_endpoint_that_goes_is_not_used_any_more(node: &Node, home: &Namespace) -> Result<()> {
    home.kubectl(&["delete", "pod", "one", "--wait=false"])?;
    answered_by("the node", &|url| from(node.netns(), url), CLUSTER_IP, &["two"])
}

fn flushed_rules_are_mended(node: &Node) -> Result<()> {
    let since = Instant::now();
    output(node.netns().command("nft").args(["flush", "ruleset"]))?;
    wait::until("an answer", SOON, || from(node.netns(), CLUSTER_IP).map(drop))?;
    let took = since.elapsed();
    ensure!(took < Duration::from_secs(1), "flushed rules were mended after {took:?}");
    Ok(())
}

fn killed_it_leaves_traffic_alone_and_catches_up(node: &mut Node, home: &Namespace) -> Result<()> {
    let killed = node.process("proxy-programmer")?;
    killed.signal(Signal::SIGKILL)?;
    for _ in 0..MANY {
        let answer = from(node.netns(), CLUSTER_IP)?;
        ensure!(answer == "two", "{answer} answers");
    }
    backend(home, "three")?;
    answered_by("the node", &|url| from(node.netns(), url), CLUSTER_IP, &["three", "two"])?;
    let now = node.process("proxy-programmer")?;
    ensure!(now.pid != killed.pid, "it was not begun again");
    Ok(())
}

#[test]
fn as_the_kubelet_alone_nothing_is_programmed() -> Result<()> {
    SCENES.play(|scene| {
        let tables = || output(scene.node().netns().command("nft").args(["list", "tables"]));
        let home = scene.namespace("beside-a-kube-proxy")?;
        home.create(&SERVICE.replace("10.96.5.5", "10.96.5.6").replace("30080", "30081"))?;
        home.run("web", r#"{ nodeName: node-1, containers: [{ name: app, command: [sleep, "3600"] }] }"#)?;
        home.ready("web")?;
        let tables = tables()?;
        ensure!(!tables.contains("bulkhead"), "the node has {tables}");
        if scene.flavour() == Flavour::Ours {
            let log = std::fs::read_to_string(scene.node().log()?)?;
            ensure!(log.contains("nothing is programmed"), "the proxy does not say that it rests");
        }
        Ok(())
    })
}
