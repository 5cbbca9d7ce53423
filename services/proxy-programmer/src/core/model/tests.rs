use super::*;
use crate::core::{
    address::Protocol,
    difference::{self, Element, between, elements},
    slice,
    table::{Address, Way},
    testing::{Eps, Svc, ending, eps, gone, ip, node, svc, target},
};
use std::collections::BTreeSet;

mod churn;
mod disputes;

fn web() -> Svc {
    svc("web", "172.30.0.41").port("", 80)
}

fn slice() -> Eps {
    eps("web", "web-1").port("", 8080).on("here", "10.180.0.1").on("there", "10.180.1.1")
}

fn address(text: &str) -> Address {
    let Target { ip, port } = target(text);
    Address { ip, protocol: Protocol::Tcp, port }
}

fn model(changes: &[Change]) -> Model {
    let mut model = Model::of(node());
    model.apply(changes.iter().cloned());
    model
}

fn holder(model: &Model, at: &str) -> Option<String> {
    model.table().addresses.get(&address(at)).map(|claim| claim.entry.port.service.name.to_string())
}

/// What an element is about, in short.
fn short(element: &Element) -> String {
    let ways = |entry: &crate::core::table::Entry| match entry.pods.way {
        Way::To(_, count) => count.to_string(),
        Way::Reject => "reject".into(),
        Way::Drop => "drop".into(),
    };
    match element {
        Element::Rules(_) => "rules".into(),
        Element::ServiceRange(range) => format!("service range {range}"),
        Element::NodePortAddress(ip) => format!("node port address {ip}"),
        Element::ClusterIp(ip) => format!("cluster IP {ip}"),
        Element::Address(address, entry) => format!("{address}: {}", ways(entry)),
        Element::Source(address, range) => format!("{address} from {range}"),
        Element::NodePort(port, entry) => format!("{port}: {}", ways(entry)),
        Element::Slot(_, number, target) => format!("#{number} {target}"),
        Element::Member(_, target) => format!("member {target}"),
        Element::Hairpin(hairpin) => format!("hairpin {}", hairpin.target),
        Element::Health(port, health) => format!("{port}: {}", health.local_ready),
    }
}

