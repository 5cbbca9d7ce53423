//! Traffic to what can be reached from outside: node ports, external and balancers' addresses.

use super::*;
use crate::core::node::{NodePortAddresses, NodePorts};

#[test]
fn a_service_has_no_part_in_a_family_without_a_cluster_ip() {
    let table = table(node(), &[balanced()], &[slice()]);
    check(
        &table,
        &[
            ("no node port", OUTSIDER6, "[fd00:192::2]:30080/TCP", "untouched"),
            ("an unused address of the range", HOST6, "[fd00:172::41]:80/TCP", "drop"),
        ],
    );
}

#[test]
fn traffic_from_outside_by_policy_cluster_is_masqueraded_whoever_sends_it() {
    let table = table(node(), &[balanced()], &[slice()]);
    for at in ["192.168.0.2:30080", "192.168.7.2:30080", "203.0.113.80:80", "203.0.113.90:80"] {
        for from in [POD, HOST, OUTSIDER] {
            let walk = walked(&table, from, &format!("{at}/TCP"), None);
            assert_eq!(short(&walk.verdict), BOTH_MASKED, "{from:?} to {at}: {:#?}", walk.reasons);
        }
    }
    check(
        &table,
        &[
            ("the node port is the node's, not the balancer's", POD, "203.0.113.90:30080/TCP", "untouched"),
            ("the port is the balancer's, not the node's", POD, "192.168.0.2:80/TCP", "untouched"),
            ("another port of an external IP is not ours", POD, "203.0.113.80:81/TCP", "untouched"),
            ("another node's node port is not ours", POD, "192.168.0.3:30080/TCP", "untouched"),
        ],
    );
}

#[test]
fn external_policy_local_keeps_outsiders_addresses_and_pods_and_host_use_the_whole_cluster() {
    let near = table(node(), &[balanced().external_local()], &[slice()]);
    let none_here = table(node(), &[balanced().external_local()], &[far()]);
    let nobody = table(node(), &[balanced().external_local()], &[]);
    for at in ["192.168.0.2:30080/TCP", "203.0.113.80:80/TCP", "203.0.113.90:80/TCP"] {
        let rows = [
            ("an outsider gets what is here", &near, OUTSIDER, "10.180.0.1:8080"),
            ("a pod goes out and comes in again, so to speak", &near, POD, BOTH),
            ("so does the host, masqueraded", &near, HOST, BOTH_MASKED),
            ("none here: the outsider is to go elsewhere", &none_here, OUTSIDER, "drop"),
            ("the pod reaches the one there", &none_here, POD, "10.180.1.1:8080"),
            ("and the host", &none_here, HOST, "10.180.1.1:8080*"),
            ("nobody anywhere: the outsider is told", &nobody, OUTSIDER, "reject"),
            ("and the pod", &nobody, POD, "reject"),
            ("and the host", &nobody, HOST, "reject"),
        ];
        for (sentence, table, from, want) in rows {
            let walk = walked(table, from, at, None);
            assert_eq!(short(&walk.verdict), want, "{at}, {sentence}: {:#?}", walk.reasons);
        }
    }
    check(
        &none_here,
        &[
            ("the cluster IP is of another policy", OUTSIDER, "172.30.0.41:80/TCP", "10.180.1.1:8080*"),
            (
                "who comes with an address of the host's is the host",
                ("192.168.7.2", By("eth0")),
                "203.0.113.90:80/TCP",
                "10.180.1.1:8080*",
            ),
        ],
    );
}

#[test]
fn where_pods_cannot_be_told_they_are_outsiders() {
    let blind = Node { pods: Detector::None, ..node() };
    check(
        &table(blind.clone(), &[balanced().external_local()], &[slice()]),
        &[
            ("by policy Local", POD, "203.0.113.90:80/TCP", "10.180.0.1:8080"),
            ("the host is still known", HOST, "203.0.113.90:80/TCP", BOTH_MASKED),
            ("to a cluster IP nobody is masqueraded", OUTSIDER, "172.30.0.41:80/TCP", BOTH),
            ("nor the host", HOST, "172.30.0.41:80/TCP", BOTH),
        ],
    );
    let other_family = Node { pods: Detector::ClusterCidr([range("fd00:10::/64")].into()), ..node() };
    check(
        &table(other_family, &[web()], &[slice()]),
        &[("a range of the other family tells nothing", OUTSIDER, "172.30.0.41:80/TCP", BOTH)],
    );
}

