//! `bulkhead up` where another kubelet has pods: it refuses, says why, and changes nothing.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::belongings;
use tests::containerd::Version;
use tests::control_plane::ControlPlane;
use tests::ground::Ground;
use tests::kubelet::Flavour;
use tests::namespace::Namespace;
use tests::node::Node;
use tests::parts;
use tests::process::{Process, output};
use tests::wait;

/// How long `up` may take to see that it may not be here.
const PATIENCE: Duration = Duration::from_secs(60);

const POD: &str = r#"
nodeName: node-1
containers:
- name: app
  command: [sleep, "3600"]
  volumeMounts: [{ name: data, mountPath: /data }]
volumes: [{ name: data, emptyDir: { medium: Memory } }]
"#;

/// What `up` must not change: things on the machine, every file in the kubelet's folder, the pods' statuses.
#[derive(Debug, PartialEq, Eq)]
struct Picture {
    belongings: belongings::Belongings,
    files: BTreeSet<String>,
    statuses: Vec<Value>,
}

impl Picture {
    fn of(node: &Node, home: &Namespace) -> Result<Self> {
        let files = output(Command::new("find").arg(node.root()))?;
        let status = |pod: &str| anyhow::Ok(home.pod(pod)?["status"].clone());
        Ok(Self {
            belongings: belongings::of(node)?,
            files: files.lines().map(str::to_owned).collect(),
            statuses: ["first", "second"].into_iter().map(status).collect::<Result<_>>()?,
        })
    }
}

/// `bulkhead up` on the node, told as little or as much as `arguments` say besides.
fn up(ground: &Ground, node: &Node, arguments: &[&str]) -> Result<String> {
    let mut command = node.netns().command(parts::bulkhead()?);
    command.args(["up", "--hostname-override", "node-1", "--container-runtime-endpoint"]);
    command.arg(node.runtime().endpoint()).args(arguments).stdin(Stdio::null());
    let folder = ground.folder("up")?;
    let mut up = Process::spawn("up", &folder, command)?;
    let status = up.finish(PATIENCE)?;
    ensure!(status.code() == Some(1), "up ended with {status}");
    std::fs::read_to_string(up.log()).context("up has no log")
}

#[test]
fn up_beside_a_stock_kubelet_with_pods_changes_nothing() -> Result<()> {
    if let Some(reason) = Flavour::Stock.lacking().or_else(|| Flavour::Ours.lacking()) {
        eprintln!("skipped: {reason}");
        return Ok(());
    }
    let ground = Ground::new()?;
    let plane = ControlPlane::start(&ground)?;
    let mut node = Node::joined(&ground, &plane, 1, Version::V2_4)?;
    node.start_kubelet(Flavour::Stock, &plane)?;
    plane.namespace("beside")?;
    let home = Namespace::new(plane.kubectl(), "beside");
    for pod in ["first", "second"] {
        home.run(pod, POD)?;
    }
    for pod in ["first", "second"] {
        home.ready(pod)?;
    }
    let before = Picture::of(&node, &home)?;
    let (root, elsewhere) = (node.root().display().to_string(), ground.folder("elsewhere")?);
    let elsewhere = elsewhere.to_str().context("the folder's name is not UTF-8")?;

    let told = up(&ground, &node, &["--root-dir", &root])?;
    ensure!(told.contains("a kubelet (process"), "in its folder up says {told}");
    let told = up(&ground, &node, &["--root-dir", elsewhere])?;
    ensure!(told.contains("the health port, already"), "beside its ports up says {told}");
    let told = up(&ground, &node, &["--root-dir", elsewhere, "--healthz-port=10348", "--port=10350"])?;
    ensure!(
        told.contains("the runtime runs 2 pods that this node did not make"),
        "beside its pods up says {told}"
    );

    let after = wait::until("the picture of before", PATIENCE, || {
        let after = Picture::of(&node, &home)?;
        ensure!(after == before, "now it is {after:?}, before {before:?}");
        Ok(after)
    });
    after.map(drop)
}
