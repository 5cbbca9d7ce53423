//! Real parts to play with by hand: raises a containerd, with `--control-plane` a whole control plane and with
//! `--kubelet` a node, says where everything is, and takes it all back on Ctrl-C or SIGTERM.
//!
//!     cargo run -p tests --bin playground -- --containerd 2.4 --control-plane

use std::sync::Arc;
use std::thread;

use anyhow::Result;
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
    #[arg(long, default_value = "2.4")]
    containerd: Version,
    /// Raise etcd, kube-apiserver, kube-controller-manager and kube-scheduler besides
    #[arg(long)]
    control_plane: bool,
    /// Start a kubelet too: stock or ours
    #[arg(long, requires = "control_plane")]
    kubelet: Option<Flavour>,
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
    let mut node = Node::joined(ground, &plane, 1, arguments.containerd)?;
    if let Some(flavour) = arguments.kubelet {
        node.start_kubelet(flavour, &plane)?;
    }
    let flavour = arguments.kubelet.unwrap_or(Flavour::Stock);
    println!("kubelet     {:?}", node.kubelet_command(flavour)?);
    stay(node.containerd());
}

fn in_netns(name: &str, ground: &Ground) -> String {
    format!("nsenter --net={}/net/{name} tests/tools/bin/kubectl", ground.path().display())
}

/// Until a signal ends this process, after which the ground takes itself back.
fn stay(containerd: &Containerd) -> ! {
    println!("Ctrl-C takes everything back.");
    println!("CRI socket  {}", containerd.socket().display());
    loop {
        thread::park();
    }
}
