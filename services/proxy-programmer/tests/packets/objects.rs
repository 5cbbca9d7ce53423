//! Services and slices, and a proxy that programs them: the core's model and programme, committed by netlink.

use crate::world::{NODE, World};
pub(crate) use proxy_programmer::adapters::netlink::Error;
use proxy_programmer::{
    adapters::netlink::Netlink,
    core::{
        address::{self, Cidr, Family},
        difference::Element,
        model::{Change, Model},
        nft::{
            elements,
            inventory::Inventory,
            operation::{Kind, Operation},
            programme::Programme,
        },
        node::{Detector, Node, NodePortAddresses, NodePorts},
    },
};
use serde_json::{Value, json};
use std::time::Instant;

/// A service of both families, cluster IPs 172.30.0.`n` and fd00:172::`n`, port 80 to 8080.
#[derive(Clone)]
pub(crate) struct Service {
    ips: [String; 2],
    number: Option<u32>,
    node_port: Option<u16>,
    is_local: bool,
    held: Option<u32>,
    balancer: Option<(u8, Vec<String>)>,
    endpoints: Vec<(u8, &'static str)>,
}

const HERE: &str = "here";

impl Service {
    pub(crate) fn at(last: u8) -> Self {
        Self::of([format!("172.30.0.{last}"), format!("fd00:172::{last}")], None)
    }

    /// One of many, with endpoints that no other has and nobody serves.
    pub(crate) fn numbered(number: u32) -> Self {
        let ips = [format!("172.30.{}.{}", number >> 8, number & 255), format!("fd00:172::{number:x}")];
        Self::of(ips, Some(number))
    }

    fn of(ips: [String; 2], number: Option<u32>) -> Self {
        let endpoints = Vec::new();
        Self { ips, number, node_port: None, is_local: false, held: None, balancer: None, endpoints }
    }

    pub(crate) fn node_port(self, port: u16) -> Self {
        Self { node_port: Some(port), ..self }
    }

    /// External policy Local.
    pub(crate) fn local(self) -> Self {
        Self { is_local: true, ..self }
    }

    pub(crate) fn held(self, seconds: u32) -> Self {
        Self { held: Some(seconds), ..self }
    }

    pub(crate) fn balancer(self, last: u8, ranges: &[&str]) -> Self {
        Self { balancer: Some((last, ranges.iter().map(|it| (*it).to_owned()).collect())), ..self }
    }

    /// Pods of these numbers.
    pub(crate) fn endpoints(mut self, pods: &[u8]) -> Self {
        self.endpoints.extend(pods.iter().map(|pod| (*pod, HERE)));
        self
    }

    /// The same, said to be on another node.
    pub(crate) fn elsewhere(mut self, pods: &[u8]) -> Self {
        self.endpoints.extend(pods.iter().map(|pod| (*pod, "elsewhere")));
        self
    }

    fn name(&self) -> String {
        format!("service-{}", self.ips[0])
    }

    fn service(&self) -> Change {
        let ips = &self.ips;
        let mut spec = json!({
            "type": "ClusterIP", "clusterIP": ips[0], "clusterIPs": ips, "ipFamilies": ["IPv4", "IPv6"],
            "ports": [{ "port": 80, "targetPort": 8080, "protocol": "TCP" }],
        });
        let mut status = json!({});
        if let Some(port) = self.node_port {
            spec["type"] = "NodePort".into();
            spec["ports"][0]["nodePort"] = port.into();
        }
        if self.is_local {
            spec["externalTrafficPolicy"] = "Local".into();
        }
        if let Some(seconds) = self.held {
            spec["sessionAffinity"] = "ClientIP".into();
            spec["sessionAffinityConfig"] = json!({ "clientIP": { "timeoutSeconds": seconds } });
        }
        if let Some((last, ranges)) = &self.balancer {
            spec["type"] = "LoadBalancer".into();
            spec["loadBalancerSourceRanges"] = ranges.clone().into();
            let ingress =
                [format!("172.30.0.{last}"), format!("fd00:172::{last}")].map(|ip| json!({ "ip": ip }));
            status = json!({ "loadBalancer": { "ingress": ingress } });
        }
        let metadata = json!({ "namespace": "default", "name": self.name() });
        let service = json!({ "metadata": metadata, "spec": spec, "status": status });
        Change::Service(Box::new(serde_json::from_value(service).unwrap()))
    }

