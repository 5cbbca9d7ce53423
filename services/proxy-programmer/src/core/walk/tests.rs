use super::*;
use crate::core::{
    model::{Change, Model},
    node::{Detector, Node},
    testing::{Eps, Svc, conditions, ending, eps, hinted, ip, node, range, svc, target},
};
use Entered::{By, FromHost};

mod outside;

type Source = (&'static str, Entered<'static>);

const POD: Source = ("10.180.0.9", By("veth9"));
const FAR_POD: Source = ("10.180.1.9", By("eth0"));
const HOST: Source = ("192.168.0.2", FromHost);
const OUTSIDER: Source = ("203.0.113.5", By("eth0"));
const POD6: Source = ("fd00:10::9", By("veth9"));
const HOST6: Source = ("fd00:192::2", FromHost);
const OUTSIDER6: Source = ("2001:db8::5", By("eth0"));

/// `address:port/protocol`.
fn to(text: &str) -> Address {
    let (at, protocol) = text.split_once('/').unwrap();
    let Target { ip, port } = target(at);
    Address { ip, protocol: Protocol::read(Some(protocol)).unwrap(), port }
}

fn table(node: Node, services: &[Svc], slices: &[Eps]) -> Table {
    let mut model = Model::of(node);
    let outcome = model.apply(services.iter().map(Svc::change).chain(slices.iter().map(Eps::change)));
    assert_eq!(outcome.faults, [], "the objects are well-formed");
    model.table().clone()
}

fn walked(table: &Table, from: Source, destination: &str, remembered: Option<&str>) -> Walk {
    let packet = Packet { source: ip(from.0), entered: from.1, to: to(destination) };
    walk(table, &packet, remembered.map(target))
}

/// The verdict in short: endpoints, each with a star if masqueraded.
fn short(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Dnat { to, .. } => {
            let one = |it: &Onward| format!("{}{}", it.target, if it.masquerade { "*" } else { "" });
            to.iter().map(one).collect::<Vec<_>>().join(" ")
        }
        Verdict::Reject => "reject".into(),
        Verdict::Drop => "drop".into(),
        Verdict::Untouched => "untouched".into(),
    }
}

