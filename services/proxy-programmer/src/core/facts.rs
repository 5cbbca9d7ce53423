//! The node's facts, out of where they come from: settings, the Node object, the machine's interfaces, ServiceCIDR objects.

use super::{
    address::{self, Cidr, Family},
    node::{Detector, Node, NodePorts},
};
use crate::settings::{DetectLocal, Settings};
use k8s_openapi::api::{
    core::v1::{Node as Object, NodeAddress},
    networking::v1::ServiceCIDR,
};
use std::{collections::BTreeSet, net::IpAddr};

/// The label that names a node's zone.
const ZONE: &str = "topology.kubernetes.io/zone";

/// What of a Node object counts here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    zone: Option<String>,
    addresses: Vec<IpAddr>,
    pod_ranges: BTreeSet<Cidr>,
}

impl Seen {
    /// Reads a Node.
    pub fn of(object: &Object) -> Self {
        let labels = object.metadata.labels.as_ref();
        let spec = object.spec.as_ref();
        let told = spec.and_then(|spec| spec.pod_cidrs.as_deref()).unwrap_or_default();
        let pod_ranges = told.iter().chain(spec.and_then(|spec| spec.pod_cidr.as_ref()));
        let addresses = object.status.as_ref().and_then(|status| status.addresses.as_deref());
        Self {
            zone: labels.and_then(|labels| labels.get(ZONE)).cloned(),
            addresses: in_order(addresses.unwrap_or_default()),
            pod_ranges: pod_ranges.filter_map(|text| Cidr::read(text)).collect(),
        }
    }
}

/// Internal addresses before external ones, as `GetNodeHostIPs` upstream.
fn in_order(addresses: &[NodeAddress]) -> Vec<IpAddr> {
    let of = |type_: &'static str| addresses.iter().filter(move |told| told.type_ == type_);
    of("InternalIP").chain(of("ExternalIP")).filter_map(|told| address::read(&told.address)).collect()
}

/// The ranges of ServiceCIDR objects.
pub fn service_ranges<'a>(objects: impl IntoIterator<Item = &'a ServiceCIDR>) -> BTreeSet<Cidr> {
    let specs = objects.into_iter().filter_map(|object| object.spec.as_ref());
    specs.flat_map(|spec| spec.cidrs.iter().flatten()).filter_map(|text| Cidr::read(text)).collect()
}

/// All that is known of the node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// Its object, if there is one.
    pub object: Option<Seen>,
    /// The addresses of its interfaces.
    pub local: BTreeSet<IpAddr>,
    /// The ranges of cluster IPs.
    pub service_ranges: BTreeSet<Cidr>,
}

impl Facts {
    /// The node, as its rules need it.
    pub fn node(&self, settings: &Settings) -> Node {
        let object = self.object.clone().unwrap_or_default();
        let known = object.addresses.iter().chain(&settings.node_ips).copied();
        let known = known.filter(|ip| !ip.is_unspecified()).collect::<Vec<_>>();
        let of = |family| known.iter().find(|ip| Family::of(**ip) == family).copied();
        Node {
            name: self.name.clone(),
            zone: object.zone,
            addresses: self.local.clone(),
            primary: Family::ALL.into_iter().filter_map(of).collect(),
            node_ports: NodePorts { at: settings.node_port_addresses.clone(), localhost: false },
            pods: detector(&settings.detect_local, object.pod_ranges),
            masquerade_all: settings.masquerade_all,
            service_ranges: self.service_ranges.clone(),
        }
    }
}

