//! A table's elements as elements of sets and maps.

use super::{
    name,
    operation::{Reach, SetElement, Value},
    shape::Shape,
};
use crate::core::{
    address::{Cidr, Family, Protocol},
    difference::Element,
    endpoints::Target,
    table::{Address, Entry, NodePort, Rules, Scope, SetId},
};
use std::{collections::BTreeSet, net::IpAddr};

/// A place in a family's set or map, and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The family.
    pub family: Family,
    /// The set or map.
    pub set: &'static str,
    /// The element.
    pub element: SetElement,
}

/// The row of an element that is a row by itself; none for what is told by [`of_rules`] and [`of_ranges`], or
/// is no matter of packets.
pub fn of(element: &Element) -> Option<Row> {
    match element {
        Element::Address(address, entry) => {
            Some(row(Family::of(address.ip), "services", to(address), Some(entry_value(entry))))
        }
        Element::NodePort(NodePort { family, protocol, port }, entry) => {
            let key = [word_of_protocol(*protocol), word_of_port(*port)].concat();
            Some(row(*family, "node-ports", key, Some(entry_value(entry))))
        }
        Element::Slot(set, number, target) => Some(slot(set, *number, target)),
        Element::Member(set, target) => {
            let sets = match set.scope {
                Scope::Cluster => "members",
                Scope::Local => "local-members",
            };
            let key = [name::of_port(&set.port).to_vec(), endpoint(target)].concat();
            Some(row(set.port.family, sets, key, None))
        }
        Element::Hairpin(hairpin) => {
            let Target { ip, port } = hairpin.target;
            let key = [octets(ip), octets(ip), word_of_protocol(hairpin.protocol).into()].concat();
            Some(row(Family::of(ip), "hairpins", [key, word_of_port(port).into()].concat(), None))
        }
        Element::ClusterIp(ip) => Some(row(Family::of(*ip), "cluster-ips", octets(*ip), None)),
        Element::NodePortAddress(ip) => Some(row(Family::of(*ip), "node-addresses", octets(*ip), None)),
        Element::Rules(_) | Element::ServiceRange(_) | Element::Source(..) | Element::Health(..) => None,
    }
}

/// The rows of the node's own addresses.
pub fn of_rules(rules: &Rules) -> Vec<Row> {
    let own = rules.addresses.iter().copied();
    let host = own.clone().map(|ip| row(Family::of(ip), "host-addresses", octets(ip), None));
    let answers = own.filter(|ip| !ip.is_loopback() && rules.node_ports.at.are_all(Family::of(*ip)));
    let node = answers.map(|ip| row(Family::of(ip), "node-addresses", octets(ip), None));
    host.chain(node).collect()
}

/// Which set ranges are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ranges {
    /// Those of pods.
    Pods,
    /// Those that cluster IPs are given from.
    Services,
    /// Those that may come to an address.
    Sources(Address),
}

/// The rows of ranges. The kernel refuses intervals that overlap, so those within others are left out.
pub fn of_ranges(of: Ranges, ranges: &BTreeSet<Cidr>) -> Vec<Row> {
    cover(ranges).into_iter().flat_map(|range| of_range(of, range)).collect()
}

fn of_range(of: Ranges, range: Cidr) -> Vec<Row> {
    let family = range.family();
    let (first, last) = bounds(range);
    let set = match of {
        Ranges::Pods => "pods",
        Ranges::Services => "service-ranges",
        Ranges::Sources(address) if Family::of(address.ip) != family => return Vec::new(),
        Ranges::Sources(address) => {
            let key = |bound| [to(&address), bound].concat();
            let element = SetElement { key: key(first), reach: Reach::To(key(last)), value: None };
            return vec![Row { family, set: "sources", element }];
        }
    };
    let behind = successor(&last).map(|key| SetElement { key, reach: Reach::End, value: None });
    let elements = [SetElement { key: first, reach: Reach::Key, value: None }].into_iter().chain(behind);
    elements.map(|element| Row { family, set, element }).collect()
}

/// Ranges that are in no other.
fn cover(ranges: &BTreeSet<Cidr>) -> Vec<Cidr> {
    let mut kept: Vec<Cidr> = Vec::new();
    for range in ranges {
        // they come in order, each before those within it
        if !kept.last().is_some_and(|last| last.contains(range.parts().0)) {
            kept.push(*range);
        }
    }
    kept
}

fn bounds(range: Cidr) -> (Vec<u8>, Vec<u8>) {
    let (base, length) = range.parts();
    let first = octets(base);
    let mut last = first.clone();
    for (at, octet) in last.iter_mut().enumerate() {
        let fixed = usize::from(length).saturating_sub(8 * at).min(8);
        *octet |= 0xff_u8.checked_shr(u32::try_from(fixed).unwrap_or(8)).unwrap_or(0);
    }
    (first, last)
}

/// The key behind this one; the last has none.
fn successor(key: &[u8]) -> Option<Vec<u8>> {
    let mut next = key.to_vec();
    for octet in next.iter_mut().rev() {
        *octet = octet.wrapping_add(1);
        if *octet != 0 {
            return Some(next);
        }
    }
    None
}

fn row(family: Family, set: &'static str, key: Vec<u8>, value: Option<Vec<u8>>) -> Row {
    Row { family, set, element: SetElement { key, reach: Reach::Key, value: value.map(Value::Data) } }
}

fn slot(set: &SetId, number: u32, target: &Target) -> Row {
    let sets = match set.scope {
        Scope::Cluster => "cluster",
        Scope::Local => "local",
    };
    // lots are drawn in the machine's own order of bytes
    let key = [&name::of_port(&set.port)[..], &number.to_ne_bytes()].concat();
    row(set.port.family, sets, key, Some(endpoint(target)))
}

fn entry_value(entry: &Entry) -> Vec<u8> {
    [&[0; 4], &Shape::of(entry).code()[..], &name::of_port(&entry.port)].concat()
}

fn to(address: &Address) -> Vec<u8> {
    let Address { ip, protocol, port } = *address;
    [octets(ip), word_of_protocol(protocol).into(), word_of_port(port).into()].concat()
}

fn endpoint(target: &Target) -> Vec<u8> {
    [octets(target.ip), word_of_port(target.port).into()].concat()
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().into(),
        IpAddr::V6(ip) => ip.octets().into(),
    }
}

fn word_of_protocol(protocol: Protocol) -> [u8; 4] {
    let number = match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    };
    [number, 0, 0, 0]
}

fn word_of_port(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

#[cfg(test)]
mod tests;
