//! A whole node: namespace, containerd and kubelet, in a cluster or alone. The namespace and the runtime outlive the kubelet, so that a
//! scenario can end one kubelet and start the other on the same pods.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::cgroups;
use crate::containerd::{Containerd, Version};
use crate::control_plane::ControlPlane;
use crate::ground::Ground;
use crate::identity::{Authority, Identity};
use crate::kubelet::{self, Flavour, Places, Setup};
use crate::netns::{self, Lan, Netns};
use crate::parts;
use crate::process::{Process, output};
use crate::processes::{self, Seen};

/// How long a kubelet may take to be ready, on a busy machine.
const STARTING: Duration = Duration::from_secs(90);

/// A node: a namespace, a running containerd, and all that a kubelet needs to be started.
pub struct Node {
    ground: Arc<Ground>,
    setup: Setup,
    folder: PathBuf,
    places: Places,
    visitor: Identity,
    containerd: Containerd,
    kubelet: Option<Process>,
}

impl Node {
    /// Node `number` (1 to 200) of a cluster.
    pub fn joined(ground: &Arc<Ground>, plane: &ControlPlane, number: u8, version: Version) -> Result<Self> {
        let mut node = Self::raise(ground, plane.lan(), plane.authority(), number, version)?;
        node.setup.kubeconfig = Some(plane.node_kubeconfig(&node.setup.name)?);
        node.configure(kubelet::ask_the_cluster)?;
        Ok(node)
    }

    /// Node `number` of no cluster: its pods come from manifests alone.
    pub fn standalone(ground: &Arc<Ground>, lan: &Lan, number: u8, version: Version) -> Result<Self> {
        let authority = Authority::new(ground.folder("pki")?)?;
        Self::raise(ground, lan, &authority, number, version)
    }

