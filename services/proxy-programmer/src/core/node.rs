//! What the proxy knows of its own node: where it is, its addresses, and which traffic comes from its own pods.

use super::address::{Cidr, Family};
use std::{collections::BTreeSet, net::IpAddr};

/// The facts of a node that decide what its rules are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name, which endpoints on it bear.
    pub name: String,
    /// Its zone (label `topology.kubernetes.io/zone`), if it is told one.
    pub zone: Option<String>,
    /// Every address that is its own.
    pub addresses: BTreeSet<IpAddr>,
    /// The addresses that it is known by in the cluster, one per family.
    pub primary: Vec<IpAddr>,
    /// Where node ports are answered.
    pub node_ports: NodePorts,
    /// Which sources are pods of this node.
    pub pods: Detector,
    /// Whether whatever comes to a cluster IP is masqueraded (`masqueradeAll`).
    pub masquerade_all: bool,
    /// The ranges that cluster IPs are given from (ServiceCIDR objects, KEP-1880).
    pub service_ranges: BTreeSet<Cidr>,
}

/// Which of a node's addresses answer at node ports (`nodePortAddresses`).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodePorts {
    /// Which, in each family.
    pub at: NodePortAddresses,
    /// Whether 127.0.0.1 does too, which only iptables can do and only for IPv4 (`localhostNodePorts`).
    pub localhost: bool,
}

/// The setting `nodePortAddresses`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodePortAddresses {
    /// All of them: the default of iptables and IPVS.
    #[default]
    All,
    /// Those that the node is known by: the default of nftables.
    Primary,
    /// Those within these ranges; in a family that no range is of, all of them, as upstream.
    Within(BTreeSet<Cidr>),
}

impl NodePortAddresses {
    /// Whether every address of a family answers.
    pub fn are_all(&self, family: Family) -> bool {
        let Self::Within(ranges) = self else { return *self == Self::All };
        let mut own = ranges.iter().filter(|range| range.family() == family).peekable();
        own.peek().is_none() || own.any(Cidr::is_everything)
    }
}

impl Node {
    /// The addresses that answer at node ports, where not all do.
    pub fn listed_node_port_addresses(&self) -> BTreeSet<IpAddr> {
        let at = &self.node_ports.at;
        let is_listed = |ip: &IpAddr| match at {
            NodePortAddresses::All => false,
            NodePortAddresses::Primary => true,
            NodePortAddresses::Within(ranges) => {
                !at.are_all(Family::of(*ip)) && ranges.iter().any(|range| range.contains(*ip))
            }
        };
        let known = if *at == NodePortAddresses::Primary {
            self.primary.iter().collect::<Vec<_>>()
        } else {
            self.addresses.iter().collect()
        };
        known.into_iter().copied().filter(is_listed).filter(|ip| self.may_answer(*ip)).collect()
    }

    fn may_answer(&self, ip: IpAddr) -> bool {
        !ip.is_loopback() || (self.node_ports.localhost && ip.is_ipv4())
    }
}

/// How to tell that traffic comes from a pod of this node (`detectLocalMode`; `pkg/proxy/util/localdetector.go` upstream).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detector {
    /// It cannot be told.
    #[default]
    None,
    /// Its source is a pod anywhere in the cluster (`clusterCIDR`).
    ClusterCidr(BTreeSet<Cidr>),
    /// Its source is in the node's own pod range (`spec.podCIDRs`).
    NodeCidr(BTreeSet<Cidr>),
    /// It came in through this bridge.
    Bridge(String),
    /// It came in through an interface whose name begins so.
    InterfacePrefix(String),
}

/// Through what a packet came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered<'a> {
    /// A process on the host sent it.
    FromHost,
    /// The interface of this name.
    By(&'a str),
}

impl Detector {
    /// Whether it can tell anything in this family.
    pub fn can_tell(&self, family: Family) -> bool {
        match self {
            Self::None => false,
            Self::ClusterCidr(ranges) | Self::NodeCidr(ranges) => {
                ranges.iter().any(|range| range.family() == family)
            }
            Self::Bridge(name) | Self::InterfacePrefix(name) => !name.is_empty(),
        }
    }

