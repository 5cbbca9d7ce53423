//! The stock kube-proxy on a node, in its nftables mode: what makes Services work for suites that are about the
//! kubelet. (The node's own `proxy-programmer` takes its place in scenarios about Services.)

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::ground::Ground;
use crate::netns;
use crate::node::Node;
use crate::parts;
use crate::process::{Process, output};

/// How long kube-proxy may take until it has programmed its first table.
const STARTING: Duration = Duration::from_secs(60);

/// A kube-proxy, up while this lives.
pub struct KubeProxy {
    process: Process,
}

impl KubeProxy {
    /// Starts kube-proxy beside the node's kubelet and waits until it has programmed the Services that there are.
    pub fn start(ground: &Ground, plane: &ControlPlane, node: &Node) -> Result<Self> {
        let folder = ground.folder(&format!("{}/kube-proxy", node.name()))?;
        let file = format!("{}-kube-proxy", node.name());
        let user = plane.authority().client(&file, "system:kube-proxy", &[])?;
        let kubeconfig = plane.authority().kubeconfig(&file, &plane.url(), &user)?;
        let config = folder.join("kube-proxy.json");
        fs::write(&config, configuration(&kubeconfig.display().to_string(), node.name()).to_string())?;

        let mut command = node.netns().command(parts::built("kube-proxy")?);
        command.arg("--config").arg(&config);
        let mut process = Process::spawn("kube-proxy", &folder, command)?;
        process.wait_ready(STARTING, || {
            let url = "http://127.0.0.1:10256/healthz";
            let answer: Value =
                serde_json::from_str(&output(node.netns().command("curl").args(["-sSf", url]))?)?;
            ensure!(answer["nodeEligible"] == true, "/healthz says {answer}");
            Ok(())
        })?;
        Ok(Self { process })
    }

    /// The process, to kill or to stall.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// The limits of connection tracking belong to the whole machine, and stay as they are.
fn configuration(kubeconfig: &str, node: &str) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": { "kubeconfig": kubeconfig },
        "clusterCIDR": netns::PODS,
        "conntrack": {
            "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
        },
        "hostnameOverride": node,
        "mode": "nftables",
    })
}
