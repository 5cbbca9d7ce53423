//! Any sequence of changes: the table that follows them equals the one that is built from nothing.

use super::*;
use crate::core::{
    endpoints::Target,
    node::{Detector, Entered, NodePortAddresses, NodePorts},
    testing::{conditions, hinted, range},
    walk::{Packet, Verdict, walk},
};

/// Numbers that look random and are the same every time (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap() % sides
    }

    fn chance(&mut self, of_ten: usize) -> bool {
        self.roll(10) < of_ten
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())].clone()
    }
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const PORTS: [&str; 2] = ["", "metrics"];
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// A service out of pools so small that services meet: the same addresses, node ports, health ports.
fn service(dice: &mut Dice) -> Svc {
    let cluster_ip = dice.pick(&["172.30.0.1", "172.30.0.2", "172.30.0.3", "172.30.0.4", "None", "nonsense"]);
    let mut service = svc(dice.pick(&NAMES), cluster_ip).created(dice.pick(&[Some(1), Some(2), None]));
    if dice.chance(3) {
        service = service.also(dice.pick(&["fd00:172::1", "fd00:172::2"]));
    }
    for name in PORTS {
        if dice.chance(7) {
            let node_port = dice.pick(&[0, 0, 30_001, 30_002, 70_000]);
            service = service.port_of(dice.pick(&PROTOCOLS), name, dice.pick(&[80, 81, 0]), node_port);
        }
    }
    if dice.chance(3) {
        service = service.external_ip(dice.pick(&["203.0.113.80", "2001:db8::80", "172.30.0.1", "x"]));
    }
    if dice.chance(4) {
        service = service.ingress(dice.pick(&["203.0.113.90", "203.0.113.80"]), None).type_("LoadBalancer");
        service = service.spec(|spec| spec.health_check_node_port = Some(30_100));
    }
    if dice.chance(3) {
        service = service.ranges(&dice.pick(&[
            vec!["203.0.113.0/24"],
            vec!["192.168.0.0/24", "203.0.113.0/30"],
            vec!["0.0.0.0/0"],
            vec!["x"],
        ]));
    }
    if dice.chance(3) {
        service = service.internal_local();
    }
    if dice.chance(4) {
        service = service.external_local();
    }
    if dice.chance(3) {
        service = service.affinity(dice.pick(&[Some(10), Some(20), None]));
    }
    service
}

fn slice(dice: &mut Dice) -> Eps {
    let is_v6 = dice.chance(3);
    let mut slice = eps(dice.pick(&NAMES), dice.pick(&["s1", "s2", "s3", "s4", "s5", "s6"]));
    if is_v6 {
        slice = slice.v6();
    }
    for name in PORTS {
        if dice.chance(8) {
            slice = slice.port_of(dice.pick(&PROTOCOLS), name, dice.pick(&[8080, 8081, 0]));
        }
    }
    for _ in 0..dice.roll(6) {
        let last = dice.roll(8);
        let ip = if is_v6 { format!("fd00:10::{last}") } else { format!("10.180.0.{last}") };
        let ip = if dice.chance(1) { "nonsense".to_owned() } else { ip };
        let node = dice.pick(&["here", "there"]);
        let told = [None, Some(true), Some(false)];
        let hint = hinted(dice.pick(&[&["here"][..], &[]]), dice.pick(&[&["a"][..], &["b"], &[]]));
        let condition = conditions(dice.pick(&told), dice.pick(&told), dice.pick(&told));
        let is_hinted = dice.chance(7);
        slice = slice.with(node, &ip, |endpoint| {
            condition(endpoint);
            if is_hinted {
                hint(endpoint);
            }
        });
    }
    slice
}

fn facts(dice: &mut Dice) -> Node {
    let pods = [
        node().pods,
        Detector::None,
        Detector::Bridge("cni0".into()),
        Detector::NodeCidr([range("10.180.0.0/24")].into()),
    ];
    let at = [
        NodePortAddresses::All,
        NodePortAddresses::Primary,
        NodePortAddresses::Within([range("192.168.7.0/24")].into()),
    ];
    Node {
        zone: dice.pick(&[None, Some("a".into()), Some("b".into())]),
        pods: dice.pick(&pods),
        masquerade_all: dice.chance(2),
        node_ports: NodePorts { at: dice.pick(&at), localhost: dice.chance(5) },
        service_ranges: dice.pick(&[node().service_ranges, BTreeSet::new()]),
        ..node()
    }
}

fn change(dice: &mut Dice) -> Change {
    match dice.roll(21) {
        0..8 => service(dice).change(),
        8..16 => slice(dice).change(),
        16 | 17 => Change::ServiceGone(gone(Kind::Service, dice.pick(&NAMES))),
        18 => Change::SliceGone(gone(Kind::EndpointSlice, dice.pick(&["s1", "s2", "s3"]))),
        19 => Change::Node(Box::new(facts(dice))),
        _ => {
            let names = NAMES.into_iter().filter(|_| dice.chance(3));
            Change::LeaveOut(names.filter_map(|name| ServiceName::new(Some("default"), Some(name))).collect())
        }
    }
}

/// A kernel that takes elements: refuses to remove what it has not, and to add what it has.
#[derive(Default)]
struct Mirror(BTreeSet<Element>);

