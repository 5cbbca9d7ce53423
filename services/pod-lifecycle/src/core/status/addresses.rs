//! A pod's addresses: of each family one, the node's primary family first.

use crate::core::{situation::Situation, spec, stage::Stage};
use std::net::IpAddr;

/// The pod's addresses, primary first.
pub fn pod_ips(situation: &Situation<'_>) -> Vec<String> {
    let node = &situation.world.node.host_ips;
    let last = situation.memory.status.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect::<Vec<_>>();
    let newest = situation.runtime().active_sandbox();
    if spec::is_host_network(situation.spec) {
        return host_network(last, node);
    }
    match newest {
        Some(sandbox) => ordered(&sandbox.ips, node),
        // A pod that is ending keeps its addresses to the end: the last status still tells them.
        None if situation.memory.stage != Stage::Running => last,
        None => Vec::new(),
    }
}

/// Addresses on the node's network stay once set; a second family may come later.
fn host_network(mut last: Vec<String>, node: &[String]) -> Vec<String> {
    if last.is_empty() {
        last.extend(node.first().cloned());
    }
    let second = node.get(1).filter(|second| last.len() == 1 && is_v6(second) != is_v6(&last[0]));
    last.extend(second.cloned());
    last
}

/// One address of each family, the node's primary family first.
fn ordered(ips: &[String], node: &[String]) -> Vec<String> {
    let v6_first = node.first().map_or_else(|| ips.first().is_some_and(|ip| is_v6(ip)), |ip| is_v6(ip));
    let of = |v6: bool| ips.iter().find(move |ip| is_v6(ip) == v6).cloned();
    [of(v6_first), of(!v6_first)].into_iter().flatten().collect()
}

fn is_v6(ip: &str) -> bool {
    ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sentence, the pod's addresses, the node's, and what is told.
    type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);

    fn texts(ips: &[&str]) -> Vec<String> {
        ips.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_nodes_family_comes_first_and_each_stands_once() {
        let cases: &[Row<'_>] = &[
            ("one address", &["10.0.0.1"], &["192.168.0.1"], &["10.0.0.1"]),
            ("two of a family", &["10.0.0.1", "10.0.0.2"], &["192.168.0.1"], &["10.0.0.1"]),
            ("the other family first", &["fd00::1", "10.0.0.1"], &["192.168.0.1"], &["10.0.0.1", "fd00::1"]),
            ("a node of IPv6", &["10.0.0.1", "fd00::1"], &["fd01::1"], &["fd00::1", "10.0.0.1"]),
            ("only the other family", &["fd00::1"], &["192.168.0.1"], &["fd00::1"]),
            ("the node is not known", &["fd00::1", "10.0.0.1"], &[], &["fd00::1", "10.0.0.1"]),
        ];
        for (sentence, ips, node, want) in cases {
            assert_eq!(ordered(&texts(ips), &texts(node)), texts(want), "{sentence}");
        }
    }

    #[test]
    fn on_the_nodes_network_addresses_stay_and_may_gain_a_family() {
        let cases: &[Row<'_>] = &[
            ("first told", &[], &["192.168.0.1"], &["192.168.0.1"]),
            ("the node's has changed", &["192.168.0.1"], &["192.168.0.9"], &["192.168.0.1"]),
            (
                "the node has two families now",
                &["192.168.0.1"],
                &["192.168.0.1", "fd01::1"],
                &["192.168.0.1", "fd01::1"],
            ),
            ("the node is not known", &[], &[], &[]),
        ];
        for (sentence, last, node, want) in cases {
            assert_eq!(host_network(texts(last), &texts(node)), texts(want), "{sentence}");
        }
    }
}
