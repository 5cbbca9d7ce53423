//! The whole node's table: what becomes of traffic to services, as data for maps and sets, the same for nftables, iptables
//! and IPVS. Both address families are in it; every key tells its own.
//!
//! | map or set | key | value |
//! |---|---|---|
//! | `addresses` | address, protocol, port | [`Entry`]: what becomes of pods', the host's and outsiders' traffic |
//! | `sources` | address, protocol, port, range | who may come to a guarded address |
//! | `node_ports` | family, protocol, port | [`Entry`] |
//! | `sets` | service port, scope | endpoints, numbered from 0 without a gap |
//! | `hairpins` | endpoint, protocol | may be reached by itself through its service: then masqueraded |
//! | `cluster_ips` | address | known: other ports of it are rejected |
//! | `health` | family, port | a service, and how many of its ready endpoints are here |
//!
//! **Numbers and affinity.** A set's numbers are for drawing lots. An endpoint keeps its number while it lives, save that
//! the last ones move into gaps when others end: at most as many move as ended, so a change of one endpoint is a change
//! of one or two elements however large the set. Affinity therefore must not remember a number; it remembers the endpoint
//! itself, and a remembered endpoint counts while it is a member of the set ([`Members::sticky`] makes membership
//! an element of its own). So it keeps its meaning through changes, through restarts of the proxy, and between the
//! cluster's set and the local one. The alternative, numbers with gaps, costs the drawing of lots a look-up more.

mod contested;
mod counted;
mod members;

pub use contested::Contested;
pub use counted::Counted;
pub use members::Members;

use super::{
    address::{Cidr, Family, Protocol},
    endpoints::Target,
    name::{PortId, ServiceName},
    node::{Detector, Node, NodePorts},
    service::Created,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Where a packet is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", SocketAddr::new(self.ip, self.port), self.protocol)
    }
}

/// A port at the node's own addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodePort {
    /// In which family.
    pub family: Family,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

impl fmt::Display for NodePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node port {}/{} ({})", self.port, self.protocol, self.family)
    }
}

/// Which of a service port's sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Endpoints of the whole cluster, as far as hints allow.
    Cluster,
    /// Endpoints on this node.
    Local,
}

/// Names a set of endpoints.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId {
    /// Whose.
    pub port: Arc<PortId>,
    /// Which.
    pub scope: Scope,
}

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = match self.scope {
            Scope::Cluster => "cluster",
            Scope::Local => "local",
        };
        write!(f, "{scope} endpoints of {}", self.port)
    }
}

/// As what an address or node port is a service's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Face {
    /// `spec.clusterIPs`.
    ClusterIp,
    /// `spec.externalIPs`.
    ExternalIp,
    /// `status.loadBalancer.ingress`.
    LoadBalancer,
    /// `spec.ports.nodePort`.
    NodePort,
}

/// Who comes first where two claim the same: the oldest service, then the first by name; within a service the first port,
/// then the first face.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// When the service was made.
    pub created: Created,
    /// The service's port.
    pub port: Arc<PortId>,
    /// As what it claims.
    pub face: Face,
}

/// Where traffic goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// To one of a set's endpoints; how many there are decides how lots are drawn.
    To(Scope, u32),
    /// Refused with an answer: there is nobody in the whole cluster.
    Reject,
    /// Let fall without an answer: policy Local and nobody here. The client, or a balancer, is to try elsewhere.
    Drop,
}

/// What becomes of one kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Course {
    /// Where it goes.
    pub way: Way,
    /// Whether it gets the node's address as its source, so that answers come back this way. A hairpin is masqueraded
    /// besides.
    pub masquerade: bool,
}

/// What becomes of traffic to an address or node port, by where it comes from: a pod of this node as far as the
/// [`Detector`] can tell, else the host itself, else anybody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Whose it is.
    pub port: Arc<PortId>,
    /// As what.
    pub face: Face,
    /// Traffic of pods.
    pub pods: Course,
    /// Traffic of the host.
    pub host: Course,
    /// All other traffic.
    pub others: Course,
    /// How long a client is held to its endpoint, in seconds, per client and service port, if at all.
    pub affinity: Option<u32>,
    /// Only the address's `sources` may come; all others are dropped.
    pub guarded: bool,
}