    /// Its slices, one for each family.
    pub(crate) fn slices(&self) -> Vec<Change> {
        let slice = |family: &str, ip: &dyn Fn(u8) -> String| {
            let endpoint = |(pod, node): &(u8, &str)| -> Value {
                json!({ "addresses": [ip(*pod)], "nodeName": node, "conditions": { "ready": true } })
            };
            let labels = json!({ "kubernetes.io/service-name": self.name() });
            let name = format!("{}-{family}", self.name());
            let slice = json!({
                "metadata": { "namespace": "default", "name": name, "labels": labels },
                "addressType": family,
                "endpoints": self.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
                "ports": [{ "port": 8080, "protocol": "TCP" }],
            });
            Change::Slice(Box::new(serde_json::from_value(slice).unwrap()))
        };
        let v4 = |pod| match self.number {
            None => format!("10.180.{pod}.2"),
            Some(number) => format!("10.{}.{}.{pod}", 32 + (number >> 8), number & 255),
        };
        let v6 = |pod| format!("fd00:10:{:x}:{pod}::2", self.number.map_or(0, |number| number + 1));
        vec![slice("IPv4", &v4), slice("IPv6", &v6)]
    }
}

/// The node of the world: pods are told by the cluster's ranges, node ports are answered at the address towards the client.
fn node() -> Node {
    let ips = |texts: &[&str]| texts.iter().map(|text| address::read(text).unwrap()).collect::<Vec<_>>();
    let own = ["127.0.0.1", "::1", "10.180.1.1", "10.180.2.1", "fd00:10:0:1::1", "fd00:10:0:2::1"];
    let primary = ips(&["10.20.1.1", "fd00:20:1::1"]);
    let ranges = |texts: [&str; 2]| texts.map(|text| Cidr::read(text).unwrap()).into();
    // the node's own ends of the wires are in no range of pods; some ranges touch
    let pods =
        ["10.180.1.2/32", "10.180.2.2/32", "10.180.2.3/32", "fd00:10:0:1::2/128", "fd00:10:0:2::2/127"];
    Node {
        name: HERE.into(),
        addresses: ips(&own).into_iter().chain(primary.clone()).collect(),
        primary,
        node_ports: NodePorts { at: NodePortAddresses::Primary, localhost: false },
        pods: Detector::ClusterCidr(pods.iter().map(|text| Cidr::read(text).unwrap()).collect()),
        service_ranges: ranges(["172.30.0.0/16", "fd00:172::/112"]),
        ..Node::default()
    }
}

/// A proxy.
pub(crate) struct Proxy {
    model: Model,
    programme: Programme,
    pub(crate) netlink: Netlink,
}

impl Proxy {
    /// Programs services from nothing.
    pub(crate) fn start(world: &World, services: &[Service]) -> Self {
        let mut proxy = Self::prepare(world, services);
        proxy.commit_all();
        proxy
    }

    /// The same, with pods told in another way.
    pub(crate) fn start_telling(world: &World, pods: Detector, services: &[Service]) -> Self {
        let mut proxy = Self::prepare_at(world, Node { pods, ..node() }, services);
        proxy.commit_all();
        proxy
    }

    /// Knows services, and has programmed nothing.
    pub(crate) fn prepare(world: &World, services: &[Service]) -> Self {
        Self::prepare_at(world, node(), services)
    }

    fn prepare_at(world: &World, node: Node, services: &[Service]) -> Self {
        let mut model = Model::of(node);
        let changes =
            services.iter().flat_map(|service| [vec![service.service()], service.slices()].concat());
        let outcome = model.apply(changes);
        assert!(outcome.faults.is_empty(), "{:?}", outcome.faults);
        let netlink = world.within(NODE, || Netlink::open().unwrap());
        let (programme, _) = Programme::whole(model.table());
        Self { model, programme, netlink }
    }

    /// Programs all that it knows.
    pub(crate) fn commit_all(&mut self) {
        let (programme, operations) = Programme::whole(self.model.table());
        self.netlink.commit(&operations, None).unwrap_or_else(|fault| panic!("{fault:?}"));
        self.programme = programme;
    }

    /// What the kernel holds if it holds all that is known.
    pub(crate) fn inventory(&self) -> Inventory {
        let mut inventory = Inventory::default();
        inventory.follow(&Programme::whole(self.model.table()).1);
        inventory
    }

    /// Programs a change as one transaction, and tells what it was.
    pub(crate) fn change(&mut self, changes: &[Change]) -> Vec<Operation> {
        let begun = Instant::now();
        let outcome = self.model.apply(changes.iter().cloned());
        assert!(outcome.faults.is_empty(), "{:?}", outcome.faults);
        let modelled = begun.elapsed();
        let operations = self.programme.change(&outcome.difference, self.model.table());
        assert!(!operations.is_empty());
        let planned = begun.elapsed() - modelled;
        let begun = Instant::now();
        self.netlink.commit(&operations, None).unwrap_or_else(|fault| panic!("{fault:?}"));
        println!("model {modelled:?}, operations {planned:?}, kernel {:?}", begun.elapsed());
        operations
    }
}

/// An operation that nothing asked for.
pub(crate) fn add_cluster_ips(ips: &[&str]) -> [Operation; 1] {
    let ips = ips.iter().map(|text| Element::ClusterIp(address::read(text).unwrap()));
    let elements = ips.filter_map(|ip| elements::of(&ip)).map(|row| row.element).collect();
    [Operation { family: Family::V4, kind: Kind::AddElements { set: "cluster-ips", elements } }]
}
