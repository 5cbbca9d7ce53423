//! Changes as operations: only what differs, chains before what leads to them and after it.

use super::*;
use crate::core::{
    model::Model,
    nft::expression::Verdict,
    testing::{eps, node, svc},
};

/// What an operation does, in short: `+services 1`, `-chain …`.
fn short(operation: &Operation) -> Option<String> {
    match &operation.kind {
        Kind::AddElements { set, elements } => Some(format!("+{set} {}", elements.len())),
        Kind::DeleteElements { set, elements } => Some(format!("-{set} {}", elements.len())),
        Kind::AddChain(chain) => Some(format!("+chain {}", chain.name)),
        Kind::DeleteChain(chain) => Some(format!("-chain {chain}")),
        Kind::AddRule { .. } | Kind::AddSet(_) | Kind::AddTable | Kind::DeleteTable => None,
    }
}

fn shorts(operations: &[Operation]) -> Vec<String> {
    operations.iter().filter_map(short).collect()
}

fn start() -> (Model, Programme) {
    let mut model = Model::of(node());
    model.apply([svc("web", "172.30.0.10").port("", 80).change(), web(&["10.180.0.5", "10.180.1.5"])]);
    let (programme, _) = Programme::whole(model.table());
    (model, programme)
}

fn web(ips: &[&str]) -> crate::core::model::Change {
    let slice = eps("web", "web-1").port("", 8080);
    ips.iter().fold(slice, |slice, ip| slice.on("here", ip)).change()
}

fn change(model: &mut Model, programme: &mut Programme, by: crate::core::model::Change) -> Vec<String> {
    let outcome = model.apply([by]);
    shorts(&programme.change(&outcome.difference, model.table()))
}

#[test]
fn an_endpoint_that_is_replaced_changes_its_slot_and_its_hairpin_alone() {
    let (mut model, mut programme) = start();
    let got = change(&mut model, &mut programme, web(&["10.180.0.5", "10.180.1.6"]));
    assert_eq!(got, ["-cluster 1", "-hairpins 1", "+cluster 1", "+hairpins 1"]);
}

#[test]
fn an_endpoint_more_changes_the_shape_and_brings_its_chain_once() {
    let (mut model, mut programme) = start();
    let two = || web(&["10.180.0.5", "10.180.1.5"]);
    let three = || web(&["10.180.0.5", "10.180.1.5", "10.180.1.6"]);
    let got = change(&mut model, &mut programme, three());
    let elements = ["-services 1", "+cluster 1", "+hairpins 1", "+services 1"];
    let shape = ["+chain dnat-address.cluster-3", "+dnat 1", "+masquerades 1"];
    assert_eq!(got, [&shape[..], &elements[..]].concat(), "the masquerading chain is shared by both shapes");
    let got = change(&mut model, &mut programme, two());
    assert_eq!(got, ["-cluster 1", "-hairpins 1", "-services 1", "+services 1"], "the chain stays");
    assert_eq!(change(&mut model, &mut programme, three()), elements, "and is used again");
}

#[test]
fn shapes_that_nobody_uses_go_once_they_are_many() {
    let (mut model, mut programme) = start();
    let ips: Vec<_> = (0..=SPARE_AT_MOST + 2).map(|last| format!("10.180.2.{last}")).collect();
    for count in 3..ips.len() {
        let ips: Vec<_> = ips[..count].iter().map(String::as_str).collect();
        let got = change(&mut model, &mut programme, web(&ips));
        assert!(got.iter().all(|short| !short.starts_with("-chain")), "{count}: {got:?}");
    }
    let ips: Vec<_> = ips.iter().map(String::as_str).collect();
    let went = change(&mut model, &mut programme, web(&ips));
    let chains = went.iter().filter(|short| short.starts_with("-chain dnat-address.cluster-")).count();
    assert_eq!(chains, SPARE_AT_MOST + 1, "{went:?}");
    assert_eq!(went.iter().filter(|short| short.starts_with("-chain masquerade")).count(), 0, "still in use");
}

#[test]
fn a_service_of_a_known_shape_brings_elements_alone() {
    let (mut model, mut programme) = start();
    let got = change(&mut model, &mut programme, svc("api", "172.30.0.11").port("", 80).change());
    assert_eq!(got, ["+dnat 1", "+refusals 1", "+cluster-ips 1", "+services 1"], "it refuses, as the first");
    let slice = eps("api", "api-1").port("", 8080).on("here", "10.180.0.7").on("here", "10.180.0.8");
    let got = change(&mut model, &mut programme, slice.change());
    assert_eq!(got, ["-services 1", "+cluster 2", "+hairpins 2", "+services 1"], "no chain");
}

#[test]
fn nothing_different_is_nothing_to_do() {
    let (mut model, mut programme) = start();
    assert!(change(&mut model, &mut programme, web(&["10.180.0.5", "10.180.1.5"])).is_empty());
}

#[test]
fn all_that_leads_to_a_chain_comes_after_it() {
    let (_, operations) = Programme::whole(start().0.table());
    let mut chains = std::collections::BTreeSet::new();
    for Operation { family, kind } in &operations {
        match kind {
            Kind::AddChain(chain) => {
                assert!(chain.name.len() < 128, "{}", chain.name);
                assert!(chains.insert((*family, chain.name.clone())), "{} twice", chain.name);
            }
            Kind::AddElements { elements, .. } => {
                for element in elements {
                    if let Some(Value::Verdict(Verdict::Goto(chain) | Verdict::Jump(chain))) = &element.value
                    {
                        assert!(chains.contains(&(*family, chain.clone())), "{chain} comes too late");
                    }
                }
            }
            _ => (),
        }
    }
}

#[test]
fn pods_told_in_another_way_are_another_table() {
    let (mut model, mut programme) = start();
    let mut other = node();
    other.pods = Detector::Bridge("cni0".into());
    let outcome = model.apply([crate::core::model::Change::Node(Box::new(other))]);
    let got = programme.change(&outcome.difference, model.table());
    assert_eq!(
        got[..3].iter().map(|it| &it.kind).collect::<Vec<_>>(),
        [&Kind::AddTable, &Kind::DeleteTable, &Kind::AddTable]
    );
}

#[test]
fn many_elements_are_told_in_parts() {
    let rows = (0..ELEMENTS_AT_MOST + 1).map(|_| Row {
        family: Family::V4,
        set: "services",
        element: SetElement { key: vec![1], reach: Reach::Key, value: None },
    });
    let operations = bulk(rows.collect(), |set, elements| Kind::AddElements { set, elements });
    assert_eq!(shorts(&operations), ["+services 500", "+services 1"]);
}