type Row = (&'static str, Source, &'static str, &'static str);

fn check(table: &Table, rows: &[Row]) {
    for (sentence, from, destination, want) in rows {
        let walk = walked(table, *from, destination, None);
        assert_eq!(short(&walk.verdict), *want, "{sentence}: {:#?}", walk.reasons);
        assert!(!walk.reasons.is_empty(), "{sentence}: nothing is said");
    }
}

/// One endpoint here, one on another node.
fn slice() -> Eps {
    eps("web", "web-1").port("", 8080).on("here", "10.180.0.1").on("there", "10.180.1.1")
}

/// The same without the one here.
fn far() -> Eps {
    eps("web", "web-1").port("", 8080).on("there", "10.180.1.1")
}

fn web() -> Svc {
    svc("web", "172.30.0.41").port("", 80)
}

/// Reached in every way; a policy is yet to be set.
fn balanced() -> Svc {
    let web = svc("web", "172.30.0.41").port_of("TCP", "", 80, 30080).type_("LoadBalancer");
    web.external_ip("203.0.113.80").ingress("203.0.113.90", None)
}

const BOTH: &str = "10.180.0.1:8080 10.180.1.1:8080";
const BOTH_MASKED: &str = "10.180.0.1:8080* 10.180.1.1:8080*";

#[test]
fn cluster_ips() {
    check(
        &table(node(), &[web()], &[slice()]),
        &[
            ("a pod keeps its address", POD, "172.30.0.41:80/TCP", BOTH),
            ("so does another node's, which the cluster's range tells", FAR_POD, "172.30.0.41:80/TCP", BOTH),
            ("the host is masqueraded", HOST, "172.30.0.41:80/TCP", BOTH_MASKED),
            ("and an outsider who has a route", OUTSIDER, "172.30.0.41:80/TCP", BOTH_MASKED),
            ("a port that it does not have is rejected", POD, "172.30.0.41:81/TCP", "reject"),
            ("another protocol is another port", POD, "172.30.0.41:80/UDP", "reject"),
            ("an address given to nobody is dropped", POD, "172.30.0.99:80/TCP", "drop"),
            ("whoever it comes from", HOST, "172.30.0.99:80/TCP", "drop"),
            ("other addresses are nothing of ours", POD, "203.0.113.7:80/TCP", "untouched"),
            ("nor are pods' own", POD, "10.180.1.1:8080/TCP", "untouched"),
            ("nor is a port of the host's", OUTSIDER, "192.168.0.2:22/TCP", "untouched"),
            ("a packet of two families is none", POD6, "172.30.0.41:80/TCP", "untouched"),
        ],
    );
}

#[test]
fn every_protocol_in_both_families() {
    for (protocol, other) in [("TCP", "UDP"), ("UDP", "SCTP"), ("SCTP", "TCP")] {
        let dual = svc("web", "172.30.0.41").also("fd00:172::41").port_of(protocol, "p", 80, 30080);
        let four = eps("web", "v4").port_of(protocol, "p", 8080).on("here", "10.180.0.1");
        let six = eps("web", "v6").v6().port_of(protocol, "p", 8080).on("there", "fd00:10::1:1");
        let table = table(node(), &[dual.type_("NodePort")], &[four, six]);
        let cases = [
            ("IPv4", POD, "172.30.0.41:80", "10.180.0.1:8080"),
            ("IPv6", POD6, "[fd00:172::41]:80", "[fd00:10::1:1]:8080"),
            ("IPv4, node port", OUTSIDER, "192.168.0.2:30080", "10.180.0.1:8080*"),
            ("IPv6, node port", OUTSIDER6, "[fd00:192::2]:30080", "[fd00:10::1:1]:8080*"),
        ];
        for (sentence, from, at, want) in cases {
            let walk = walked(&table, from, &format!("{at}/{protocol}"), None);
            assert_eq!(short(&walk.verdict), want, "{sentence}, {protocol}: {:#?}", walk.reasons);
        }
        for (from, at) in [(POD, "172.30.0.41:80"), (POD6, "[fd00:172::41]:80")] {
            let walk = walked(&table, from, &format!("{at}/{other}"), None);
            assert_eq!(walk.verdict, Verdict::Reject, "{other} to a {protocol} port");
        }
        let walk = walked(&table, OUTSIDER, &format!("192.168.0.2:30080/{other}"), None);
        assert_eq!(walk.verdict, Verdict::Untouched, "{other} to a {protocol} node port");
    }
}

#[test]
fn each_detector_masquerades_whom_it_does_not_know() {
    let cases: Vec<(&str, Detector, Source, bool)> = vec![
        ("cluster range: a pod here", node().pods, POD, false),
        ("cluster range: a pod there", node().pods, FAR_POD, false),
        ("cluster range: an outsider", node().pods, OUTSIDER, true),
        ("node range: a pod here", Detector::NodeCidr([range("10.180.0.0/24")].into()), POD, false),
        ("node range: a pod there", Detector::NodeCidr([range("10.180.0.0/24")].into()), FAR_POD, true),
        ("bridge: through it", Detector::Bridge("veth9".into()), POD, false),
        ("bridge: through another", Detector::Bridge("cni0".into()), POD, true),
        ("bridge: the host", Detector::Bridge("cni0".into()), HOST, true),
        ("prefix: through one of them", Detector::InterfacePrefix("veth".into()), POD, false),
        ("prefix: through another", Detector::InterfacePrefix("veth".into()), OUTSIDER, true),
        ("prefix: the host", Detector::InterfacePrefix("veth".into()), HOST, true),
    ];
    for (sentence, pods, from, masquerade) in cases {
        let table = table(Node { pods, ..node() }, &[web()], &[slice()]);
        let walk = walked(&table, from, "172.30.0.41:80/TCP", None);
        let want = if masquerade { BOTH_MASKED } else { BOTH };
        assert_eq!(short(&walk.verdict), want, "{sentence}: {:#?}", walk.reasons);
    }
}

#[test]
fn masquerade_all_is_of_cluster_ips() {
    let all = Node { masquerade_all: true, ..node() };
    check(
        &table(all, &[balanced().external_local()], &[slice()]),
        &[
            ("a pod to a cluster IP", POD, "172.30.0.41:80/TCP", BOTH_MASKED),
            (
                "an outsider by policy Local keeps its address",
                OUTSIDER,
                "203.0.113.90:80/TCP",
                "10.180.0.1:8080",
            ),
            ("so does a pod", POD, "203.0.113.90:80/TCP", BOTH),
        ],
    );
}

#[test]
fn internal_policy_local_is_for_everybody() {
    let here = table(node(), &[balanced().internal_local()], &[slice()]);
    check(
        &here,
        &[
            ("a pod", POD, "172.30.0.41:80/TCP", "10.180.0.1:8080"),
            ("the host", HOST, "172.30.0.41:80/TCP", "10.180.0.1:8080*"),
            ("the external policy is another", OUTSIDER, "203.0.113.90:80/TCP", BOTH_MASKED),
        ],
    );
    let there = table(node(), &[balanced().internal_local()], &[far()]);
    check(
        &there,
        &[
            ("none here: dropped", POD, "172.30.0.41:80/TCP", "drop"),
            ("for the host too", HOST, "172.30.0.41:80/TCP", "drop"),
            ("not from outside", OUTSIDER, "203.0.113.90:80/TCP", "10.180.1.1:8080*"),
        ],
    );
    check(
        &table(node(), &[web().internal_local()], &[]),
        &[("nobody anywhere: told", POD, "172.30.0.41:80/TCP", "reject")],
    );
}

#[test]
fn nobody_anywhere_is_told() {
    let unready = conditions(Some(false), None, None);
    let unready = eps("web", "web-1").port("", 8080).with("here", "10.180.0.1", unready);
    for slices in [vec![], vec![unready]] {
        let table = table(node(), &[balanced()], &slices);
        check(
            &table,
            &[
                ("at the cluster IP", POD, "172.30.0.41:80/TCP", "reject"),
                ("at the node port", OUTSIDER, "192.168.0.2:30080/TCP", "reject"),
                ("at the external IP", OUTSIDER, "203.0.113.80:80/TCP", "reject"),
                ("at the balancer's", HOST, "203.0.113.90:80/TCP", "reject"),
            ],
        );
    }
}

#[test]
fn a_pod_that_reaches_itself_is_masqueraded() {
    let table = table(node(), &[balanced().external_local()], &[slice()]);
    let itself = ("10.180.0.1", By("veth1"));
    check(
        &table,
        &[
            ("by the cluster IP", itself, "172.30.0.41:80/TCP", "10.180.0.1:8080* 10.180.1.1:8080"),
            ("by a balancer", itself, "203.0.113.90:80/TCP", "10.180.0.1:8080* 10.180.1.1:8080"),
            ("another pod is not", POD, "172.30.0.41:80/TCP", BOTH),
        ],
    );
}

#[test]
fn a_client_is_held_to_an_endpoint_while_it_is_of_the_set() {
    let held = table(node(), &[balanced().affinity(Some(60)).external_local()], &[slice()]);
    let free = table(node(), &[web()], &[slice()]);
    let cases = [
        ("it is", &held, POD, "172.30.0.41:80/TCP", Some("10.180.1.1:8080"), "10.180.1.1:8080"),
        ("nothing is remembered", &held, POD, "172.30.0.41:80/TCP", None, BOTH),
        ("an endpoint that is gone", &held, POD, "172.30.0.41:80/TCP", Some("10.180.7.7:8080"), BOTH),
        ("another port of one", &held, POD, "172.30.0.41:80/TCP", Some("10.180.1.1:8081"), BOTH),
        (
            "by every address alike",
            &held,
            POD,
            "203.0.113.90:80/TCP",
            Some("10.180.1.1:8080"),
            "10.180.1.1:8080",
        ),
        (
            "not out of the local set",
            &held,
            OUTSIDER,
            "203.0.113.90:80/TCP",
            Some("10.180.1.1:8080"),
            "10.180.0.1:8080",
        ),
        ("a service that holds nobody", &free, POD, "172.30.0.41:80/TCP", Some("10.180.1.1:8080"), BOTH),
    ];
    for (sentence, table, from, at, remembered, want) in cases {
        let walk = walked(table, from, at, remembered);
        assert_eq!(short(&walk.verdict), want, "{sentence}: {:#?}", walk.reasons);
    }
}

#[test]
fn endpoints_that_end_serve_where_no_other_does() {
    let ending_here = || eps("web", "web-1").port("", 8080).with("here", "10.180.0.1", ending(true));
    check(
        &table(node(), &[balanced().external_local()], &[ending_here().on("there", "10.180.1.1")]),
        &[
            ("an outsider still gets the one here", OUTSIDER, "203.0.113.90:80/TCP", "10.180.0.1:8080"),
            ("a pod gets the ready one", POD, "172.30.0.41:80/TCP", "10.180.1.1:8080"),
        ],
    );
    check(
        &table(node(), &[web()], &[ending_here()]),
        &[("the last one serves to its end", POD, "172.30.0.41:80/TCP", "10.180.0.1:8080")],
    );
}

#[test]
fn hints_keep_traffic_near_but_not_by_policy_local() {
    let hinted = eps("web", "web-1").port("", 8080).with("here", "10.180.0.1", hinted(&[], &["b"])).with(
        "there",
        "10.180.1.1",
        hinted(&[], &["a"]),
    );
    check(
        &table(node(), &[balanced().external_local()], &[hinted]),
        &[
            ("in the zone", POD, "172.30.0.41:80/TCP", "10.180.1.1:8080"),
            ("on the node, whatever its zone", OUTSIDER, "203.0.113.90:80/TCP", "10.180.0.1:8080"),
        ],
    );
}

#[test]
fn the_reasons_tell_the_whole_way() {
    let table = table(node(), &[balanced().ranges(&["203.0.113.0/24"])], &[slice()]);
    let walk = walked(&table, OUTSIDER, "203.0.113.90:80/TCP", None);
    let want = [
        "203.0.113.90:80/TCP is a balancer's address of default/web:/TCP (IPv4)",
        "203.0.113.5 is in its source range 203.0.113.0/24",
        "203.0.113.5 is neither a pod, as far as can be told, nor the host",
        "it goes to the cluster endpoints of default/web:/TCP (IPv4), 2 of them",
        "it is masqueraded",
    ];
    assert_eq!(walk.reasons, want);
}

#[test]
fn changes_of_nothing_make_no_difference() {
    let mut model = Model::of(node());
    let changes: Vec<Change> = vec![web().change(), slice().change()];
    assert!(!model.apply(changes.clone()).difference.is_empty());
    assert!(model.apply(changes).difference.is_empty());
}
