//! What the proxy is told, beside the objects of the cluster. The defaults are upstream's
//! (`pkg/proxy/apis/config/v1alpha1/defaults.go`).

use crate::core::{address::Cidr, node::NodePortAddresses};
use chassis::config::{NodeConfig, ServiceProxy};
use std::{collections::BTreeSet, net::IpAddr};

/// How rules get into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By nf_tables.
    Nftables,
    /// Not at all: somebody else does it.
    None,
}

/// How traffic of this node's pods is told (`detectLocalMode`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DetectLocal {
    /// By the cluster's ranges (`clusterCIDR`); without any it cannot be told.
    ClusterCidr(BTreeSet<Cidr>),
    /// By the node's own ranges (`spec.podCIDRs` of the Node).
    NodeCidr,
    /// By the bridge that it comes in through.
    Bridge(String),
    /// By the beginning of the name of the interface that it comes in through.
    InterfacePrefix(String),
}

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How rules get into the kernel.
    pub mode: Mode,
    /// How traffic of this node's pods is told.
    pub detect_local: DetectLocal,
    /// Whether whatever comes to a cluster IP is masqueraded.
    pub masquerade_all: bool,
    /// Which addresses answer at node ports.
    pub node_port_addresses: NodePortAddresses,
    /// The node's addresses, until its Node object tells them (`--node-ip`).
    pub node_ips: Vec<IpAddr>,
}

impl Settings {
    /// Those of a node, as a compartment of which the proxy runs.
    pub fn of_node(config: &NodeConfig) -> Self {
        let mode = match config.proxy {
            ServiceProxy::Nftables => Mode::Nftables,
            ServiceProxy::None => Mode::None,
        };
        Self { mode, node_ips: config.node_ips.clone(), ..Self::default() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Nftables,
            detect_local: DetectLocal::ClusterCidr(BTreeSet::new()),
            masquerade_all: false,
            node_port_addresses: NodePortAddresses::Primary,
            node_ips: Vec::new(),
        }
    }
}