#[test]
fn a_change_is_as_small_as_what_it_changes() {
    let three = || slice().on("there", "10.180.1.2");
    let sticky = || web().affinity(Some(60));
    let ranged = |ranges: &[&str]| web().type_("LoadBalancer").ingress("203.0.113.90", None).ranges(ranges);
    let without_first =
        || eps("web", "web-1").port("", 8080).on("there", "10.180.1.1").on("there", "10.180.1.2");
    // (sentence, before, change, removed, added)
    type Lines = Vec<&'static str>;
    type Row = (&'static str, Vec<Change>, Vec<Change>, Lines, Lines);
    let cases: Vec<Row> = vec![
        (
            "a service without endpoints",
            vec![],
            vec![web().change()],
            vec![],
            vec!["cluster IP 172.30.0.41", "172.30.0.41:80/TCP: reject"],
        ),
        (
            "its endpoints",
            vec![web().change()],
            vec![slice().change()],
            vec!["172.30.0.41:80/TCP: reject"],
            vec![
                "172.30.0.41:80/TCP: 2",
                "#0 10.180.0.1:8080",
                "#1 10.180.1.1:8080",
                "hairpin 10.180.0.1:8080",
                "hairpin 10.180.1.1:8080",
            ],
        ),
        ("endpoints before their service", vec![], vec![slice().change()], vec![], vec![]),
        (
            "one more endpoint",
            vec![web().change(), slice().change()],
            vec![three().change()],
            vec!["172.30.0.41:80/TCP: 2"],
            vec!["172.30.0.41:80/TCP: 3", "#2 10.180.1.2:8080", "hairpin 10.180.1.2:8080"],
        ),
        (
            "the first endpoint ends and the last takes its number",
            vec![web().change(), three().change()],
            vec![without_first().change()],
            vec![
                "172.30.0.41:80/TCP: 3",
                "#0 10.180.0.1:8080",
                "#2 10.180.1.2:8080",
                "hairpin 10.180.0.1:8080",
            ],
            vec!["172.30.0.41:80/TCP: 2", "#0 10.180.1.2:8080"],
        ),
        (
            "one endpoint for another",
            vec![web().change(), slice().change()],
            vec![
                eps("web", "web-1")
                    .port("", 8080)
                    .on("there", "10.180.1.1")
                    .on("here", "10.180.0.7")
                    .change(),
            ],
            vec!["#0 10.180.0.1:8080", "hairpin 10.180.0.1:8080"],
            vec!["#0 10.180.0.7:8080", "hairpin 10.180.0.7:8080"],
        ),
        (
            "what is not used changes nothing",
            vec![web().change(), slice().change()],
            vec![slice().with("here", "10.180.0.7", ending(false)).change()],
            vec![],
            vec![],
        ),
        (
            "affinity makes members",
            vec![web().change(), slice().change()],
            vec![sticky().change()],
            vec!["172.30.0.41:80/TCP: 2"],
            vec!["172.30.0.41:80/TCP: 2", "member 10.180.0.1:8080", "member 10.180.1.1:8080"],
        ),
        (
            "one source range",
            vec![ranged(&["10.0.0.0/8", "11.0.0.0/8"]).change()],
            vec![ranged(&["10.0.0.0/8", "12.0.0.0/8"]).change()],
            vec!["203.0.113.90:80/TCP from 11.0.0.0/8"],
            vec!["203.0.113.90:80/TCP from 12.0.0.0/8"],
        ),
        (
            "an endpoint moves from one slice to another",
            vec![web().change(), slice().change()],
            vec![
                eps("web", "web-1").port("", 8080).on("here", "10.180.0.1").change(),
                eps("web", "web-2").port("", 8080).on("there", "10.180.1.1").change(),
            ],
            vec![],
            vec![],
        ),
        (
            "made and gone at once",
            vec![],
            vec![web().change(), slice().change(), Change::ServiceGone(gone(Kind::Service, "web"))],
            vec![],
            vec![],
        ),
        (
            "its endpoints are gone",
            vec![web().change(), slice().change()],
            vec![Change::SliceGone(gone(Kind::EndpointSlice, "web-1"))],
            vec![
                "172.30.0.41:80/TCP: 2",
                "#0 10.180.0.1:8080",
                "#1 10.180.1.1:8080",
                "hairpin 10.180.0.1:8080",
                "hairpin 10.180.1.1:8080",
            ],
            vec!["172.30.0.41:80/TCP: reject"],
        ),
        (
            "who was never there is gone",
            vec![],
            vec![Change::SliceGone(gone(Kind::EndpointSlice, "x"))],
            vec![],
            vec![],
        ),
    ];
    for (sentence, before, changes, removed, added) in cases {
        let mut model = model(&before);
        let Difference { removed: less, added: more } = model.apply(changes).difference;
        assert_eq!(less.iter().map(short).collect::<Vec<_>>(), removed, "{sentence}: removed");
        assert_eq!(more.iter().map(short).collect::<Vec<_>>(), added, "{sentence}: added");
    }
}

#[test]
fn a_slice_that_changes_hands_leaves_its_former_service() {
    let other = || svc("other", "172.30.0.42").port("", 80);
    let mut model = model(&[web().change(), other().change(), slice().change()]);
    let mut theirs = slice().0;
    theirs.metadata.labels.get_or_insert_default().insert(slice::SERVICE_NAME.into(), "other".into());
    model.apply([Change::Slice(Box::new(theirs))]);
    let owners: BTreeSet<&str> = model.table().sets.keys().map(|set| &*set.port.service.name).collect();
    assert_eq!(owners, BTreeSet::from(["other"]));
    model.apply([Change::SliceGone(gone(Kind::EndpointSlice, "web-1"))]);
    assert!(model.table().sets.is_empty() && model.objects.slices.are_none());
}

#[test]
fn a_new_life_takes_over_the_numbers_of_the_former() {
    let more = || slice().on("there", "10.180.1.2").on("there", "10.180.1.3");
    let first_ended = eps("web", "web-1")
        .port("", 8080)
        .on("there", "10.180.1.1")
        .on("there", "10.180.1.2")
        .on("there", "10.180.1.3");
    let mut former = model(&[web().change(), more().change()]);
    former.apply([first_ended.change()]);
    let mut model = model(&[web().change(), first_ended.change()]);
    assert!(!between(former.table(), model.table()).is_empty(), "numbers are not the objects' own");
    for (set, members) in &former.table().sets {
        model.renumber(set, &members.targets);
    }
    assert_eq!(former.table(), model.table());
    let removed = model.apply([Change::ServiceGone(gone(Kind::Service, "web"))]).difference.removed;
    let mut all = elements(former.table());
    all.retain(|element| !matches!(element, Element::Rules(_) | Element::ServiceRange(_)));
    assert_eq!(removed, all, "and goes on from there");
}

#[test]
fn the_nodes_facts_redo_all() {
    let mut model = model(&[web().internal_local().change(), slice().change()]);
    let before = model.table().clone();
    let moved = Node { name: "there".into(), ..node() };
    let difference = model.apply([Change::Node(Box::new(moved))]).difference;
    assert_eq!(difference, between(&before, model.table()));
    assert_eq!(model.table().clone().in_order(), model.rebuilt().in_order());
    let targets = model.table().sets.values().flat_map(|members| &members.targets).collect::<Vec<_>>();
    assert_eq!(targets, [&target("10.180.1.1:8080")]);
    assert!(model.apply([Change::Node(Box::new(model.node().clone()))]).difference.is_empty());
}

#[test]
fn a_service_of_a_hundred_thousand_endpoints_is_one_like_any_other() {
    let slice_of = |number: u32| {
        let slice = eps("web", &format!("web-{number:03}")).port("", 8080);
        (0..1000).fold(slice, |slice, one| {
            slice.on("there", &format!("10.{number}.{}.{}", one / 250, one % 250 + 1))
        })
    };
    let mut model = Model::of(node());
    model.apply([web().change(), svc("other", "172.30.0.42").port("", 80).change()]);
    model.apply((0..100).map(|number| slice_of(number).change()));
    let count = model.table().sets.values().map(|members| members.targets.len()).sum::<usize>();
    assert_eq!(count, 100_000);
    let mut slice = slice_of(0);
    slice.0.endpoints.as_mut().unwrap().remove(7);
    let difference = model.apply([slice.change()]).difference;
    assert_eq!((difference.removed.len(), difference.added.len()), (4, 2), "as small as with three");
}

#[test]
fn a_service_that_is_left_out_has_no_part_in_the_table_until_it_is_let_in_again() {
    let other = svc("other", "172.30.0.41").port("", 80).created(Some(2_000_000));
    let mut model = model(&[web().change(), slice().change(), other.change()]);
    let whole = model.table().clone();
    assert_eq!(holder(&model, "172.30.0.41:80").as_deref(), Some("web"));
    let name = |name| ServiceName::new(Some("default"), Some(name)).unwrap();
    let out = model.apply([Change::LeaveOut([name("web")].into())]);
    assert_eq!(out.difference, between(&whole, model.table()));
    assert_eq!(out.touched, [name("web")].into());
    assert_eq!(holder(&model, "172.30.0.41:80").as_deref(), Some("other"), "others inherit");
    assert_eq!(model.placed().collect::<Vec<_>>(), [&name("other")]);
    assert!(model.apply([slice().on("there", "10.180.1.9").change()]).difference.is_empty());
    model.apply([slice().change(), Change::LeaveOut(BTreeSet::new())]);
    assert_eq!(model.table(), &whole);
}

#[test]
fn what_a_complete_list_does_not_name_is_missing() {
    let odd = svc("odd", "172.30.0.300").port("", 80);
    let model = model(&[web().change(), slice().change(), odd.change()]);
    let object = |kind, name: &str| *gone(kind, name);
    let missing = |kind, listed: &[&str]| {
        let listed = listed.iter().map(|name| object(kind, name)).collect();
        model.missing_in(kind, &listed).into_iter().collect::<BTreeSet<_>>()
    };
    let of = |kind, names: &[&str]| names.iter().map(|name| object(kind, name)).collect::<BTreeSet<_>>();
    assert_eq!(missing(Kind::Service, &["web", "odd", "new"]), of(Kind::Service, &[]));
    assert_eq!(missing(Kind::Service, &["new"]), of(Kind::Service, &["web", "odd"]));
    assert_eq!(missing(Kind::EndpointSlice, &[]), of(Kind::EndpointSlice, &["web-1"]));
}

#[test]
fn service_ports_and_endpoints_are_counted_once() {
    let both = web().also("fd00:172::41").external_local();
    let node_port = |svc: Svc| svc.spec(|spec| spec.type_ = Some("NodePort".into()));
    let cases: Vec<(&str, Vec<Change>, (usize, usize))> = vec![
        ("nothing", vec![], (0, 0)),
        ("a service without endpoints", vec![web().change()], (1, 0)),
        ("with two", vec![web().change(), slice().change()], (1, 2)),
        ("of both families, with endpoints of one", vec![both.change(), slice().change()], (2, 2)),
        (
            "found at two addresses and in two sets",
            vec![node_port(web().external_ip("203.0.113.90").external_local()).change(), slice().change()],
            (1, 2),
        ),
    ];
    for (sentence, changes, want) in cases {
        assert_eq!(model(&changes).table().counts(), want, "{sentence}");
    }
}

#[test]
fn only_pods_that_become_ready_are_told() {
    use k8s_openapi::api::{core::v1::ObjectReference, discovery::v1::Endpoint};
    let of = |kind: &str, uid: &str| {
        let (kind, uid) = (Some(kind.to_owned()), Some(uid.to_owned()));
        move |endpoint: &mut Endpoint| {
            endpoint.target_ref = Some(ObjectReference { kind, uid, ..ObjectReference::default() });
        }
    };
    let unready = |uid: &str| {
        let reference = of("Pod", uid);
        move |endpoint: &mut Endpoint| {
            reference(endpoint);
            ending(true)(endpoint);
        }
    };
    let empty = || eps("web", "web-1").port("", 8080);
    let one = || empty().with("here", "10.180.0.1", of("Pod", "u1"));
    let two = || one().with("there", "10.180.1.1", of("Pod", "u2"));
    // (sentence, before, now, who)
    let cases = [
        ("a slice that was not known", None, two(), vec!["u1", "u2"]),
        ("one more", Some(one()), two(), vec!["u2"]),
        ("one less", Some(two()), one(), vec![]),
        ("the same", Some(two()), two(), vec![]),
        ("not ready yet", Some(one()), one().with("there", "10.180.1.1", unready("u2")), vec![]),
        ("ready at last", Some(empty().with("here", "10.180.0.1", unready("u1"))), one(), vec!["u1"]),
        ("no pod", Some(one()), one().with("there", "10.180.1.1", of("Node", "u2")), vec![]),
        ("nobody told", Some(one()), one().on("there", "10.180.1.1"), vec![]),
    ];
    for (sentence, before, now, who) in cases {
        let known: Vec<_> = [web().change()].into_iter().chain(before.map(|it| it.change())).collect();
        assert_eq!(model(&known).newly_ready(&now.0).collect::<Vec<_>>(), who, "{sentence}");
    }
}