impl Mirror {
    fn commit(&mut self, difference: &Difference) {
        for element in &difference.removed {
            assert!(self.0.remove(element), "removed, though not there: {element:?}");
        }
        for element in &difference.added {
            assert!(self.0.insert(element.clone()), "added, though there: {element:?}");
        }
    }
}

/// Endpoints that the service's slices hold for this port, whatever their conditions.
fn is_endpoint(model: &Model, set: &SetId, target: &Target) -> bool {
    let slices = model.objects.slices.of(&set.port.service).into_iter();
    slices.filter(|slice| slice.family == set.port.family).any(|slice| {
        let has_port = |port: &slice::SlicePort| {
            port.port == target.port && port.name == set.port.name && port.protocol == set.port.protocol
        };
        slice.ports.iter().any(has_port) && slice.candidates.iter().any(|it| it.ip == target.ip)
    })
}

fn check_entries(model: &Model) {
    let table = model.table();
    for (set, members) in &table.sets {
        assert!(!members.targets.is_empty(), "{set} is empty");
        for target in &members.targets {
            assert!(is_endpoint(model, set, target), "{target} is no endpoint of {set}");
        }
    }
    let of_addresses = table.addresses.iter().map(|(_, claim)| &claim.entry);
    for entry in of_addresses.chain(table.node_ports.iter().map(|(_, entry)| entry)) {
        for course in [entry.pods, entry.host, entry.others] {
            if let Way::To(scope, count) = course.way {
                let set = SetId { port: entry.port.clone(), scope };
                let members = table.sets.get(&set).map(|members| members.targets.len());
                assert_eq!(members, usize::try_from(count).ok(), "{set}");
            }
        }
    }
    let reached: BTreeSet<Target> = table.sets.values().flat_map(|it| it.targets.iter().copied()).collect();
    let hairpins: BTreeSet<Target> = table.hairpins.iter().map(|hairpin| hairpin.target).collect();
    assert_eq!(hairpins, reached);
}

fn check_packets(model: &Model, dice: &mut Dice) {
    for _ in 0..5 {
        let text = dice.pick(&[
            "172.30.0.1",
            "172.30.0.9",
            "203.0.113.80",
            "192.168.0.2",
            "127.0.0.1",
            "fd00:172::1",
        ]);
        let to = Address { ip: ip(text), protocol: Protocol::Tcp, port: dice.pick(&[80, 81, 30_001]) };
        let source = ip(dice.pick(&["10.180.0.1", "192.168.0.2", "203.0.113.5", "fd00:10::1"]));
        let entered = dice.pick(&[Entered::FromHost, Entered::By("cni0")]);
        let walk = walk(model.table(), &Packet { source, entered, to }, None);
        if let Verdict::Dnat { set, to } = walk.verdict {
            assert!(!to.is_empty(), "{to:?}: {:#?}", walk.reasons);
            assert!(to.iter().all(|it| is_endpoint(model, &set, &it.target)), "{to:?} of {set}");
        }
    }
}

#[test]
fn after_any_changes_the_table_equals_the_one_built_from_nothing() {
    for seed in 1..=40_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut model = Model::of(node());
        let mut mirror = Mirror(elements(model.table()).into_iter().collect());
        for step in 0..60 {
            let before = model.table().clone();
            let changes: Vec<Change> = (0..=dice.roll(3)).map(|_| change(&mut dice)).collect();
            let difference = model.apply(changes).difference;
            let at = format!("seed {seed}, step {step}");
            assert_eq!(difference, between(&before, model.table()), "{at}: the difference is the least");
            mirror.commit(&difference);
            assert_eq!(mirror.0, elements(model.table()).into_iter().collect(), "{at}: nothing is forgotten");
            assert_eq!(model.table().clone().in_order(), model.rebuilt().in_order(), "{at}");
            check_entries(&model);
            check_packets(&model, &mut dice);
        }
        for name in NAMES {
            mirror.commit(&model.apply([Change::ServiceGone(gone(Kind::Service, name))]).difference);
        }
        let left = difference::of_node(model.table());
        assert_eq!(mirror.0, left.into_iter().collect(), "seed {seed}: nothing is left behind");
    }
}

#[test]
fn endpoints_keep_their_numbers_through_changes() {
    let mut dice = Dice(7);
    let mut model = Model::of(node());
    model.apply([svc("a", "172.30.0.1").port("", 80).change()]);
    let mut before: Vec<Target> = Vec::new();
    for _ in 0..200 {
        let mut slice = eps("a", "s1").port("", 8080);
        for last in 1..=20 {
            if dice.chance(8) {
                slice = slice.on("there", &format!("10.180.1.{last}"));
            }
        }
        model.apply([slice.change()]);
        let after = model.table().sets.values().next().map(|it| it.targets.clone()).unwrap_or_default();
        let ended = before.iter().filter(|target| !after.contains(target)).count();
        let place = |target: &Target| after.iter().position(|it| it == target);
        let moved = |(number, target): &(usize, &Target)| place(target).is_some_and(|now| now != *number);
        let moves = before.iter().enumerate().filter(moved).count();
        assert!(moves <= ended, "{moves} moved where {ended} ended");
        before = after;
    }
}
