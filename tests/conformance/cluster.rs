//! The cluster that upstream's suite expects: a control plane, nodes with Services and names, and a registry that has
//! the images the suite asks for.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use tests::containerd::{Containerd, Version};
use tests::control_plane::ControlPlane;
use tests::dns::Dns;
use tests::ground::Ground;
use tests::kube_proxy::KubeProxy;
use tests::kubelet::Flavour;
use tests::node::Node;
use tests::parts;
use tests::registry::Registry;

/// The registry whose images upstream's tests name. Nothing outside is reached: ours stands in for it.
const HOST: &str = "registry.k8s.io";

/// What the stand-in holds: the images that `tests/tools/images` makes under these names.
const IMAGES: &[&str] = &[
    "pause:3.10",
    "pause:3.10.2",
    "e2e-test-images/agnhost:2.63.0",
    "e2e-test-images/busybox:1.37.0-1",
    "e2e-test-images/nonewprivs:1.4",
    "e2e-test-images/nonroot:1.5",
];
/// Their archives, besides those that every containerd of the tests has.
const ARCHIVES: &[&str] = &["agnhost", "nonewprivs", "nonroot"];

/// A running cluster; dropped, it is taken down.
pub(crate) struct Cluster {
    _dns: Dns,
    _proxies: Vec<KubeProxy>,
    nodes: Vec<Node>,
    _registry: Registry,
    plane: ControlPlane,
}

impl Cluster {
    /// Raises a cluster whose nodes have kubelets of this flavour, and waits until all of them are Ready.
    pub(crate) fn raise(flavour: Flavour, size: u8) -> Result<Self> {
        let ground = Ground::new()?;
        let plane = ControlPlane::start(&ground)?;
        let registry = Registry::start(&ground, plane.lan())?;
        let dns = Dns::start(&ground, &plane)?;
        let nodes: Result<Vec<_>> = (1..=size).map(|number| join(&ground, &plane, number, flavour)).collect();
        let mut nodes = nodes?;
        if let Some(first) = nodes.first_mut() {
            fill(first.containerd())?;
        }
        let proxies: Result<Vec<_>> =
            nodes.iter().map(|node| KubeProxy::start(&ground, &plane, node)).collect();
        Ok(Self { _dns: dns, _proxies: proxies?, nodes, _registry: registry, plane })
    }

    /// The control plane.
    pub(crate) fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// Copies the kubelets' and runtimes' logs out of the ground, which goes with the cluster.
    pub(crate) fn keep_logs(&mut self, folder: &Path) -> Result<()> {
        for node in &mut self.nodes {
            let name = node.name().to_owned();
            for (part, log) in [
                ("kubelet", node.kubelet()?.log().to_owned()),
                ("containerd", node.containerd().process().log().to_owned()),
            ] {
                let target = folder.join(format!("{name}-{part}.log"));
                fs::copy(&log, target).with_context(|| format!("keeping {}", log.display()))?;
            }
        }
        Ok(())
    }
}

/// A node that has the suite's images, so that no test waits for its turn to pull, and whose pulls succeed: a kubelet
/// that once failed to pull an image insists on pulling it.
fn join(ground: &Arc<Ground>, plane: &ControlPlane, number: u8, flavour: Flavour) -> Result<Node> {
    let mut node = Node::joined(ground, plane, number, Version::V2_4)?;
    Registry::mirror(node.containerd())?;
    Registry::stand_in_for(HOST, node.containerd())?;
    for archive in ARCHIVES {
        node.containerd().import(&parts::image(archive)?)?;
    }
    node.start_kubelet(flavour, plane)?;
    Ok(node)
}

fn fill(containerd: &Containerd) -> Result<()> {
    IMAGES.iter().try_for_each(|image| Registry::push(containerd, &format!("{HOST}/{image}"), image))
}
