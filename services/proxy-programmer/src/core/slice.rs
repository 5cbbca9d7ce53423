//! What an EndpointSlice says to a proxy: candidates for the ports of one service, in one family.
//!
//! Conditions and skipped slices follow `pkg/proxy/endpointslicecache.go` upstream and KEP-1672: a condition that is not
//! told is read kindly.

use super::{
    address::{self, Family, Protocol},
    fault::{Fault, Faults, Kind, Object},
    name::ServiceName,
};
use k8s_openapi::api::discovery::v1::{self as api, EndpointSlice};
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

/// Names the service that a slice belongs to.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Slices of headless services bear this label, whatever its value; no proxy serves them.
pub const HEADLESS: &str = "service.kubernetes.io/headless";

/// A slice, as far as a proxy is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// Whose endpoints.
    pub service: ServiceName,
    /// The slice's own name.
    pub name: Arc<str>,
    /// The family of its addresses.
    pub family: Family,
    /// Its ports; each endpoint has all of them.
    pub ports: Vec<SlicePort>,
    /// Its endpoints.
    pub candidates: Vec<Candidate>,
}

/// A port of all endpoints of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlicePort {
    /// The name of the service's port.
    pub name: Arc<str>,
    /// Its protocol.
    pub protocol: Protocol,
    /// The number at the endpoint.
    pub port: u16,
}

/// An endpoint, whatever the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is reached: the first of its addresses, as upstream.
    pub ip: IpAddr,
    /// May take connections. Pods of services that publish addresses before readiness are told as ready.
    pub ready: bool,
    /// Answers, though it may be about to end.
    pub serving: bool,
    /// Is about to end.
    pub terminating: bool,
    /// Its node.
    pub node: Option<Box<str>>,
    /// Nodes that should use it (KEP-3015).
    pub for_nodes: Box<[Box<str>]>,
    /// Zones that should use it (KEP-2433, KEP-4444).
    pub for_zones: Box<[Box<str>]>,
}

/// What reading an object gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The slice, if it is of use to a proxy.
    pub slice: Option<Slice>,
    /// What was left out.
    pub faults: Vec<Fault>,
}

/// Reads an EndpointSlice.
pub fn read(object: &EndpointSlice) -> Reading {
    let metadata = &object.metadata;
    let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref());
    let mut faults = Faults::of(Object::new(Kind::EndpointSlice, namespace, name));
    let slice = name.zip(owner(object)).zip(family(object, &mut faults)).map(|((name, service), family)| {
        let ports = ports(object, &mut faults);
        let candidates = candidates(object, family, &mut faults);
        Slice { service, name: name.into(), family, ports, candidates }
    });
    Reading { slice, faults: faults.into_vec() }
}

/// Slices that name no service are somebody else's.
fn owner(object: &EndpointSlice) -> Option<ServiceName> {
    let no_labels = BTreeMap::new();
    let labels = object.metadata.labels.as_ref().unwrap_or(&no_labels);
    let service = labels.get(SERVICE_NAME).filter(|_| !labels.contains_key(HEADLESS));
    ServiceName::new(object.metadata.namespace.as_deref(), service.map(String::as_str))
}

/// Slices of domain names are for nobody here.
fn family(object: &EndpointSlice, faults: &mut Faults) -> Option<Family> {
    match object.address_type.as_str() {
        "IPv4" => Some(Family::V4),
        "IPv6" => Some(Family::V6),
        "FQDN" => None,
        other => {
            faults.tell("addressType", format!("{other:?} is no address type"), "set IPv4 or IPv6");
            None
        }
    }
}

fn ports(object: &EndpointSlice, faults: &mut Faults) -> Vec<SlicePort> {
    let mut ports = Vec::new();
    for (index, port) in object.ports.iter().flatten().enumerate() {
        let number = u16::try_from(port.port.unwrap_or_default()).ok().filter(|port| *port != 0);
        if number.is_none() {
            let what = port.port.map_or("all ports at once".to_owned(), |told| format!("{told} is no port"));
            faults.tell(format!("ports[{index}].port"), what, "set a port between 1 and 65535");
        }
        let protocol = Protocol::read(port.protocol.as_deref());
        if protocol.is_none() {
            let what = format!("{:?} is no protocol", port.protocol.as_deref().unwrap_or_default());
            faults.tell(format!("ports[{index}].protocol"), what, "set TCP, UDP or SCTP");
        }
        let name = port.name.as_deref().unwrap_or_default().into();
        ports.extend(number.zip(protocol).map(|(port, protocol)| SlicePort { name, protocol, port }));
    }
    ports
}

fn candidates(object: &EndpointSlice, family: Family, faults: &mut Faults) -> Vec<Candidate> {
    let endpoints = object.endpoints.iter().flatten().enumerate();
    let candidates = endpoints.filter_map(|(index, endpoint)| candidate(index, endpoint, family, faults));
    candidates.collect()
}

fn candidate(index: usize, object: &api::Endpoint, family: Family, faults: &mut Faults) -> Option<Candidate> {
    let mut refuse = |what: String, remedy| {
        faults.tell(format!("endpoints[{index}].addresses"), what, remedy);
        None
    };
    let Some(text) = object.addresses.first() else {
        return refuse("no address".into(), "give the endpoint an address or remove it");
    };
    let ip = match address::read(text) {
        Some(ip) if ip.is_unspecified() || ip.is_multicast() => {
            return refuse(format!("{ip} is nobody's address"), "correct or remove it");
        }
        Some(ip) if Family::of(ip) != family => {
            return refuse(format!("{ip} is not {family}"), "keep a slice for each family");
        }
        Some(ip) => ip,
        None => return refuse(format!("{text:?} is no address"), "correct or remove it"),
    };
    let conditions = object.conditions.as_ref();
    let ready = conditions.and_then(|it| it.ready).unwrap_or(true);
    let hints = object.hints.as_ref();
    Some(Candidate {
        ip,
        ready,
        serving: conditions.and_then(|it| it.serving).unwrap_or(ready),
        terminating: conditions.and_then(|it| it.terminating).unwrap_or(false),
        node: object.node_name.as_deref().map(Box::from),
        for_nodes: names(hints.and_then(|it| it.for_nodes.as_deref()), |node| &node.name),
        for_zones: names(hints.and_then(|it| it.for_zones.as_deref()), |zone| &zone.name),
    })
}

fn names<T>(hints: Option<&[T]>, name: impl Fn(&T) -> &String) -> Box<[Box<str>]> {
    hints.unwrap_or_default().iter().map(|hint| Box::from(name(hint).as_str())).collect()
}

#[cfg(test)]
mod tests;
