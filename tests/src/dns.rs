//! CoreDNS in the control plane's namespace, behind the Service that clusters have for it: what suites and pods need
//! to look up names. Pods reach it only where a [`crate::kube_proxy::KubeProxy`] runs.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::ground::Ground;
use crate::netns::CONTROL_PLANE;
use crate::parts;
use crate::process::{Process, output};

/// The Service's address, which the kubelet's configuration names as `clusterDNS`.
pub const SERVICE: &str = "10.96.0.10";

/// The port where CoreDNS says that it has seen the cluster's objects.
const READY: u16 = 8181;
/// How long CoreDNS may take to be ready.
const STARTING: Duration = Duration::from_secs(60);

/// A name server for `cluster.local`, up while this lives.
pub struct Dns {
    process: Process,
}

impl Dns {
    /// Starts CoreDNS, waits until it knows the cluster, and makes its Service `kube-system/kube-dns`.
    pub fn start(ground: &Ground, plane: &ControlPlane) -> Result<Self> {
        let folder = ground.folder("dns")?;
        let user = plane.authority().client("dns", "dns", &["system:masters"])?;
        let kubeconfig = plane.authority().kubeconfig("dns", &plane.url(), &user)?;
        let corefile = folder.join("Corefile");
        fs::write(&corefile, configuration(&kubeconfig.display().to_string()))?;

        let hub = plane.lan().hub();
        let mut command = hub.command(parts::built("coredns")?);
        command.arg("-conf").arg(&corefile);
        let mut process = Process::spawn("coredns", &folder, command)?;
        let ready = format!("http://{CONTROL_PLANE}:{READY}/ready");
        process.wait_ready(STARTING, || output(hub.command("curl").args(["-sSf", &ready])).map(drop))?;
        plane.kubectl().create(&service().to_string())?;
        Ok(Self { process })
    }

    /// The process, to kill or to stall.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn configuration(kubeconfig: &str) -> String {
    format!(
        ".:53 {{
            bind {CONTROL_PLANE}
            errors
            ready {CONTROL_PLANE}:{READY}
            kubernetes cluster.local in-addr.arpa {{
                kubeconfig {kubeconfig}
                pods insecure
            }}
        }}\n"
    )
}

/// CoreDNS is no pod here, so its EndpointSlice is made by hand.
fn service() -> serde_json::Value {
    let ports = json!([
        { "name": "dns", "protocol": "UDP", "port": 53 },
        { "name": "dns-tcp", "protocol": "TCP", "port": 53 },
    ]);
    json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1", "kind": "Service",
                "metadata": { "name": "kube-dns", "namespace": "kube-system" },
                "spec": { "clusterIP": SERVICE, "ports": ports },
            },
            {
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {
                    "name": "kube-dns", "namespace": "kube-system",
                    "labels": { "kubernetes.io/service-name": "kube-dns" },
                },
                "addressType": "IPv4", "ports": ports,
                "endpoints": [{ "addresses": [CONTROL_PLANE], "conditions": { "ready": true } }],
            },
        ],
    })
}
