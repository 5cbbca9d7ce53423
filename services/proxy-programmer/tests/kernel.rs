//! What the kernel accepts and what it refuses, where the layout depends on it; and how long large tables take it. In a network
//! namespace; without root or nf_tables each test says so on standard error and passes.
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]
#![allow(dead_code, reason = "shared with the tests of packets")]

#[path = "packets/objects.rs"]
mod objects;
#[path = "packets/world.rs"]
mod world;

use objects::{Error, Proxy, Service};
use proxy_programmer::core::{
    address::Family,
    nft::{
        expression::{Expression, Found, Register, Verdict},
        inventory::Inventory,
        operation::{Chain, Kind, Operation, Reach, SetElement, Value},
    },
};
use std::{net::Ipv4Addr, time::Instant};
use world::World;

fn operation(kind: Kind) -> Operation {
    Operation { family: Family::V4, kind }
}

fn octets(ip: &str) -> Vec<u8> {
    ip.parse::<Ipv4Addr>().unwrap().octets().into()
}

/// Intervals of one field, each from an address to the one behind its last.
fn intervals(bounds: &[(&str, &str)]) -> Operation {
    let element = |ip: &str, reach| SetElement { key: octets(ip), reach, value: None };
    let both = |(first, end): &(&str, &str)| [element(first, Reach::Key), element(end, Reach::End)];
    operation(Kind::AddElements { set: "service-ranges", elements: bounds.iter().flat_map(both).collect() })
}

/// Intervals of several fields, each from an address to its last.
fn sources(bounds: &[(&str, &str)]) -> Operation {
    let key = |ip: &str| [octets("172.30.0.10"), vec![6, 0, 0, 0, 0, 80, 0, 0], octets(ip)].concat();
    let element = |(first, last): &(&str, &str)| SetElement {
        key: key(first),
        reach: Reach::To(key(last)),
        value: None,
    };
    operation(Kind::AddElements { set: "sources", elements: bounds.iter().map(element).collect() })
}

fn chain(name: &str) -> Operation {
    operation(Kind::AddChain(Chain { name: name.into(), base: None }))
}

fn leads_to(chain: &str) -> Vec<SetElement> {
    let value = Some(Value::Verdict(Verdict::Goto(chain.into())));
    vec![SetElement { key: vec![7; 8], reach: Reach::Key, value }]
}

const NOT_FOUND: i32 = 2;
const EXISTS: i32 = 17;
const BUSY: i32 = 16;
const NAME_TOO_LONG: i32 = 34;
const NO_DATA: i32 = 61;
const TOO_MANY_LINKS: i32 = 31;

