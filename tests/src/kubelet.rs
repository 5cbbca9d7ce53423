//! A kubelet, stock or ours: the same command line, the same files. That both carry the same scenarios is what a
//! takeover stands on, so nothing here but the executable may depend on which of the two it is.

use std::fmt;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Error, Result, bail};
use serde_json::{Value, json};

use crate::dns;
use crate::ground::Ground;
use crate::identity::{Authority, Identity};
use crate::netns::{self, Netns};
use crate::parts;

/// Whose kubelet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Upstream's, built from its module.
    Stock,
    /// `bulkhead`, called by the name `kubelet`.
    Ours,
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Flavour::Stock => "stock",
            Flavour::Ours => "ours",
        })
    }
}

impl FromStr for Flavour {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "stock" => Ok(Flavour::Stock),
            "ours" => Ok(Flavour::Ours),
            _ => bail!("there is stock and ours"),
        }
    }
}

/// All that a kubelet is told.
pub struct Setup {
    /// The node's name.
    pub name: String,
    /// The node's address.
    pub address: String,
    /// The namespace that it runs in.
    pub netns: Netns,
    /// The file of the [`configuration`].
    pub config: PathBuf,
    /// The file by which it reaches the API server; without it the kubelet is standalone.
    pub kubeconfig: Option<PathBuf>,
    /// Its root folder (`/var/lib/kubelet` on a real node).
    pub root: PathBuf,
}

impl Setup {
    /// The command that starts our whole node, which does kube-proxy's work too.
    pub fn up(&self) -> Result<Command> {
        let mut command = self.netns.command(parts::bulkhead()?);
        command.arg("up");
        self.tell(&mut command);
        Ok(command)
    }

    fn tell(&self, command: &mut Command) {
        command.arg("--config").arg(&self.config).arg("--root-dir").arg(&self.root);
        command.args(["--hostname-override", &self.name, "--node-ip", &self.address]);
        if let Some(kubeconfig) = &self.kubeconfig {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
    }
}

impl Flavour {
    /// The command that starts the kubelet.
    pub fn command(self, ground: &Ground, setup: &Setup) -> Result<Command> {
        let mut command = setup.netns.command(self.executable(ground)?);
        setup.tell(&mut command);
        Ok(command)
    }

    /// What keeps this kubelet from being started here, if anything: it is not built.
    pub fn lacking(self) -> Option<String> {
        let program = match self {
            Flavour::Stock => parts::built("kubelet"),
            Flavour::Ours => parts::bulkhead(),
        };
        program.err().map(|error| error.to_string())
    }

    fn executable(self, ground: &Ground) -> Result<PathBuf> {
        match self {
            Flavour::Stock => parts::built("kubelet"),
            Flavour::Ours => {
                let link = ground.folder("bin")?.join("kubelet");
                if !link.exists() {
                    symlink(parts::bulkhead()?, &link)?;
                }
                Ok(link)
            }
        }
    }
}

/// Where a kubelet finds things and puts things, as its configuration says it.
pub struct Places {
    /// The runtime's socket, `unix://…`.
    pub endpoint: String,
    /// The cgroup under which all pods' cgroups are.
    pub cgroup: String,
    /// Container logs (`/var/log/pods` on a real node).
    pub logs: PathBuf,
    /// Static pods' manifests.
    pub manifests: PathBuf,
}

/// The node's serving certificate.
pub fn serving(authority: &Authority, name: &str, number: u8) -> Result<Identity> {
    authority.server(&format!("{name}-serving"), &[name], &[&netns::node_address(number), "127.0.0.1"])
}

/// A KubeletConfiguration for a test machine: cgroup version 1 allowed, no eviction for a full disk that is none of
/// the test's, nothing outside the ground except what the kubelet has no field for. Its ports serve clients that
/// `authority` signed.
pub fn configuration(
    folder: &Path,
    places: &Places,
    authority: &Authority,
    serving: &Identity,
) -> Result<Value> {
    let resolv_conf = folder.join("resolv.conf");
    fs::write(&resolv_conf, format!("nameserver {}\n", netns::CONTROL_PLANE))?;
    Ok(json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": false },
            "x509": { "clientCAFile": authority.certificate() },
        },
        "authorization": { "mode": "AlwaysAllow" },
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": places.cgroup,
        "clusterDNS": [dns::SERVICE],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": places.endpoint,
        "evictionHard": { "memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%" },
        "failCgroupV1": false,
        "failSwapOn": false,
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": places.logs,
        "resolvConf": resolv_conf,
        "staticPodPath": places.manifests,
        "tlsCertFile": serving.certificate,
        "tlsPrivateKeyFile": serving.key,
        "volumePluginDir": folder.join("volume-plugins"),
    }))
}

/// Lets the kubelet's ports ask the API server about tokens and rights.
pub fn ask_the_cluster(config: &mut Value) {
    config["authentication"]["webhook"]["enabled"] = json!(true);
    config["authorization"]["mode"] = json!("Webhook");
}
