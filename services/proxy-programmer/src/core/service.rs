//! What a Service says to a proxy: its ports, the addresses of each family, and its policies.
//!
//! Which services are a proxy's at all, and how each field is read, follows `pkg/proxy/serviceport.go` and
//! `pkg/proxy/util/utils.go` upstream. A faulty field is left out and told; the rest of the service counts.
//! `spec.publishNotReadyAddresses` and `spec.trafficDistribution` do not appear: whoever writes the slices has already
//! turned them into conditions and hints. Nor does `targetPort`, which slices carry as a number.

mod ports;
mod side;

pub use ports::Port;
pub use side::Side;

use super::{
    address::Family,
    fault::{Fault, Faults, Kind, Object},
    name::ServiceName,
};
use k8s_openapi::api::core::v1::{self as api, ServiceSpec};

/// Services with this label, whatever its value, belong to another proxy (KEP-2447 names it).
pub const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";

/// How long a client is held to its endpoint if the service does not say, in seconds.
const AFFINITY_SECONDS: u32 = 10_800;

/// The longest that Kubernetes allows, a day.
const AFFINITY_LIMIT: u32 = 86_400;

/// Which endpoints a kind of traffic may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// All in the cluster.
    Cluster,
    /// Those on this node alone.
    Local,
}

/// When a service was made, to tell who was first. Who does not say comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Created {
    /// In seconds of Unix time.
    At(i64),
    /// Not told.
    Unknown,
}

/// A service, as far as a proxy is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// When it was made.
    pub created: Created,
    /// Where traffic to cluster IPs may go (KEP-2086).
    pub internal: Policy,
    /// Where traffic to node ports, external and balancer IPs may go.
    pub external: Policy,
    /// How long a client is held to its endpoint after its last connection, in seconds, if at all.
    pub affinity: Option<u32>,
    /// The port at which a balancer asks whether this node has endpoints.
    pub health_port: Option<u16>,
    /// Its addresses, by family; a family without a cluster IP has none.
    pub sides: Vec<Side>,
    /// Its ports.
    pub ports: Vec<Port>,
}

/// What reading an object gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The service, if it is this proxy's to serve.
    pub service: Option<Service>,
    /// What was left out.
    pub faults: Vec<Fault>,
}

/// Reads a Service.
pub fn read(object: &api::Service) -> Reading {
    let metadata = &object.metadata;
    let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref());
    let mut faults = Faults::of(Object::new(Kind::Service, namespace, name));
    let service = object.spec.as_ref().filter(|spec| is_ours(object, spec)).and_then(|spec| {
        let Some(name) = ServiceName::new(namespace, name) else {
            faults.tell("metadata", "namespace or name is empty", "name the service");
            return None;
        };
        Some(assemble(name, object, spec, &mut faults))
    });
    Reading { service, faults: faults.into_vec() }
}

/// Not headless, not an external name (though a cluster IP be left over), not another proxy's.
fn is_ours(object: &api::Service, spec: &ServiceSpec) -> bool {
    let is_foreign = object.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(PROXY_NAME));
    let is_external_name = spec.type_.as_deref() == Some("ExternalName");
    let has_address = !matches!(spec.cluster_ip.as_deref(), None | Some("" | "None"));
    !is_foreign && !is_external_name && has_address
}

fn assemble(name: ServiceName, object: &api::Service, spec: &ServiceSpec, faults: &mut Faults) -> Service {
    let sides = side::read(spec, object.status.as_ref(), faults);
    let created = object.metadata.creation_timestamp.as_ref();
    let external = external_policy(spec);
    Service {
        name,
        created: created.map_or(Created::Unknown, |time| Created::At(time.0.as_second())),
        internal: policy(spec.internal_traffic_policy.as_deref()),
        external,
        affinity: affinity(spec, faults),
        health_port: health_port(spec, external, faults),
        ports: ports::read(spec, faults),
        sides,
    }
}

fn policy(text: Option<&str>) -> Policy {
    if text == Some("Local") { Policy::Local } else { Policy::Cluster }
}

/// The external policy counts for services that can be reached from outside.
fn external_policy(spec: &ServiceSpec) -> Policy {
    let has_external_ips = spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty());
    let is_external = matches!(spec.type_.as_deref(), Some("NodePort" | "LoadBalancer")) || has_external_ips;
    if is_external { policy(spec.external_traffic_policy.as_deref()) } else { Policy::Cluster }
}

fn affinity(spec: &ServiceSpec, faults: &mut Faults) -> Option<u32> {
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return None;
    }
    let client_ip = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    let Some(told) = client_ip.and_then(|client_ip| client_ip.timeout_seconds) else {
        return Some(AFFINITY_SECONDS);
    };
    let seconds = u32::try_from(told).ok().filter(|seconds| (1..=AFFINITY_LIMIT).contains(seconds));
    if seconds.is_none() {
        let field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
        faults.tell(field, format!("{told} s, 10800 is used"), "set it between 1 and 86400");
    }
    seconds.or(Some(AFFINITY_SECONDS))
}

/// Only balancers that keep to nodes with endpoints ask; 0 is a port that is yet to be given.
fn health_port(spec: &ServiceSpec, external: Policy, faults: &mut Faults) -> Option<u16> {
    if spec.type_.as_deref() != Some("LoadBalancer") || external != Policy::Local {
        return None;
    }
    let told = spec.health_check_node_port.filter(|port| *port != 0)?;
    let port = ports::number(told);
    if port.is_none() {
        let what = format!("{told} is no port");
        faults.tell("spec.healthCheckNodePort", what, "set a port between 1 and 65535");
    }
    port
}

impl Service {
    /// Its addresses in one family.
    pub fn side(&self, family: Family) -> Option<&Side> {
        self.sides.iter().find(|side| side.family == family)
    }
}

#[cfg(test)]
mod tests;
