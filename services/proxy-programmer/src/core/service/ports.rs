//! A service's ports.

use crate::core::{address::Protocol, fault::Faults};
use k8s_openapi::api::core::v1::{ServicePort, ServiceSpec};
use std::{collections::BTreeSet, sync::Arc};

/// One port, whatever the family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name, empty if it has none; slices name theirs alike.
    pub name: Arc<str>,
    /// Its protocol.
    pub protocol: Protocol,
    /// The port at the service's addresses.
    pub port: u16,
    /// The port at the node's addresses, if any.
    pub node_port: Option<u16>,
}

/// The ports that can be used; of two that share name and protocol, or number and protocol, the first.
pub(super) fn read(spec: &ServiceSpec, faults: &mut Faults) -> Vec<Port> {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    let mut ports = Vec::new();
    for (index, object) in spec.ports.iter().flatten().enumerate() {
        let Some(port) = read_one(index, object, faults) else { continue };
        if !names.insert((port.name.clone(), port.protocol)) {
            let what = format!("a second {} port of this name", port.protocol);
            faults.tell(format!("spec.ports[{index}].name"), what, "give each port a name of its own");
        } else if !numbers.insert((port.port, port.protocol)) {
            let what = format!("a second {} port {}", port.protocol, port.port);
            faults.tell(format!("spec.ports[{index}].port"), what, "give each port a number of its own");
        } else {
            ports.push(port);
        }
    }
    ports
}

fn read_one(index: usize, object: &ServicePort, faults: &mut Faults) -> Option<Port> {
    let mut check = |field: &str, told: i32| {
        let port = number(told);
        if port.is_none() {
            let what = format!("{told} is no port");
            faults.tell(format!("spec.ports[{index}].{field}"), what, "set a port between 1 and 65535");
        }
        port
    };
    let port = check("port", object.port);
    let node_port =
        object.node_port.filter(|port| *port != 0).and_then(|node_port| check("nodePort", node_port));
    let protocol = Protocol::read(object.protocol.as_deref());
    if protocol.is_none() {
        let what = format!("{:?} is no protocol", object.protocol.as_deref().unwrap_or_default());
        faults.tell(format!("spec.ports[{index}].protocol"), what, "set TCP, UDP or SCTP");
    }
    let name = object.name.as_deref().unwrap_or_default().into();
    Some(Port { name, protocol: protocol?, port: port?, node_port })
}

/// A port's number, if it is one.
pub(super) fn number(told: i32) -> Option<u16> {
    u16::try_from(told).ok().filter(|port| *port != 0)
}