    fn raise(
        ground: &Arc<Ground>,
        lan: &Lan,
        authority: &Authority,
        number: u8,
        version: Version,
    ) -> Result<Self> {
        let name = format!("node-{number}");
        let netns = lan.join(number)?;
        let folder = ground.folder(&name)?;
        let containerd = Containerd::start(ground, &name, &netns, version, &netns::pod_network(number))?;
        let places = Places {
            endpoint: containerd.endpoint(),
            cgroup: cgroups::make(ground, &name)?,
            logs: ground.folder(&format!("{name}/logs"))?,
            manifests: ground.folder(&format!("{name}/manifests"))?,
        };
        let serving = kubelet::serving(authority, &name, number)?;
        let config = kubelet::configuration(&folder, &places, authority, &serving)?;
        let setup = Setup {
            address: netns::node_address(number),
            netns,
            config: folder.join("kubelet.json"),
            kubeconfig: None,
            root: ground.folder(&format!("{name}/kubelet"))?,
            name,
        };
        fs::write(&setup.config, config.to_string())?;
        let visitor = authority.client("visitor", "visitor", &["system:masters"])?;
        Ok(Self { ground: ground.clone(), setup, folder, places, visitor, containerd, kubelet: None })
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

    /// The node's own folder, in which are the others.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of container logs.
    pub fn logs(&self) -> &Path {
        &self.places.logs
    }

    /// The cgroup below which all of the node's pods are.
    pub fn cgroup(&self) -> &str {
        &self.places.cgroup
    }

    /// The runtime, to look at.
    pub fn runtime(&self) -> &Containerd {
        &self.containerd
    }

    /// The runtime, to kill or to stall.
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

    /// Lets the next kubelet reach the API server by this kubeconfig file, as a [`crate::fault::api::ApiServer`] has it.
    pub fn reach_api_server_by(&mut self, kubeconfig: &Path) {
        self.setup.kubeconfig = Some(kubeconfig.to_owned());
    }

    /// Lets the next kubelet reach the runtime by this socket, as a [`crate::fault::wire::Wire`] has it.
    pub fn reach_runtime_by(&self, socket: &Path) -> Result<()> {
        let endpoint = format!("unix://{}", socket.display());
        self.configure(|config| config["containerRuntimeEndpoint"] = endpoint.into())
    }

    /// The process of our node that does this job: a service by its name, or `nats-server`.
    pub fn process(&mut self, job: &str) -> Result<Seen> {
        let does = |seen: &Seen| match job {
            "nats-server" => seen.command.split(' ').next().is_some_and(|program| program.ends_with(job)),
            service => seen.command.contains(&format!(" run {service} ")),
        };
        let tree = processes::tree(self.kubelet()?.pid())?;
        tree.into_iter().find(does).with_context(|| format!("our node has no process that is {job}"))
    }

    /// The command that starts a kubelet on this node.
    pub fn kubelet_command(&self, flavour: Flavour) -> Result<Command> {
        flavour.command(&self.ground, &self.setup)
    }

    /// Starts a kubelet and waits until the API server shows the node as Ready.
    pub fn start_kubelet(&mut self, flavour: Flavour, plane: &ControlPlane) -> Result<()> {
        let command = self.kubelet_command(flavour)?;
        self.start(command, plane)
    }

    /// Starts our whole node, by `bulkhead up`, and waits until the API server shows it as Ready.
    pub fn start_up(&mut self, plane: &ControlPlane) -> Result<()> {
        let command = self.setup.up()?;
        self.start(command, plane)
    }

    fn start(&mut self, command: Command, plane: &ControlPlane) -> Result<()> {
        let (kubectl, name) = (plane.kubectl(), self.setup.name.clone());
        let node = ["node", &name];
        let kubelet = self.spawn(command)?;
        kubelet.wait_ready(STARTING, || kubectl.wait_condition(&node, "Ready", Duration::ZERO).map(drop))
    }

    /// Starts a kubelet and waits until its health port answers.
    pub fn start_kubelet_alone(&mut self, flavour: Flavour) -> Result<()> {
        let netns = self.setup.netns.clone();
        let command = self.kubelet_command(flavour)?;
        let kubelet = self.spawn(command)?;
        kubelet.wait_ready(STARTING, || {
            let answer = output(netns.command("curl").args(["-sSf", "http://127.0.0.1:10248/healthz"]))?;
            ensure!(answer == "ok", "/healthz says {answer}");
            Ok(())
        })
    }

    fn spawn(&mut self, command: Command) -> Result<&mut Process> {
        Ok(self.kubelet.insert(Process::spawn("kubelet", &self.folder, command)?))
    }

    /// The kubelet's process, to kill or to stall.
    pub fn kubelet(&mut self) -> Result<&mut Process> {
        self.kubelet.as_mut().context("no kubelet was started on this node")
    }

    /// Kills the kubelet with every process of it, as a power cut would. Its pods stay.
    pub fn kill_kubelet(&mut self) -> Result<()> {
        let kubelet = self.kubelet()?;
        for process in processes::tree(kubelet.pid())? {
            // The children of a killed supervisor leave by themselves, some before it is their turn here.
            let _ = process.signal(Signal::SIGKILL);
        }
        kubelet.kill()
    }

    /// What the kubelet's process wrote, over all its lives.
    pub fn log(&self) -> Result<&Path> {
        Ok(self.kubelet.as_ref().context("no kubelet was started on this node")?.log())
    }

    /// Prints what the kubelet wrote last, for whoever has to find out why a scenario failed.
    pub fn tell_log(&self) {
        let told = self.kubelet.as_ref().map(|kubelet| kubelet.tail(200));
        eprintln!("the last of the kubelet's log:\n{}\n", told.unwrap_or_default());
    }

    /// What a command of ours, `bulkhead status` for one, prints about this node.
    pub fn ask_bulkhead(&self, words: &[&str]) -> Result<String> {
        let mut command = self.setup.netns.command(parts::bulkhead()?);
        output(command.args(words).arg("--root-dir").arg(&self.setup.root))
    }

    /// What the kubelet's port 10250 answers to a client that may do everything.
    pub fn ask_kubelet(&self, path: &str) -> Result<String> {
        let mut curl = self.setup.netns.command("curl");
        curl.args(["-sSfk", "--cert"]).arg(&self.visitor.certificate).arg("--key").arg(&self.visitor.key);
        output(curl.arg(format!("https://127.0.0.1:10250{path}")))
    }

    /// Asks the kubelet to leave and waits until it has. Its pods stay.
    pub fn stop_kubelet(&mut self) -> Result<()> {
        let mut kubelet = self.kubelet.take().context("no kubelet was started on this node")?;
        let status = kubelet.terminate()?;
        ensure!(status.success(), "the kubelet ended with {status}; its log ends:\n{}", kubelet.tail(15));
        Ok(())
    }
}
