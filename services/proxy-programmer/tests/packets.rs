//! Real packets through the real kernel's rules, in network namespaces of their own. Without root or nf_tables each test
//! says so on standard error and passes.
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

#[allow(dead_code, reason = "shared with the kernel's tests")]
#[path = "packets/objects.rs"]
mod objects;
#[allow(dead_code, reason = "shared with the kernel's tests")]
#[path = "packets/world.rs"]
mod world;

use objects::{Proxy, Service};
use proxy_programmer::core::node::Detector;
use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    thread,
    time::Duration,
};
use world::{CLIENT, MORE_CLIENTS, NODE, OWN_PORT, POD1, POD2, World};

/// What the tests of a family go to: cluster IPs end in these.
struct Plan {
    services: &'static str,
    client: &'static str,
    node: &'static str,
    /// The pods' addresses, and the node's on the wires to them.
    pods: [(&'static str, &'static str); 2],
}

const PLANS: [Plan; 2] = [
    Plan {
        services: "172.30.0.",
        client: "10.20.1.",
        node: "10.20.1.1",
        pods: [("10.180.1.2", "10.180.1.1"), ("10.180.2.2", "10.180.2.1")],
    },
    Plan {
        services: "fd00:172::",
        client: "fd00:20:1::",
        node: "fd00:20:1::1",
        pods: [("fd00:10:0:1::2", "fd00:10:0:1::1"), ("fd00:10:0:2::2", "fd00:10:0:2::1")],
    },
];

impl Plan {
    fn service(&self, last: u8, port: u16) -> SocketAddr {
        SocketAddr::new(format!("{}{last}", self.services).parse().unwrap(), port)
    }

