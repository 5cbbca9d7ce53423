use super::*;
use crate::core::{
    slice,
    testing::{Eps, conditions, ending, eps, hinted, port_id},
};

const PLACE: Place<'_> = Place { node: "here", zone: Some("a") };

fn web(name: &str) -> Eps {
    eps("web", name).port("", 80)
}

fn read(slices: &[Eps]) -> Vec<Slice> {
    slices.iter().filter_map(|slice| slice::read(&slice.0).slice).collect()
}

/// Last octets of the addresses, in order.
fn octets(targets: &BTreeSet<Target>) -> Vec<u8> {
    let octet = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets()[3],
        IpAddr::V6(ip) => ip.octets()[15],
    };
    targets.iter().map(|target| octet(target.ip)).collect()
}

fn chosen(slices: &[Eps], place: Place<'_>) -> (Vec<u8>, Vec<u8>) {
    let slices = read(slices);
    let Choice { cluster, local } = choose(&merge(&slices, &port_id("default/web"), place), place);
    (octets(&cluster), octets(&local))
}

#[test]
fn ready_endpoints_are_used_or_else_those_that_end_and_still_answer() {
    let unready = || conditions(Some(false), Some(true), Some(false));
    let cases: Vec<(&str, Eps, &[u8], &[u8])> = vec![
        ("none", web("1"), &[], &[]),
        ("ready, here and there", web("1").on("here", "10.180.0.1").on("there", "10.180.1.2"), &[1, 2], &[1]),
        ("merely unready ones never", web("1").with("here", "10.180.0.1", unready()), &[], &[]),
        (
            "ending ones are not used while one is ready",
            web("1").with("here", "10.180.0.1", ending(true)).on("here", "10.180.0.2"),
            &[2],
            &[2],
        ),
        (
            "ending ones are used when none is ready",
            web("1").with("here", "10.180.0.1", ending(true)).with("there", "10.180.1.2", ending(true)),
            &[1, 2],
            &[1],
        ),
        ("if they answer", web("1").with("here", "10.180.0.1", ending(false)), &[], &[]),
        (
            "each set decides for itself",
            web("1").with("here", "10.180.0.1", ending(true)).on("there", "10.180.1.2"),
            &[2],
            &[1],
        ),
        (
            "ready though ending",
            { web("1").with("here", "10.180.0.1", conditions(Some(true), Some(true), Some(true))) },
            &[1],
            &[1],
        ),
    ];
    for (sentence, slice, cluster, local) in cases {
        assert_eq!(chosen(&[slice], PLACE), (cluster.to_vec(), local.to_vec()), "{sentence}");
    }
}

#[test]
fn hints_count_only_if_all_have_one_and_one_is_for_here() {
    let both = |first: (&[&str], &[&str]), second: (&[&str], &[&str])| {
        let slice = web("1").with("there", "10.180.1.1", hinted(first.0, first.1));
        slice.with("there", "10.180.1.2", hinted(second.0, second.1))
    };
    let cases: Vec<(&str, Eps, &[u8])> = vec![
        ("each zone its own", both((&[], &["a"]), (&[], &["b"])), &[1]),
        ("one for two zones", both((&[], &["a", "b"]), (&[], &["b"])), &[1]),
        ("one without a hint: all", both((&[], &["a"]), (&[], &[])), &[1, 2]),
        ("none for this zone: all", both((&[], &["b"]), (&[], &["c"])), &[1, 2]),
        ("this node", both((&["here"], &["b"]), (&["there"], &["a"])), &[1]),
        ("no node hint for here: the zone", both((&["there"], &["b"]), (&["there"], &["a"])), &[2]),
        ("one without a node hint: the zone", both((&["here"], &["b"]), (&[], &["a"])), &[2]),
        ("neither: all", both((&["there"], &["b"]), (&["there"], &["b"])), &[1, 2]),
        (
            "unready ones are not asked for hints",
            both((&[], &["a"]), (&[], &["b"])).with("there", "10.180.1.3", ending(true)),
            &[1],
        ),
    ];
    for (sentence, slice, cluster) in cases {
        assert_eq!(chosen(&[slice], PLACE), (cluster.to_vec(), vec![]), "{sentence}");
    }
}

#[test]
fn hints_leave_the_local_set_alone() {
    let slice = web("1").with("here", "10.180.0.1", hinted(&[], &["b"]));
    let slice = slice.with("there", "10.180.1.2", hinted(&[], &["a"]));
    assert_eq!(chosen(&[slice], PLACE), (vec![2], vec![1]));
}

#[test]
fn a_node_that_is_nowhere_uses_all() {
    let nowhere = Place { node: "here", zone: None };
    let slice = web("1").with("there", "10.180.1.1", hinted(&[], &["a"]));
    assert_eq!(chosen(&[slice], nowhere), (vec![1], vec![]));
    let nameless = Place { node: "", zone: None };
    assert_eq!(chosen(&[web("1").on("", "10.180.0.1")], nameless), (vec![1], vec![]));
}

#[test]
fn slices_merge_by_address_and_port() {
    let other = |name: &str| eps("web", name).port("other", 80);
    type Octets = &'static [u8];
    let cases: Vec<(&str, Vec<Eps>, Octets, Octets)> = vec![
        (
            "two slices",
            vec![web("1").on("here", "10.180.0.1"), web("2").on("here", "10.180.0.2")],
            &[1, 2],
            &[1, 2],
        ),
        (
            "an endpoint in both",
            vec![web("1").on("here", "10.180.0.1"), web("2").on("here", "10.180.0.1")],
            &[1],
            &[1],
        ),
        (
            "it counts as in the first",
            vec![web("1").with("here", "10.180.0.1", ending(false)), web("2").on("here", "10.180.0.1")],
            &[],
            &[],
        ),
        (
            "or as in the one that has it here",
            vec![web("1").with("there", "10.180.0.1", ending(false)), web("2").on("here", "10.180.0.1")],
            &[1],
            &[1],
        ),
        ("another port's name", vec![other("1").on("here", "10.180.0.1")], &[], &[]),
        ("another protocol", vec![eps("web", "1").port_of("UDP", "", 80).on("here", "10.180.0.1")], &[], &[]),
        ("another family", vec![web("1").v6().on("here", "fd00:10::1")], &[], &[]),
        (
            "another number of the same port",
            vec![web("1").on("here", "10.180.0.1"), eps("web", "2").port("", 81).on("here", "10.180.0.1")],
            &[1, 1],
            &[1, 1],
        ),
    ];
    for (sentence, slices, cluster, local) in cases {
        assert_eq!(chosen(&slices, PLACE), (cluster.to_vec(), local.to_vec()), "{sentence}");
    }
}

#[test]
fn ready_endpoints_here_are_counted_by_address() {
    let slices = [
        web("1").port("", 81).on("here", "10.180.0.1").on("there", "10.180.1.2"),
        web("2").on("here", "10.180.0.3").with("here", "10.180.0.4", ending(true)),
    ];
    let slices = read(&slices);
    let merged = merge(&slices, &port_id("default/web"), PLACE);
    assert_eq!(local_ready([&merged, &merged], PLACE), 2);
}