fn detector(wanted: &DetectLocal, pod_ranges: BTreeSet<Cidr>) -> Detector {
    match wanted {
        DetectLocal::ClusterCidr(ranges) if ranges.is_empty() => Detector::None,
        DetectLocal::ClusterCidr(ranges) => Detector::ClusterCidr(ranges.clone()),
        DetectLocal::NodeCidr if pod_ranges.is_empty() => Detector::None,
        DetectLocal::NodeCidr => Detector::NodeCidr(pod_ranges),
        DetectLocal::Bridge(name) => Detector::Bridge(name.clone()),
        DetectLocal::InterfacePrefix(prefix) => Detector::InterfacePrefix(prefix.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::{ip, range};
    use serde_json::{Value, json};

    fn seen(node: Value) -> Seen {
        Seen::of(&serde_json::from_value(node).unwrap())
    }

    fn addresses(told: &[(&str, &str)]) -> Value {
        let told = told.iter().map(|(type_, address)| json!({ "type": type_, "address": address }));
        json!({ "status": { "addresses": told.collect::<Vec<_>>() } })
    }

    #[test]
    fn a_node_is_known_by_the_first_address_of_each_family() {
        // (sentence, the object, --node-ip, primary)
        let cases = [
            ("nothing is known", json!({}), vec![], vec![]),
            ("until the object tells", json!({}), vec!["10.0.0.9", "::"], vec!["10.0.0.9"]),
            (
                "internal ones come first",
                addresses(&[
                    ("ExternalIP", "203.0.113.1"),
                    ("InternalIP", "10.0.0.1"),
                    ("InternalIP", "10.0.0.2"),
                ]),
                vec!["10.0.0.9"],
                vec!["10.0.0.1"],
            ),
            (
                "one of each family",
                addresses(&[("InternalIP", "fd00::1"), ("InternalIP", "10.0.0.1"), ("Hostname", "10.0.0.3")]),
                vec![],
                vec!["10.0.0.1", "fd00::1"],
            ),
            (
                "external where there is nothing else, and what is no address is passed over",
                addresses(&[("InternalIP", "here"), ("ExternalIP", "203.0.113.1")]),
                vec![],
                vec!["203.0.113.1"],
            ),
        ];
        for (sentence, object, told, want) in cases {
            let settings = Settings { node_ips: told.into_iter().map(ip).collect(), ..Settings::default() };
            let facts = Facts { object: Some(seen(object)), ..Facts::default() };
            assert_eq!(
                facts.node(&settings).primary,
                want.into_iter().map(ip).collect::<Vec<_>>(),
                "{sentence}"
            );
        }
    }

    #[test]
    fn pods_are_told_as_the_settings_say() {
        let object =
            seen(json!({ "spec": { "podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24", "fd00:1::/64"] } }));
        let cluster = || [range("10.0.0.0/8")].into();
        let cases = [
            ("no cluster range", DetectLocal::ClusterCidr(BTreeSet::new()), Detector::None),
            ("the cluster's", DetectLocal::ClusterCidr(cluster()), Detector::ClusterCidr(cluster())),
            (
                "the node's own",
                DetectLocal::NodeCidr,
                Detector::NodeCidr([range("10.1.0.0/24"), range("fd00:1::/64")].into()),
            ),
            ("a bridge", DetectLocal::Bridge("cni0".into()), Detector::Bridge("cni0".into())),
            (
                "a prefix",
                DetectLocal::InterfacePrefix("veth".into()),
                Detector::InterfacePrefix("veth".into()),
            ),
        ];
        for (sentence, detect_local, want) in cases {
            let settings = Settings { detect_local, ..Settings::default() };
            let facts = Facts { object: Some(object.clone()), ..Facts::default() };
            assert_eq!(facts.node(&settings).pods, want, "{sentence}");
        }
        let settings = Settings { detect_local: DetectLocal::NodeCidr, ..Settings::default() };
        assert_eq!(Facts::default().node(&settings).pods, Detector::None, "a node without ranges");
    }

    #[test]
    fn the_rest_is_taken_over() {
        let object = seen(json!({ "metadata": { "labels": { ZONE: "a" } } }));
        let cidrs: Vec<ServiceCIDR> = vec![
            serde_json::from_value(json!({ "spec": { "cidrs": ["172.30.0.0/16", "nonsense"] } })).unwrap(),
            serde_json::from_value(json!({})).unwrap(),
        ];
        let facts = Facts {
            name: "here".into(),
            object: Some(object),
            local: [ip("127.0.0.1")].into(),
            service_ranges: service_ranges(&cidrs),
        };
        let node = facts.node(&Settings::default());
        assert_eq!((node.name.as_str(), node.zone.as_deref()), ("here", Some("a")));
        assert_eq!(node.addresses, [ip("127.0.0.1")].into());
        assert_eq!(node.service_ranges, [range("172.30.0.0/16")].into());
    }
}