    fn at_node(&self, port: u16) -> SocketAddr {
        SocketAddr::new(ip(self.node), port)
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Often enough that each of two endpoints is drawn, but for one time in 2^39.
const OFTEN: u32 = 40;

/// Everybody who answered, and as whom the asker was seen.
fn ask_often(world: &World, from: &str, to: SocketAddr) -> BTreeSet<(String, IpAddr)> {
    (0..OFTEN)
        .map(|_| world.ask(from, to).unwrap_or_else(|fault| panic!("{from} to {to}: {fault}")))
        .collect()
}

fn pods(seen: [&str; 2]) -> BTreeSet<(String, IpAddr)> {
    [(POD1.to_owned(), ip(seen[0])), (POD2.to_owned(), ip(seen[1]))].into()
}

fn refusal(world: &World, from: &str, to: SocketAddr) -> Option<ErrorKind> {
    world.ask(from, to).err().map(|fault| fault.kind())
}

#[test]
fn a_cluster_ip_leads_to_every_endpoint_and_masquerades_whom_it_should() {
    let Some(world) = World::build() else { return };
    for plan in &PLANS {
        let to = plan.service(10, 80);
        assert!(world.ask(CLIENT, to).is_err(), "{to} answers without a rule");
    }
    let mut proxy = Proxy::start(&world, &[Service::at(10).endpoints(&[1, 2])]);
    for plan in &PLANS {
        let to = plan.service(10, 80);
        let [(pod1, node1), (pod2, node2)] = plan.pods;
        assert_eq!(ask_often(&world, CLIENT, to), pods([node1, node2]), "outsiders are masqueraded");
        assert_eq!(ask_often(&world, NODE, to), pods([node1, node2]), "so is the host");
        assert_eq!(ask_often(&world, POD1, to), pods([node1, pod1]), "pods only if they reach themselves");
        assert_eq!(ask_often(&world, POD2, to), pods([pod2, node2]), "the same for the other");
    }
    proxy.change(&Service::at(10).endpoints(&[2]).slices());
    for plan in &PLANS {
        let seen = ask_often(&world, POD1, plan.service(10, 80));
        assert_eq!(
            seen,
            [(POD2.to_owned(), ip(plan.pods[0].0))].into(),
            "an endpoint that ended gets nothing"
        );
    }
}

#[test]
fn pods_are_told_by_their_interface() {
    let Some(world) = World::build() else { return };
    let detectors = [
        ("a prefix", Detector::InterfacePrefix("to-pod".into()), [true, true]),
        ("a whole name", Detector::Bridge("to-pod1".into()), [true, false]),
        ("a name that begins so", Detector::Bridge("to-pod".into()), [false, false]),
    ];
    for (sentence, detector, [is_first, is_second]) in detectors {
        let _proxy = Proxy::start_telling(&world, detector, &[Service::at(10).endpoints(&[1, 2])]);
        for plan in &PLANS {
            let to = plan.service(10, 80);
            let [(pod1, node1), (pod2, node2)] = plan.pods;
            let seen_of_first = if is_first { pod1 } else { node2 };
            let seen_of_second = if is_second { pod2 } else { node1 };
            assert_eq!(ask_often(&world, CLIENT, to), pods([node1, node2]), "{sentence}: outsiders");
            assert_eq!(
                ask_often(&world, POD1, to),
                pods([node1, seen_of_first]),
                "{sentence}: the first pod"
            );
            assert_eq!(ask_often(&world, POD2, to), pods([seen_of_second, node2]), "{sentence}: the second");
        }
    }
}

#[test]
fn a_node_port_is_answered_where_the_node_answers() {
    let Some(world) = World::build() else { return };
    let _proxy = Proxy::start(&world, &[Service::at(10).node_port(30080).endpoints(&[1, 2])]);
    for plan in &PLANS {
        let [(_, node1), (_, node2)] = plan.pods;
        let masqueraded = pods([node1, node2]);
        for from in [CLIENT, NODE, POD1] {
            assert_eq!(ask_often(&world, from, plan.at_node(30080)), masqueraded, "{from} at the node");
        }
        let elsewhere = SocketAddr::new(ip(node1), 30080);
        assert_eq!(
            refusal(&world, CLIENT, elsewhere),
            Some(ErrorKind::ConnectionRefused),
            "no primary address"
        );
        let seen = world.ask(CLIENT, plan.at_node(OWN_PORT)).unwrap();
        assert_eq!(seen.0, NODE, "what is no node port is left to the host");
    }
}

#[test]
fn policy_local_keeps_the_clients_address_and_lets_fall_what_is_for_others() {
    let Some(world) = World::build() else { return };
    let _proxy = Proxy::start(
        &world,
        &[
            Service::at(10).node_port(30080).local().endpoints(&[1]).elsewhere(&[2]),
            Service::at(11).node_port(OWN_PORT).local().elsewhere(&[2]),
        ],
    );
    for plan in &PLANS {
        let [(pod1, node1), (_, node2)] = plan.pods;
        let client = ip(&format!("{}2", plan.client));
        let seen = ask_often(&world, CLIENT, plan.at_node(30080));
        assert_eq!(
            seen,
            [(POD1.to_owned(), client)].into(),
            "an outsider is led to the local one, as itself"
        );
        let seen = ask_often(&world, NODE, plan.at_node(30080));
        assert_eq!(seen, pods([node1, node2]), "the host to all, masqueraded");
        let seen = ask_often(&world, POD1, plan.at_node(30080));
        assert_eq!(seen, pods([node1, pod1]), "a pod to all, masqueraded only to itself");
        let seen = world.ask(POD1, plan.at_node(OWN_PORT)).unwrap();
        assert_eq!(seen, (POD2.to_owned(), ip(pod1)), "a pod is led away where none is here");
        let fault = refusal(&world, CLIENT, plan.at_node(OWN_PORT));
        assert_eq!(fault, Some(ErrorKind::TimedOut), "an outsider gets no answer");
    }
}

#[test]
fn what_nobody_serves_is_refused_or_let_fall() {
    let Some(world) = World::build() else { return };
    let mut proxy =
        Proxy::start(&world, &[Service::at(10).endpoints(&[1]), Service::at(11).node_port(OWN_PORT)]);
    for plan in &PLANS {
        // (sentence, from, to, fault)
        let cases = [
            ("no endpoints, from outside", CLIENT, plan.service(11, 80), ErrorKind::ConnectionRefused),
            ("no endpoints, from a pod", POD1, plan.service(11, 80), ErrorKind::ConnectionRefused),
            ("no endpoints, from the host", NODE, plan.service(11, 80), ErrorKind::ConnectionRefused),
            ("no endpoints, at the node port", CLIENT, plan.at_node(OWN_PORT), ErrorKind::ConnectionRefused),
            ("another port of a cluster IP", POD1, plan.service(10, 81), ErrorKind::ConnectionRefused),
            ("an address of nobody", POD1, plan.service(99, 80), ErrorKind::TimedOut),
        ];
        for (sentence, from, to, fault) in cases {
            assert_eq!(refusal(&world, from, to), Some(fault), "{sentence}: {from} to {to}");
        }
    }
    proxy.change(&Service::at(11).node_port(OWN_PORT).endpoints(&[2]).slices());
    for plan in &PLANS {
        assert_eq!(
            world.ask(CLIENT, plan.service(11, 80)).unwrap().0,
            POD2,
            "once there is one, it is served"
        );
        assert_eq!(world.ask(CLIENT, plan.at_node(OWN_PORT)).unwrap().0, POD2, "at the node port too");
    }
}

/// Who answers each of many clients.
fn answerers(world: &World, plan: &Plan, to: SocketAddr) -> Vec<String> {
    let ask = |last| {
        let source = ip(&format!("{}{last}", plan.client));
        world.ask_as(CLIENT, Some(source), to).unwrap_or_else(|fault| panic!("{source} to {to}: {fault}")).0
    };
    (100..100 + MORE_CLIENTS).map(ask).collect()
}

#[test]
fn clients_are_held_to_their_endpoints() {
    let Some(world) = World::build() else { return };
    let service = Service::at(10).node_port(30080).held(600);
    let mut proxy = Proxy::start(&world, &[service.clone().endpoints(&[1, 2])]);
    for plan in &PLANS {
        let (to, at_node) = (plan.service(10, 80), plan.at_node(30080));
        let first = answerers(&world, plan, to);
        assert!(first.contains(&POD1.to_owned()) && first.contains(&POD2.to_owned()), "{first:?}");
        for _ in 0..3 {
            assert_eq!(answerers(&world, plan, to), first, "each to its own");
            assert_eq!(answerers(&world, plan, at_node), first, "by whatever address");
        }
    }
    proxy.change(&service.clone().endpoints(&[2]).slices());
    for plan in &PLANS {
        let all = answerers(&world, plan, plan.service(10, 80));
        assert!(all.iter().all(|pod| pod == POD2), "nobody to one that ended: {all:?}");
    }
    proxy.change(&service.endpoints(&[1, 2]).slices());
    for plan in &PLANS {
        let all = answerers(&world, plan, plan.service(10, 80));
        assert!(all.iter().all(|pod| pod == POD2), "held to the new one, not to the former: {all:?}");
    }
}

#[test]
fn clients_are_held_no_longer_than_they_should_be() {
    let Some(world) = World::build() else { return };
    let _proxy = Proxy::start(&world, &[Service::at(10).held(1).endpoints(&[1, 2])]);
    for plan in &PLANS {
        let first = answerers(&world, plan, plan.service(10, 80));
        thread::sleep(Duration::from_millis(1600));
        assert_ne!(
            answerers(&world, plan, plan.service(10, 80)),
            first,
            "after their time, lots are drawn anew"
        );
    }
}

#[test]
fn every_connection_renews_the_time_that_a_client_is_held() {
    let Some(world) = World::build() else { return };
    let _proxy = Proxy::start(&world, &[Service::at(10).held(2).endpoints(&[1, 2])]);
    for plan in &PLANS {
        let first = answerers(&world, plan, plan.service(10, 80));
        for _ in 0..2 {
            thread::sleep(Duration::from_millis(1300));
            assert_eq!(answerers(&world, plan, plan.service(10, 80)), first, "longer than one time");
        }
    }
}

#[test]
fn only_who_is_in_its_source_ranges_comes_to_a_balancers_address() {
    let Some(world) = World::build() else { return };
    let ranges = ["10.20.1.0/28", "10.20.1.2/32", "fd00:20:1::/124"];
    let _proxy = Proxy::start(&world, &[Service::at(10).balancer(200, &ranges).endpoints(&[1, 2])]);
    for plan in &PLANS {
        let to = plan.service(200, 80);
        assert_eq!(ask_often(&world, CLIENT, to).len(), 2, "who is in a range");
        let outside = ip(&format!("{}100", plan.client));
        let fault = world.ask_as(CLIENT, Some(outside), to).unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::TimedOut, "who is in none");
    }
}

#[test]
fn a_change_is_one_transaction_and_a_refused_one_changes_nothing() {
    let Some(world) = World::build() else { return };
    let mut proxy = Proxy::start(&world, &[Service::at(10).endpoints(&[1, 2])]);
    let before = proxy.netlink.generation().unwrap();
    let operations = proxy.change(&Service::at(10).endpoints(&[2]).slices());
    assert_eq!(
        proxy.netlink.generation().unwrap(),
        before + 1,
        "both families, chains and elements: one transaction"
    );
    let fault = proxy.netlink.commit(&operations, None).unwrap_err();
    assert!(matches!(fault, objects::Error::Refused { .. }), "{fault}");
    assert_eq!(proxy.netlink.generation().unwrap(), before + 1, "nothing was changed");
    let stale = proxy.netlink.commit(&operations, Some(before)).unwrap_err();
    assert!(matches!(stale, objects::Error::Transaction { .. }), "{stale}");
    for plan in &PLANS {
        assert_eq!(world.ask(CLIENT, plan.service(10, 80)).unwrap().0, POD2, "still served");
    }
}

#[test]
fn the_element_at_fault_is_named() {
    let Some(world) = World::build() else { return };
    let mut proxy = Proxy::start(&world, &[Service::at(10).endpoints(&[1, 2])]);
    let [operation] = objects::add_cluster_ips(&["172.30.9.1", "172.30.9.2", "172.30.0.10", "172.30.9.3"]);
    let fault = proxy.netlink.commit(&[operation], None).unwrap_err();
    let objects::Error::Refused { operation, place, element, source, .. } = &fault else { panic!("{fault}") };
    assert_eq!(operation, "add 4 elements to cluster-ips (IPv4)");
    assert_eq!((*place, *element), (0, Some(2)), "the third of the first is there already");
    assert_eq!(source.kind(), ErrorKind::AlreadyExists);
}
