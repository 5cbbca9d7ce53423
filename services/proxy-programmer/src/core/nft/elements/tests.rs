//! Elements as rows: keys and values byte by byte.

use super::*;
use crate::core::testing::{ip, port_id, range, target};
use std::sync::Arc;

fn address(to: &str) -> Address {
    let at = target(to);
    Address { ip: at.ip, protocol: Protocol::Tcp, port: at.port }
}

#[test]
fn elements_lie_where_packets_look_for_them() {
    let port = port_id("default/web");
    let code = name::of_port(&port).to_vec();
    let set = |scope| SetId { port: Arc::clone(&port), scope };
    let endpoint = vec![10, 180, 0, 5, 0x1f, 0x90, 0, 0];
    let number = 2_u32.to_ne_bytes().to_vec();
    let cases = [
        (
            "a slot: code and number lead to address and port",
            Element::Slot(set(Scope::Cluster), 2, target("10.180.0.5:8080")),
            ("cluster", [code.clone(), number.clone()].concat(), Some(endpoint.clone())),
        ),
        (
            "a local slot is in a map of its own",
            Element::Slot(set(Scope::Local), 2, target("10.180.0.5:8080")),
            ("local", [code.clone(), number].concat(), Some(endpoint.clone())),
        ),
        (
            "a member: code, address and port",
            Element::Member(set(Scope::Cluster), target("10.180.0.5:8080")),
            ("members", [code, endpoint].concat(), None),
        ),
        (
            "a hairpin: the endpoint as source and as destination",
            Element::Hairpin(crate::core::table::Hairpin {
                target: target("10.180.0.5:8080"),
                protocol: Protocol::Udp,
            }),
            ("hairpins", vec![10, 180, 0, 5, 10, 180, 0, 5, 17, 0, 0, 0, 0x1f, 0x90, 0, 0], None),
        ),
        (
            "a cluster IP of IPv6",
            Element::ClusterIp(ip("fd00::1")),
            ("cluster-ips", [vec![0xfd, 0], vec![0; 13], vec![1]].concat(), None),
        ),
    ];
    for (sentence, element, (set, key, value)) in cases {
        let row = of(&element).unwrap();
        assert_eq!((row.set, row.element.key), (set, key), "{sentence}");
        assert_eq!(row.element.value, value.map(Value::Data), "{sentence}");
    }
}

#[test]
fn ranges_become_intervals_that_do_not_overlap() {
    type Bounds = &'static [(&'static str, bool)];
    // (sentence, ranges, bounds: an address, and whether it is the first behind an interval)
    let cases: &[(&str, &[&str], Bounds)] = &[
        ("one", &["10.1.0.0/16"], &[("10.1.0.0", false), ("10.2.0.0", true)]),
        ("one within another", &["10.0.0.0/8", "10.1.0.0/16"], &[("10.0.0.0", false), ("11.0.0.0", true)]),
        ("the same base", &["10.0.0.0/16", "10.0.0.0/8"], &[("10.0.0.0", false), ("11.0.0.0", true)]),
        ("everything has no end", &["0.0.0.0/0"], &[("0.0.0.0", false)]),
        ("nor have the last ones", &["255.0.0.0/8"], &[("255.0.0.0", false)]),
        ("a prefix within an octet", &["10.0.16.0/20"], &[("10.0.16.0", false), ("10.0.32.0", true)]),
        ("one address", &["fd00::ffff/128"], &[("fd00::ffff", false), ("fd00::1:0", true)]),
    ];
    for (sentence, ranges, bounds) in cases {
        let ranges = ranges.iter().map(|text| range(text)).collect();
        let got: Vec<_> = of_ranges(Ranges::Pods, &ranges)
            .into_iter()
            .map(|row| (row.element.key, row.element.reach == Reach::End))
            .collect();
        let want: Vec<_> = bounds.iter().map(|(text, is_end)| (octets(ip(text)), *is_end)).collect();
        assert_eq!(got, want, "{sentence}");
    }
}

#[test]
fn source_ranges_are_told_from_first_to_last() {
    let to = address("172.30.0.10:80");
    let ranges = ["10.0.0.0/8", "10.5.0.0/16", "192.168.7.0/24", "fd00::/8"].map(range).into();
    let rows = of_ranges(Ranges::Sources(to), &ranges);
    let bounds: Vec<_> = rows.iter().map(|row| (&row.element.key[12..], &row.element.reach)).collect();
    let last = |tail: [u8; 4]| Reach::To([&rows[0].element.key[..12], &tail].concat());
    assert_eq!(bounds.len(), 2, "neither the one within another nor that of the other family");
    assert_eq!(bounds[0], (&[10, 0, 0, 0][..], &last([10, 255, 255, 255])));
    assert_eq!(bounds[1], (&[192, 168, 7, 0][..], &last([192, 168, 7, 255])));
}