#[test]
fn source_ranges_are_of_balancers_alone() {
    let ranged = |ranges: &[&str]| table(node(), &[balanced().ranges(ranges)], &[slice()]);
    let some = ranged(&["203.0.113.0/30", "203.0.113.5/32"]);
    check(
        &some,
        &[
            ("who is in one may come", OUTSIDER, "203.0.113.90:80/TCP", BOTH_MASKED),
            ("who is in none may not", ("203.0.113.6", By("eth0")), "203.0.113.90:80/TCP", "drop"),
            ("nor a pod", POD, "203.0.113.90:80/TCP", "drop"),
            ("nor the host", HOST, "203.0.113.90:80/TCP", "drop"),
            ("node ports are open", POD, "192.168.0.2:30080/TCP", BOTH_MASKED),
            ("external IPs too", POD, "203.0.113.80:80/TCP", BOTH_MASKED),
            ("and cluster IPs", POD, "172.30.0.41:80/TCP", BOTH),
        ],
    );
    check(
        &ranged(&["192.168.0.0/24"]),
        &[
            ("the host may come", HOST, "203.0.113.90:80/TCP", BOTH_MASKED),
            (
                "also by the balancer's address",
                ("203.0.113.90", FromHost),
                "203.0.113.90:80/TCP",
                BOTH_MASKED,
            ),
            ("an outsider may not", OUTSIDER, "203.0.113.90:80/TCP", "drop"),
        ],
    );
    check(
        &ranged(&["2001:db8::/64"]),
        &[("ranges of the other family do not close", OUTSIDER, "203.0.113.90:80/TCP", BOTH_MASKED)],
    );
    check(
        &table(node(), &[balanced().ranges(&["192.168.0.0/24"])], &[]),
        &[("who may not come is not told that nobody is there", OUTSIDER, "203.0.113.90:80/TCP", "drop")],
    );
}

#[test]
fn node_ports_are_answered_where_the_setting_says() {
    let at = |at, localhost| {
        let node = Node { node_ports: NodePorts { at, localhost }, ..node() };
        table(node, &[balanced()], &[slice()])
    };
    let within = NodePortAddresses::Within([range("192.168.7.0/24")].into());
    let cases = [
        ("all: the primary address", NodePortAddresses::All, false, "192.168.0.2", BOTH_MASKED),
        ("all: another", NodePortAddresses::All, false, "192.168.7.2", BOTH_MASKED),
        ("all: not localhost", NodePortAddresses::All, false, "127.0.0.1", "untouched"),
        ("all: localhost where it can be", NodePortAddresses::All, true, "127.0.0.1", BOTH_MASKED),
        ("primary: that", NodePortAddresses::Primary, false, "192.168.0.2", BOTH_MASKED),
        ("primary: not another", NodePortAddresses::Primary, false, "192.168.7.2", "untouched"),
        ("a range: within", within.clone(), false, "192.168.7.2", BOTH_MASKED),
        ("a range: without", within, false, "192.168.0.2", "untouched"),
    ];
    for (sentence, setting, localhost, address, want) in cases {
        let walk = walked(&at(setting, localhost), HOST, &format!("{address}:30080/TCP"), None);
        assert_eq!(short(&walk.verdict), want, "{sentence}: {:#?}", walk.reasons);
    }
}

#[test]
fn health_check_ports_are_the_proxys_own() {
    let asked = || balanced().external_local().spec(|spec| spec.health_check_node_port = Some(30100));
    let port = HealthPort { family: Family::V4, port: 30100 };
    let count = |table: &Table| table.health.get(&port).map(|health| health.local_ready);
    let near = table(node(), &[asked()], &[slice()]);
    assert_eq!(count(&near), Some(1), "one is ready here");
    assert_eq!(count(&table(node(), &[asked()], &[far()])), Some(0), "none is");
    let ending = eps("web", "web-1").port("", 8080).with("here", "10.180.0.1", ending(true));
    assert_eq!(count(&table(node(), &[asked()], &[ending])), Some(0), "one that ends is not ready");
    check(&near, &[("it is left to the host", OUTSIDER, "192.168.0.2:30100/TCP", "untouched")]);
    let walk = walked(&near, OUTSIDER, "192.168.0.2:30100/TCP", None);
    assert!(walk.reasons.iter().any(|it| it.contains("health check port of default/web")), "{walk:#?}");
}
