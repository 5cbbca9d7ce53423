use super::*;
use crate::core::testing::{Eps, conditions, ending, eps, hinted, ip};

fn web() -> Eps {
    eps("web", "web-1").port("http", 8080).on("here", "10.180.0.1")
}

#[test]
fn slices_that_are_of_no_use_are_left_alone() {
    let labelled = |key: &str, value: Option<&str>| {
        let mut slice = web();
        let labels = slice.0.metadata.labels.get_or_insert_default();
        labels.remove(key);
        labels.extend(value.map(|value| (key.to_owned(), value.to_owned())));
        slice
    };
    let of_type = |address_type: &str| {
        let mut slice = web();
        slice.0.address_type = address_type.into();
        slice
    };
    let cases = [
        ("of a service", web(), true, 0),
        ("of a headless service", labelled(HEADLESS, Some("")), false, 0),
        ("of no service", labelled(SERVICE_NAME, None), false, 0),
        ("of a service without a name", labelled(SERVICE_NAME, Some("")), false, 0),
        ("of domain names", of_type("FQDN"), false, 0),
        ("of an unknown type", of_type("IPX"), false, 1),
    ];
    for (sentence, slice, is_used, faults) in cases {
        let reading = read(&slice.0);
        assert_eq!((reading.slice.is_some(), reading.faults.len()), (is_used, faults), "{sentence}");
    }
}

#[test]
fn conditions_that_are_not_told_are_read_kindly() {
    // (sentence, told: ready, serving, terminating; read)
    let (yes, no) = (Some(true), Some(false));
    let cases = [
        ("nothing told", (None, None, None), (true, true, false)),
        ("ready", (yes, None, None), (true, true, false)),
        ("not ready, and serving is what ready is", (no, None, None), (false, false, false)),
        ("not ready but serving", (no, yes, None), (false, true, false)),
        ("ending, still serving", (no, yes, yes), (false, true, true)),
        (
            "ready though ending: addresses are published before readiness",
            (yes, yes, yes),
            (true, true, true),
        ),
        ("ready, not serving", (yes, no, no), (true, false, false)),
    ];
    for (sentence, (ready, serving, terminating), want) in cases {
        let slice = eps("web", "web-1").with("here", "10.180.0.1", conditions(ready, serving, terminating));
        let slice = read(&slice.0).slice.expect(sentence);
        let Candidate { ready, serving, terminating, .. } = slice.candidates[0];
        assert_eq!((ready, serving, terminating), want, "{sentence}");
    }
}

#[test]
fn a_slice_is_read_whole() {
    let slice = eps("web", "web-6").v6().port_of("SCTP", "s", 5000).with("here", "fd00:10::1", |endpoint| {
        hinted(&["here"], &["a", "b"])(endpoint);
        endpoint.addresses.push("fd00:10::2".into());
    });
    let want = Slice {
        service: ServiceName::new(Some("default"), Some("web")).expect("a name"),
        name: "web-6".into(),
        family: Family::V6,
        ports: vec![SlicePort { name: "s".into(), protocol: Protocol::Sctp, port: 5000 }],
        candidates: vec![Candidate {
            ip: ip("fd00:10::1"),
            ready: true,
            serving: true,
            terminating: false,
            node: Some("here".into()),
            for_nodes: ["here".into()].into(),
            for_zones: ["a".into(), "b".into()].into(),
        }],
    };
    assert_eq!(read(&slice.0), Reading { slice: Some(want), faults: vec![] });
}

#[test]
fn a_faulty_piece_is_left_out_and_told_and_the_rest_counts() {
    let cases: Vec<(&str, Eps, &str, (usize, usize))> = vec![
        ("port 0", web().port("b", 0), "ports[1].port", (1, 1)),
        ("a port too large", web().port("b", 65_536), "ports[1].port", (1, 1)),
        ("an unknown protocol", web().port_of("QUIC", "b", 80), "ports[1].protocol", (1, 1)),
        ("the other family", web().on("here", "fd00:10::1"), "endpoints[1].addresses", (1, 1)),
        ("no address at all", web().on("here", "web.example"), "endpoints[1].addresses", (1, 1)),
        ("nobody's address", web().on("here", "0.0.0.0"), "endpoints[1].addresses", (1, 1)),
        ("everybody's address", web().on("here", "224.0.0.1"), "endpoints[1].addresses", (1, 1)),
        (
            "an empty list",
            web().with("here", "x", |it| it.addresses.clear()),
            "endpoints[1].addresses",
            (1, 1),
        ),
        ("IPv4 in an IPv6 slice", web().v6(), "endpoints[0].addresses", (1, 0)),
        ("terminating and wrong", web().with("here", "", ending(true)), "endpoints[1].addresses", (1, 1)),
    ];
    for (sentence, slice, field, (ports, candidates)) in cases {
        let Reading { slice, faults } = read(&slice.0);
        let told: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        let slice = slice.expect(sentence);
        assert_eq!(told, [field], "{sentence}");
        assert_eq!((slice.ports.len(), slice.candidates.len()), (ports, candidates), "{sentence}");
    }
}

#[test]
fn all_ports_at_once_cannot_be_served() {
    let mut slice = web();
    slice.0.ports.as_mut().expect("ports")[0].port = None;
    let Reading { slice, faults } = read(&slice.0);
    assert_eq!(slice.expect("a slice").ports, []);
    assert_eq!(faults[0].what, "all ports at once");
}
