//! Network namespaces, and the bridge that joins the control plane's with the nodes'.
//!
//! A namespace is held by a file in the ground's folder and entered with `nsenter`: `ip netns exec` would mount a
//! /sys of its own, in which there are no cgroups.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};

use crate::ground::Ground;
use crate::process::output;

/// The control plane's address on the bridge, and every node's default gateway.
pub const CONTROL_PLANE: &str = "10.77.0.1";

/// All nodes' pods; each node has a [`pod_network`] of it.
pub const PODS: &str = "10.88.0.0/16";

/// A network namespace with a working loopback device.
#[derive(Clone)]
pub struct Netns {
    ground: Arc<Ground>,
    file: PathBuf,
}

impl Netns {
    /// A new namespace, called `name` within its ground.
    pub fn new(ground: &Arc<Ground>, name: &str) -> Result<Self> {
        let file = ground.folder("net")?.join(name);
        File::create(&file)?;
        let mut holder = OsStr::new("--net=").to_owned();
        holder.push(&file);
        output(Command::new("unshare").arg(holder).arg("true"))?;
        let netns = Self { ground: ground.clone(), file };
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// The file that holds the namespace, as `nsenter --net=<file>` takes it.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A command that runs in the namespace, under its own process id.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut flag = OsStr::new("--net=").to_owned();
        flag.push(&self.file);
        let mut command = self.ground.command("nsenter");
        command.arg(flag).arg("--").arg(program);
        command
    }

    /// Runs `ip` with these arguments, which hold no spaces.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        output(self.command("ip").args(arguments.split(' ')))
    }

    /// Runs `work` in a thread that is in the namespace: what it connects to or listens on is there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(move || self.enter().map(|()| work()));
            inside.join().map_err(|_| anyhow!("the work in {} panicked", self.file.display()))?
        })
    }

    /// Starts `work` in a thread of its own that is in the namespace.
    pub fn spawn(&self, work: impl FnOnce() + Send + 'static) -> JoinHandle<Result<()>> {
        let netns = self.clone();
        thread::spawn(move || netns.enter().map(|()| work()))
    }

    /// Moves the calling thread, and it alone, into the namespace.
    fn enter(&self) -> Result<()> {
        let namespace = File::open(&self.file)?;
        setns(&namespace, CloneFlags::CLONE_NEWNET).context("entering a network namespace")
    }
}

/// The control plane's namespace with a bridge that nodes join.
#[derive(Clone)]
pub struct Lan {
    hub: Netns,
}

impl Lan {
    /// A bridge at [`CONTROL_PLANE`].
    pub fn new(ground: &Arc<Ground>) -> Result<Self> {
        let hub = Netns::new(ground, "control-plane")?;
        hub.ip("link add lan type bridge")?;
        hub.ip(&format!("addr add {CONTROL_PLANE}/16 dev lan"))?;
        hub.ip("link set lan up")?;
        Ok(Self { hub })
    }

    /// A plug on the bridge for a machine that is node `number`, with the addresses that [`Lan::join`] would give; returns
    /// the name of its tap device.
    pub fn plug(&self, number: u8) -> Result<String> {
        let tap = format!("node{number}");
        self.hub.ip(&format!("tuntap add dev {tap} mode tap"))?;
        self.hub.ip(&format!("link set {tap} master lan up"))?;
        self.hub.ip(&format!("route add {} via {}", pod_network(number), node_address(number)))?;
        Ok(tap)
    }

    /// The namespace that holds the bridge, where the control plane runs.
    pub fn hub(&self) -> &Netns {
        &self.hub
    }

    /// A namespace for node `number` (1 to 200), reached at [`node_address`] and its pods at [`pod_network`].
    pub fn join(&self, number: u8) -> Result<Netns> {
        let node = Netns::new(&self.hub.ground, &format!("node-{number}"))?;
        let (address, pods) = (node_address(number), pod_network(number));
        self.hub
            .ip(&format!("link add node{number} type veth peer name eth0 netns {}", node.file.display()))?;
        self.hub.ip(&format!("link set node{number} master lan up"))?;
        node.ip(&format!("addr add {address}/16 dev eth0"))?;
        node.ip("link set eth0 up")?;
        node.ip(&format!("route add default via {CONTROL_PLANE}"))?;
        self.hub.ip(&format!("route add {pods} via {address}"))?;
        output(node.command("sysctl").args(["-qw", "net.ipv4.ip_forward=1"]))?;
        Ok(node)
    }
}

/// The address of node `number`.
pub fn node_address(number: u8) -> String {
    format!("10.77.0.{}", u16::from(number) + 10)
}

/// The network of the pods of node `number`.
pub fn pod_network(number: u8) -> String {
    format!("10.88.{number}.0/24")
}
