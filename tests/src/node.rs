//! A whole node: namespace, containerd and kubelet. The namespace and the runtime outlive the kubelet, so that a
//! scenario can end one kubelet and start the other on the same pods.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cgroups;
use crate::containerd::{Containerd, Version};
use crate::control_plane::ControlPlane;
use crate::ground::Ground;
use crate::kubelet::{self, Flavour, Places, Setup};
use crate::netns::{self, Netns};
use crate::process::Process;

/// How long a node may take to be Ready, on a busy machine.
const REGISTERING: Duration = Duration::from_secs(90);

/// A node, joined to a control plane.
pub struct Node {
    ground: Arc<Ground>,
    setup: Setup,
    folder: PathBuf,
    cgroup: String,
    places: Places,
    containerd: Containerd,
    kubelet: Option<Process>,
}

impl Node {
    /// Node `number` (1 to 200) of the cluster: its namespace and containerd run, and a kubelet has all that it needs
    /// to be started.
    pub fn new(ground: &Arc<Ground>, plane: &ControlPlane, number: u8, version: Version) -> Result<Self> {
        let name = format!("node-{number}");
        let netns = plane.lan().join(number)?;
        let folder = ground.folder(&name)?;
        let containerd = Containerd::start(ground, &name, &netns, version, &netns::pod_network(number))?;
        let cgroup = cgroups::make(ground, &name)?;
        let places = Places {
            endpoint: containerd.endpoint(),
            cgroup: cgroup.clone(),
            logs: ground.folder(&format!("{name}/logs"))?,
            manifests: ground.folder(&format!("{name}/manifests"))?,
        };
        let serving = kubelet::serving(plane.authority(), &name, number)?;
        let config = kubelet::configuration(&folder, &places, Some((plane.authority(), &serving)))?;
        let setup = Setup {
            address: netns::node_address(number),
            netns,
            config: folder.join("kubelet.json"),
            kubeconfig: Some(plane.node_kubeconfig(&name)?),
            root: ground.folder(&format!("{name}/kubelet"))?,
            name,
        };
        fs::write(&setup.config, config.to_string())?;
        Ok(Self { ground: ground.clone(), setup, folder, cgroup, places, containerd, kubelet: None })
    }

    /// The name that the API server knows the node by.
    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// The namespace that the node runs in.
    pub fn netns(&self) -> &Netns {
        &self.setup.netns
    }

    /// The kubelet's root folder.
    pub fn root(&self) -> &Path {
        &self.setup.root
    }

    /// The folder that the kubelet reads static pods from.
    pub fn manifests(&self) -> &Path {
        &self.places.manifests
    }

    /// The cgroup below which all of the node's pods are.
    pub fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// The runtime.
    pub fn containerd(&mut self) -> &mut Containerd {
        &mut self.containerd
    }

    /// Changes the kubelet's configuration for its next start.
    pub fn configure(&self, change: impl FnOnce(&mut Value)) -> Result<()> {
        let mut config = serde_json::from_slice(&fs::read(&self.setup.config)?)?;
        change(&mut config);
        fs::write(&self.setup.config, config.to_string())?;
        Ok(())
    }

    /// The command that starts a kubelet on this node.
    pub fn kubelet_command(&self, flavour: Flavour) -> Result<Command> {
        flavour.command(&self.ground, &self.setup)
    }

    /// Starts a kubelet and waits until the API server shows the node as Ready.
    pub fn start_kubelet(&mut self, flavour: Flavour, plane: &ControlPlane) -> Result<()> {
        let command = self.kubelet_command(flavour)?;
        let kubelet = self.kubelet.insert(Process::spawn("kubelet", &self.folder, command)?);
        let name = &self.setup.name;
        let kubectl = plane.kubectl();
        kubelet.wait_ready(REGISTERING, || {
            kubectl.wait_condition(&["node", name], "Ready", Duration::ZERO).map(drop)
        })
    }

    /// The kubelet's process, to kill or to stall.
    pub fn kubelet(&mut self) -> Result<&mut Process> {
        self.kubelet.as_mut().context("no kubelet was started on this node")
    }

    /// Asks the kubelet to leave and waits until it has. Its pods stay.
    pub fn stop_kubelet(&mut self) -> Result<()> {
        let mut kubelet = self.kubelet.take().context("no kubelet was started on this node")?;
        let status = kubelet.terminate()?;
        ensure!(status.success(), "the kubelet ended with {status}; its log ends:\n{}", kubelet.tail());
        Ok(())
    }
}
