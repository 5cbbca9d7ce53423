//! Objects for tests, and one address plan for all of them, kube-proxy's: pods 10.180.0.0/16 (this node's 10.180.0.0/24),
//! services 172.30.0.0/16, nodes 192.168.0.0/24 (this one .2), outside 203.0.113.0/24; in IPv6 fd00:10::/64 (this
//! node's fd00:10::/96), fd00:172::/112, fd00:192::/64 and 2001:db8::/64.

use super::{
    address::{self, Cidr, Family, Protocol},
    endpoints::Target,
    fault::{Kind, Object},
    model::Change,
    name::{PortId, ServiceName},
    node::{Detector, Node},
};
use k8s_openapi::{
    api::{
        core::v1::{self as api, LoadBalancerIngress, LoadBalancerStatus, ServiceSpec},
        discovery::v1::{self as discovery, EndpointSlice},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
    jiff::Timestamp,
};
use std::{net::IpAddr, sync::Arc};

pub(crate) const HERE: &str = "here";

pub(crate) fn ip(text: &str) -> IpAddr {
    address::read(text).unwrap_or_else(|| panic!("{text} is no address"))
}

pub(crate) fn range(text: &str) -> Cidr {
    Cidr::read(text).unwrap_or_else(|| panic!("{text} is no range"))
}

pub(crate) fn target(text: &str) -> Target {
    let at: std::net::SocketAddr = text.parse().unwrap();
    Target { ip: at.ip(), port: at.port() }
}

/// The IPv4 TCP port without a name of `namespace/name`.
pub(crate) fn port_id(service: &str) -> Arc<PortId> {
    let (namespace, name) = service.split_once('/').unwrap();
    let service = ServiceName::new(Some(namespace), Some(name)).unwrap();
    Arc::new(PortId { service, name: "".into(), protocol: Protocol::Tcp, family: Family::V4 })
}

/// The node of the plan: zone `a`, pods told by the cluster's range.
pub(crate) fn node() -> Node {
    Node {
        name: HERE.into(),
        zone: Some("a".into()),
        addresses: ["127.0.0.1", "192.168.0.2", "192.168.7.2", "10.180.0.1", "::1", "fd00:192::2"]
            .map(ip)
            .into(),
        primary: ["192.168.0.2", "fd00:192::2"].map(ip).into(),
        pods: Detector::ClusterCidr(["10.180.0.0/16", "fd00:10::/64"].map(range).into()),
        service_ranges: ["172.30.0.0/16", "fd00:172::/112"].map(range).into(),
        ..Node::default()
    }
}

fn metadata(name: &str) -> ObjectMeta {
    let created = Some(Time(Timestamp::from_second(1_000_000).unwrap()));
    ObjectMeta {
        namespace: Some("default".into()),
        name: Some(name.into()),
        creation_timestamp: created,
        ..ObjectMeta::default()
    }
}

/// A service of type ClusterIP in `default`.
#[derive(Clone)]
pub(crate) struct Svc(pub(crate) api::Service);

pub(crate) fn svc(name: &str, cluster_ip: &str) -> Svc {
    let spec = ServiceSpec {
        cluster_ip: Some(cluster_ip.into()),
        cluster_ips: Some(vec![cluster_ip.into()]),
        type_: Some("ClusterIP".into()),
        ..ServiceSpec::default()
    };
    Svc(api::Service { metadata: metadata(name), spec: Some(spec), status: None })
}

impl Svc {
    pub(crate) fn spec(mut self, change: impl FnOnce(&mut ServiceSpec)) -> Self {
        change(self.0.spec.get_or_insert_default());
        self
    }

    pub(crate) fn also(self, cluster_ip: &str) -> Self {
        self.spec(|spec| spec.cluster_ips.get_or_insert_default().push(cluster_ip.into()))
    }

    pub(crate) fn port(self, name: &str, port: i32) -> Self {
        self.port_of("TCP", name, port, 0)
    }

    pub(crate) fn port_of(self, protocol: &str, name: &str, port: i32, node_port: i32) -> Self {
        let port = api::ServicePort {
            name: Some(name.into()),
            port,
            node_port: Some(node_port),
            protocol: Some(protocol.into()),
            ..api::ServicePort::default()
        };
        self.spec(|spec| spec.ports.get_or_insert_default().push(port))
    }

    pub(crate) fn type_(self, type_: &str) -> Self {
        self.spec(|spec| spec.type_ = Some(type_.into()))
    }

    pub(crate) fn internal_local(self) -> Self {
        self.spec(|spec| spec.internal_traffic_policy = Some("Local".into()))
    }

    pub(crate) fn external_local(self) -> Self {
        self.spec(|spec| spec.external_traffic_policy = Some("Local".into()))
    }

    pub(crate) fn external_ip(self, ip: &str) -> Self {
        self.spec(|spec| spec.external_ips.get_or_insert_default().push(ip.into()))
    }

    pub(crate) fn ranges(self, ranges: &[&str]) -> Self {
        let ranges = ranges.iter().map(|range| (*range).to_owned()).collect();
        self.spec(|spec| spec.load_balancer_source_ranges = Some(ranges))
    }

    pub(crate) fn affinity(self, seconds: Option<i32>) -> Self {
        self.spec(|spec| {
            spec.session_affinity = Some("ClientIP".into());
            let client_ip = Some(api::ClientIPConfig { timeout_seconds: seconds });
            spec.session_affinity_config = Some(api::SessionAffinityConfig { client_ip });
        })
    }

    pub(crate) fn ingress(mut self, ip: &str, mode: Option<&str>) -> Self {
        let status = self.0.status.get_or_insert_default();
        let balancer: &mut LoadBalancerStatus = status.load_balancer.get_or_insert_default();
        let ingress = LoadBalancerIngress {
            ip: Some(ip.into()),
            ip_mode: mode.map(str::to_owned),
            ..LoadBalancerIngress::default()
        };
        balancer.ingress.get_or_insert_default().push(ingress);
        self
    }

    pub(crate) fn label(mut self, key: &str) -> Self {
        self.0.metadata.labels.get_or_insert_default().insert(key.into(), "x".into());
        self
    }

    pub(crate) fn created(mut self, second: Option<i64>) -> Self {
        self.0.metadata.creation_timestamp = second.map(|it| Time(Timestamp::from_second(it).unwrap()));
        self
    }

    pub(crate) fn change(&self) -> Change {
        Change::Service(Box::new(self.0.clone()))
    }
}

/// A slice of a service in `default`, one port without a name until another is set.
#[derive(Clone)]
pub(crate) struct Eps(pub(crate) EndpointSlice);

pub(crate) fn eps(service: &str, name: &str) -> Eps {
    let mut metadata = metadata(name);
    metadata.labels = Some([(super::slice::SERVICE_NAME.to_owned(), service.to_owned())].into());
    Eps(EndpointSlice { metadata, address_type: "IPv4".into(), endpoints: None, ports: None })
}

impl Eps {
    pub(crate) fn v6(mut self) -> Self {
        self.0.address_type = "IPv6".into();
        self
    }

    pub(crate) fn port(self, name: &str, port: i32) -> Self {
        self.port_of("TCP", name, port)
    }

    pub(crate) fn port_of(mut self, protocol: &str, name: &str, port: i32) -> Self {
        let port = discovery::EndpointPort {
            name: Some(name.into()),
            port: Some(port),
            protocol: Some(protocol.into()),
            app_protocol: None,
        };
        self.0.ports.get_or_insert_default().push(port);
        self
    }

    /// An endpoint that is ready.
    pub(crate) fn on(self, node: &str, ip: &str) -> Self {
        self.with(node, ip, |_| ())
    }

    pub(crate) fn with(
        mut self,
        node: &str,
        ip: &str,
        change: impl FnOnce(&mut discovery::Endpoint),
    ) -> Self {
        let mut endpoint = discovery::Endpoint {
            addresses: vec![ip.into()],
            node_name: Some(node.into()),
            ..discovery::Endpoint::default()
        };
        change(&mut endpoint);
        self.0.endpoints.get_or_insert_default().push(endpoint);
        self
    }

    pub(crate) fn change(&self) -> Change {
        Change::Slice(Box::new(self.0.clone()))
    }
}

/// Sets an endpoint's conditions; `None` is one that is not told.
pub(crate) fn conditions(
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
) -> impl FnOnce(&mut discovery::Endpoint) {
    move |endpoint| {
        endpoint.conditions = Some(discovery::EndpointConditions { ready, serving, terminating });
    }
}

/// About to end, and still answering or not.
pub(crate) fn ending(serving: bool) -> impl FnOnce(&mut discovery::Endpoint) {
    conditions(Some(false), Some(serving), Some(true))
}

/// Ready, and meant for these nodes and zones.
pub(crate) fn hinted(nodes: &[&str], zones: &[&str]) -> impl FnOnce(&mut discovery::Endpoint) {
    let nodes = nodes.iter().map(|name| discovery::ForNode { name: (*name).into() }).collect::<Vec<_>>();
    let zones = zones.iter().map(|name| discovery::ForZone { name: (*name).into() }).collect::<Vec<_>>();
    move |endpoint| {
        endpoint.hints = Some(discovery::EndpointHints { for_nodes: Some(nodes), for_zones: Some(zones) });
    }
}

pub(crate) fn gone(kind: Kind, name: &str) -> Box<Object> {
    Box::new(Object::new(kind, Some("default"), Some(name)))
}