    /// Whether a packet comes from a pod, as far as can be told.
    pub fn is_pod(&self, source: IpAddr, entered: Entered<'_>) -> bool {
        let by = match entered {
            Entered::FromHost => None,
            Entered::By(interface) => Some(interface),
        };
        self.can_tell(Family::of(source))
            && match self {
                Self::None => false,
                Self::ClusterCidr(ranges) | Self::NodeCidr(ranges) => {
                    ranges.iter().any(|range| range.contains(source))
                }
                Self::Bridge(name) => by == Some(name),
                Self::InterfacePrefix(prefix) => by.is_some_and(|name| name.starts_with(prefix.as_str())),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::{ip, range};

    #[test]
    fn node_ports_are_answered_where_the_setting_says() {
        use NodePortAddresses::{All, Primary, Within};
        let within = |ranges: &[&str]| Within(ranges.iter().map(|text| range(text)).collect());
        // (sentence, setting, all of IPv4, all of IPv6, those listed)
        let cases = [
            ("all", All, true, true, vec![]),
            ("primary", Primary, false, false, vec!["192.168.0.2", "fd02::2"]),
            (
                "a range of IPv4 leaves IPv6 open",
                within(&["192.168.7.0/24"]),
                false,
                true,
                vec!["192.168.7.9"],
            ),
            ("a range of all", within(&["0.0.0.0/0", "fd02::/64"]), true, false, vec!["fd02::2"]),
            ("a range of none", within(&["10.0.0.0/8", "fd09::/64"]), false, false, vec![]),
            ("no range", within(&[]), true, true, vec![]),
            ("localhost is never listed", within(&["127.0.0.0/8"]), false, true, vec![]),
        ];
        for (sentence, at, v4, v6, listed) in cases {
            let addresses = ["127.0.0.1", "192.168.0.2", "192.168.7.9", "fd02::2"].map(ip);
            let node = Node {
                addresses: addresses.into(),
                primary: vec![ip("192.168.0.2"), ip("fd02::2")],
                node_ports: NodePorts { at, localhost: false },
                ..Node::default()
            };
            assert_eq!(node.node_ports.at.are_all(Family::V4), v4, "{sentence}: IPv4");
            assert_eq!(node.node_ports.at.are_all(Family::V6), v6, "{sentence}: IPv6");
            let want = listed.into_iter().map(ip).collect::<BTreeSet<_>>();
            assert_eq!(node.listed_node_port_addresses(), want, "{sentence}: listed");
        }
    }

    #[test]
    fn each_detector_tells_pods_in_its_own_way() {
        use Entered::{By, FromHost};
        let cluster = Detector::ClusterCidr([range("10.0.0.0/8")].into());
        let node = Detector::NodeCidr([range("10.1.0.0/24")].into());
        let bridge = Detector::Bridge("cni0".into());
        let prefix = Detector::InterfacePrefix("veth".into());
        let cases = [
            ("nobody can tell", &Detector::None, "10.1.0.5", By("cni0"), false),
            ("a pod's address", &cluster, "10.1.0.5", By("cni0"), true),
            ("a pod's of another node too", &cluster, "10.2.0.5", By("eth0"), true),
            ("an outsider's address", &cluster, "203.0.113.5", By("eth0"), false),
            ("a family it has no range of", &cluster, "fd00:1::5", By("cni0"), false),
            ("the node's own pods", &node, "10.1.0.5", By("cni0"), true),
            ("another node's are not", &node, "10.2.0.5", By("eth0"), false),
            ("by the bridge", &bridge, "203.0.113.5", By("cni0"), true),
            ("by a name that only begins so", &bridge, "10.1.0.5", By("cni01"), false),
            ("the host comes by no bridge", &bridge, "192.168.0.2", FromHost, false),
            ("by a veth", &prefix, "10.1.0.5", By("veth1234"), true),
            ("by another", &prefix, "10.1.0.5", By("eth0"), false),
            ("the host comes by no veth", &prefix, "10.1.0.1", FromHost, false),
            ("no name", &Detector::Bridge(String::new()), "10.1.0.5", By(""), false),
        ];
        for (sentence, detector, source, entered, want) in cases {
            assert_eq!(detector.is_pod(ip(source), entered), want, "{sentence}");
        }
    }
}
