//! Real parts to play with by hand: raises a containerd, with `--control-plane` a whole control plane and with
//! `--kubelet` a stock kubelet, says where everything is, and takes it all back on Ctrl-C or SIGTERM.
//!
//!     cargo run -p tests --bin playground -- --containerd 2.4 --control-plane

use std::sync::Arc;
use std::thread;

use anyhow::{Result, bail};
use clap::Parser;
use tests::containerd::{Containerd, Version};
use tests::control_plane::ControlPlane;
use tests::ground::Ground;
use tests::kubelet::Flavour;
use tests::netns::{self, Lan};
use tests::node::Node;

/// Raises real parts and keeps them until it is interrupted.
#[derive(Parser)]
struct Arguments {
    /// Which containerd: 1.6 (Debian's) or 2.4
    #[arg(long, default_value = "2.4", value_parser = version)]
    containerd: Version,
    /// Raise etcd, kube-apiserver, kube-controller-manager and kube-scheduler besides
    #[arg(long)]
    control_plane: bool,
    /// Start a stock kubelet too (with --control-plane)
    #[arg(long, requires = "control_plane")]
    kubelet: bool,
}

fn version(text: &str) -> Result<Version> {
    match text {
        "1.6" => Ok(Version::V1_6),
        "2.4" => Ok(Version::V2_4),
        _ => bail!("there is 1.6 and 2.4"),
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let ground = Ground::new()?;
    println!("folder      {}", ground.path().display());
    if arguments.control_plane {
        with_control_plane(&ground, &arguments)
    } else {
        let lan = Lan::new(&ground)?;
        let netns = lan.join(1)?;
        let containerd =
            Containerd::start(&ground, "node-1", &netns, arguments.containerd, &netns::pod_network(1))?;
        println!("namespace   nsenter --net={}", netns.file().display());
        stay(&containerd);
    }
}

fn with_control_plane(ground: &Arc<Ground>, arguments: &Arguments) -> Result<()> {
    let plane = ControlPlane::start(ground)?;
    println!("API server  {}", plane.url());
    println!("kubectl     {} --kubeconfig {}", in_netns("control-plane", ground), plane.admin().display());
    let mut node = Node::new(ground, &plane, 1, arguments.containerd)?;
    if arguments.kubelet {
        node.start_kubelet(Flavour::Stock, &plane)?;
    }
    println!("kubelet     {:?}", node.kubelet_command(Flavour::Stock)?);
    stay(node.containerd());
}

fn in_netns(name: &str, ground: &Ground) -> String {
    format!("nsenter --net={}/net/{name} tests/tools/bin/kubectl", ground.path().display())
}

/// Until a signal ends this process, after which the ground takes itself back.
fn stay(containerd: &Containerd) -> ! {
    println!("CRI socket  {}", containerd.socket().display());
    println!("Ctrl-C takes everything back.");
    loop {
        thread::park();
    }
}