#[test]
fn the_kernel_refuses_what_the_layout_avoids() {
    let Some(world) = World::build() else { return };
    let mut proxy = Proxy::start(&world, &[Service::at(10).endpoints(&[1, 2])]);
    let rule = |chain: &str, rule| operation(Kind::AddRule { chain: chain.into(), rule });
    let look_up = Expression::Lookup { set: "cluster-ips", key: Register(0), found: Found::Member };
    let gone = SetElement { key: octets("172.30.0.77"), reach: Reach::Key, value: None };
    let add = |elements| operation(Kind::AddElements { set: "guards", elements });
    let delete = |elements| operation(Kind::DeleteElements { set: "guards", elements });
    let to_new = || leads_to("new");
    let back = Expression::Verdict(Verdict::Jump("dispatch".into()));
    // (sentence, operations, error)
    let cases: Vec<(&str, Vec<Operation>, Option<i32>)> = vec![
        ("a register that the rule has not loaded", vec![rule("guard", vec![look_up])], Some(NO_DATA)),
        (
            "intervals side by side",
            vec![intervals(&[("10.0.0.0", "10.1.0.0"), ("10.1.0.0", "10.2.0.0")])],
            None,
        ),
        (
            "an interval within another",
            vec![intervals(&[("11.0.0.0", "12.0.0.0"), ("11.1.0.0", "11.2.0.0")])],
            Some(EXISTS),
        ),
        (
            "several fields, side by side",
            vec![sources(&[("10.0.0.0", "10.0.0.9"), ("10.0.0.10", "10.0.0.20")])],
            None,
        ),
        (
            "several fields, one within another",
            vec![sources(&[("11.0.0.0", "11.0.0.9"), ("11.0.0.3", "11.0.0.4")])],
            Some(EXISTS),
        ),
        ("an element that is there", objects::add_cluster_ips(&["172.30.0.10"]).into(), Some(EXISTS)),
        (
            "the end of an element that is not",
            vec![operation(Kind::DeleteElements { set: "cluster-ips", elements: vec![gone] })],
            Some(NOT_FOUND),
        ),
        ("a chain that is not there", vec![add(leads_to("nowhere"))], Some(NOT_FOUND)),
        (
            "a chain's end while something leads there",
            vec![operation(Kind::DeleteChain("dispatch".into()))],
            Some(BUSY),
        ),
        ("a name of 255 bytes", vec![chain(&"n".repeat(255))], None),
        ("a name of 256", vec![chain(&"n".repeat(256))], Some(NAME_TOO_LONG)),
        ("a chain and what leads there", vec![chain("new"), add(to_new())], None),
        ("the end of both at once", vec![delete(to_new()), operation(Kind::DeleteChain("new".into()))], None),
        ("a circle", vec![rule("dispatch", vec![back])], Some(TOO_MANY_LINKS)),
    ];
    let mut wrong = Vec::new();
    for (sentence, operations, want) in cases {
        let got = proxy.netlink.commit(&operations, None);
        let errno = got.as_ref().err().and_then(|fault| match fault {
            Error::Refused { source, .. } | Error::Transaction { source, .. } => source.raw_os_error(),
            Error::Socket { .. } | Error::Unanswered => panic!("{sentence}: {fault}"),
        });
        if errno != want {
            wrong.push(format!("{sentence}: {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_question_changes_nothing_and_is_answered_as_the_deed_would_be() {
    let Some(world) = World::build() else { return };
    let mut proxy = Proxy::start(&world, &[Service::at(10).endpoints(&[1, 2])]);
    let before = (proxy.netlink.generation().unwrap(), proxy.netlink.look().unwrap());
    let fine = [chain("new")];
    proxy.netlink.check(&fine).unwrap();
    proxy.netlink.check(&fine).unwrap_or_else(|fault| panic!("the first question made it: {fault}"));
    let refused = proxy.netlink.check(&objects::add_cluster_ips(&["172.30.0.10"])).unwrap_err();
    assert!(
        matches!(&refused, Error::Refused { source, .. } if source.raw_os_error() == Some(EXISTS)),
        "{refused}"
    );
    assert_eq!((proxy.netlink.generation().unwrap(), proxy.netlink.look().unwrap()), before);
}

#[test]
fn a_look_finds_what_was_written_and_what_others_did_to_it() {
    let Some(world) = World::build() else { return };
    let services = [Service::at(10).node_port(30080).held(9).endpoints(&[1, 2]), Service::at(11)];
    let mut proxy = Proxy::start(&world, &services);
    let mut inventory = proxy.inventory();
    let looks = |proxy: &mut Proxy, inventory: &Inventory| {
        let found = proxy.netlink.look().unwrap().unwrap();
        assert!(inventory.is(&found), "{inventory:#?}\n{found:#?}");
    };
    looks(&mut proxy, &inventory);
    for pods in [&[1_u8, 2, 3][..], &[2], &[]] {
        inventory.follow(&proxy.change(&Service::at(10).node_port(30080).held(9).endpoints(pods).slices()));
        looks(&mut proxy, &inventory);
    }
    let [cluster_ip] = objects::add_cluster_ips(&["172.30.0.10"]);
    let Kind::AddElements { set, elements } = cluster_ip.kind else { panic!() };
    let is_counted = proxy.netlink.look().unwrap().unwrap().0[&Family::V4].sets[set].is_some();
    let foreign = [
        is_counted.then_some(Kind::DeleteElements { set, elements }),
        Some(Kind::AddRule { chain: "dispatch".into(), rule: vec![Expression::Verdict(Verdict::Return)] }),
        Some(Kind::DeleteTable),
    ];
    for operation in foreign.into_iter().flatten().map(operation) {
        proxy.netlink.commit(std::slice::from_ref(&operation), None).unwrap();
        let found = proxy.netlink.look().unwrap().unwrap();
        assert!(!inventory.is(&found), "{operation} was not noticed");
        proxy.commit_all();
        inventory = proxy.inventory();
        looks(&mut proxy, &inventory);
    }
}

/// Rules of ours that go on with what a look-up found have no words in nft's language; but it may not abort over them, or nobody
/// could list anybody's rules any more.
#[test]
fn nft_lists_the_rules_to_their_end() {
    let Some(world) = World::build() else { return };
    let services = [Service::at(10).node_port(30080).held(9).endpoints(&[1, 2]), Service::at(11)];
    let _proxy = Proxy::start(&world, &services);
    let Some((is_whole, listed)) = world.listed() else {
        eprintln!("SKIPPED: there is no nft");
        return;
    };
    assert!(is_whole, "{listed}");
    assert_eq!(listed.matches("table ip bulkhead-proxy").count(), 1, "{listed}");
    assert_eq!(listed.matches("table ip6 bulkhead-proxy").count(), 1, "{listed}");
}

/// `cargo test -p proxy-programmer --test kernel -- --ignored --nocapture`.
#[test]
#[ignore = "measures, asserts little"]
fn how_long_services_take() {
    let Some(world) = World::build() else { return };
    for count in [1_000, 10_000, 30_000] {
        let services: Vec<_> =
            (0..count).map(|number| Service::numbered(number).endpoints(&[1, 2])).collect();
        let begun = Instant::now();
        let mut proxy = Proxy::prepare(&world, &services);
        let prepared = begun.elapsed();
        let begun = Instant::now();
        proxy.commit_all();
        println!("{count} services: prepared in {prepared:?}, committed in {:?}", begun.elapsed());
        for (what, pods) in [
            ("one endpoint replaced", &[1_u8, 3][..]),
            ("the same back", &[1, 2]),
            ("one endpoint less", &[1]),
            ("one more", &[1, 2]),
            ("one less again", &[1]),
        ] {
            print!("  {what}: ");
            proxy.change(&Service::numbered(7).endpoints(pods).slices());
        }
    }
}