/// An endpoint that may reach itself through a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hairpin {
    /// The endpoint.
    pub target: Target,
    /// The service port's protocol.
    pub protocol: Protocol,
}

/// A port at which a balancer asks for a service's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HealthPort {
    /// In which family it listens.
    pub family: Family,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for HealthPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "health check port {} ({})", self.port, self.family)
    }
}

/// What to answer there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Health {
    /// For which service.
    pub service: ServiceName,
    /// Ready endpoints here; none of them is unhealthy.
    pub local_ready: usize,
}

/// An entry, and who may come if it is guarded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The entry.
    pub entry: Entry,
    /// Who may come.
    pub sources: BTreeSet<Cidr>,
}

/// What holds for the node as a whole, and changes the form of the rules rather than their data.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rules {
    /// Who is a pod.
    pub pods: Detector,
    /// Where node ports are answered.
    pub node_ports: NodePorts,
    /// Which sources and destinations are the node's own.
    pub addresses: BTreeSet<IpAddr>,
}

/// The table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The node's own.
    pub rules: Rules,
    /// Ranges of cluster IPs: what none of them is given is dropped.
    pub service_ranges: BTreeSet<Cidr>,
    /// Addresses that answer at node ports, in families where not all do.
    pub node_port_addresses: BTreeSet<IpAddr>,
    /// Addresses of services, with who claims each.
    pub addresses: Contested<Address, Rank, Claim>,
    /// Node ports of services.
    pub node_ports: Contested<NodePort, Rank, Entry>,
    /// Endpoints.
    pub sets: BTreeMap<SetId, Members>,
    /// Endpoints that may reach themselves.
    pub hairpins: Counted<Hairpin>,
    /// Cluster IPs.
    pub cluster_ips: Counted<IpAddr>,
    /// Health check ports.
    pub health: Contested<HealthPort, Rank, Health>,
}

impl Table {
    /// A node's table without any service.
    pub fn of(node: &Node) -> Self {
        let mut table = Self::default();
        table.settle_on(node);
        table
    }

    /// Takes over what is the node's own.
    pub fn settle_on(&mut self, node: &Node) {
        let (pods, node_ports) = (node.pods.clone(), node.node_ports.clone());
        self.rules = Rules { pods, node_ports, addresses: node.addresses.clone() };
        self.service_ranges = node.service_ranges.clone();
        self.node_port_addresses = node.listed_node_port_addresses();
    }

    /// Numbers a set's endpoints as they were numbered before, as far as they are the same: for a start beside rules that
    /// a former life left behind, which are then changed as little as an ordinary change would.
    pub fn renumber(&mut self, set: &SetId, before: &[Target]) {
        if let Some(members) = self.sets.get_mut(set) {
            let wanted = members.targets.iter().copied().collect();
            *members = Members::arrange(before, wanted, members.sticky);
        }
    }

    /// How many service ports there are, and how many endpoints they have in all.
    pub fn counts(&self) -> (usize, usize) {
        let claimed = self.addresses.iter().map(|(_, claim)| &claim.entry.port);
        let at_nodes = self.node_ports.iter().map(|(_, entry)| &entry.port);
        let ports = claimed.chain(at_nodes).collect::<BTreeSet<_>>().len();
        let mut endpoints: BTreeMap<&PortId, usize> = BTreeMap::new();
        for (set, members) in &self.sets {
            let most = endpoints.entry(&set.port).or_default();
            *most = members.targets.len().max(*most);
        }
        (ports, endpoints.values().sum())
    }

    /// The same table with every set in the order of its endpoints: two tables that mean the same are then equal.
    pub fn in_order(mut self) -> Self {
        self.sets.values_mut().for_each(Members::put_in_order);
        self
    }
}
