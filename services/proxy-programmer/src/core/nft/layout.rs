//! What is in a family's table whatever the services are: its sets and maps, its base chains and the chains that all share.

use super::{
    expression::{Answer, Ct, Expression, Meta, Register, Verdict},
    load,
    operation::{BaseChain, Chain, ChainType, Data, Field, Hook, Kind, Operation, Set, SetKind},
};
use crate::core::address::Family;

/// The name of our table, the same in both families.
pub const TABLE: &str = "bulkhead-proxy";
/// How many clients a family remembers at most. Whoever comes beyond that is not held to an endpoint.
pub const CLIENTS_AT_MOST: u32 = 1 << 20;

const FIRST: Register = Register(0);
/// Conntrack's bit of a flow whose first packet this is.
const STATE_NEW: u32 = 1 << 3;
/// Conntrack's bit of a flow whose destination was translated.
const STATUS_DST_NAT: u32 = 1 << 5;
const TCP: u8 = 6;

/// All of it; a table of our name that is there already is removed with all that is in it.
pub fn operations(family: Family) -> Vec<Operation> {
    let chains = chains(family);
    let add_chain = |(chain, _): &(Chain, _)| Kind::AddChain(chain.clone());
    let mut kinds = vec![Kind::AddTable, Kind::DeleteTable, Kind::AddTable];
    kinds.extend(sets(family).into_iter().map(Kind::AddSet));
    kinds.extend(chains.iter().map(add_chain));
    for (chain, rules) in chains {
        kinds.extend(rules.into_iter().map(|rule| Kind::AddRule { chain: chain.name.clone(), rule }));
    }
    kinds.into_iter().map(|kind| Operation { family, kind }).collect()
}

/// The sets and maps.
fn sets(family: Family) -> Vec<Set> {
    use Field::{Port, Protocol, Word};
    let address = Field::Address(family);
    let code = [Word, Word];
    let to = [address, Protocol, Port];
    let endpoint = vec![address, Port];
    let set = |name, key: &[Field]| Set { name, key: key.to_vec(), data: None, kind: SetKind::Plain };
    let intervals = |name, key: &[Field]| Set { kind: SetKind::Intervals, ..set(name, key) };
    let map = |name, key: &[Field], data: &[Field]| Set {
        data: Some(Data::Fields(data.to_vec())),
        ..set(name, key)
    };
    let verdicts = |name| Set { data: Some(Data::Verdict), ..set(name, &code) };
    let slot = [Word, Word, Word];
    let entry = [Word, Word, Word, Word, Word];
    let member = [Word, Word, address, Port];
    let clients = map("clients", &[address, Word, Word], &endpoint);
    vec![
        map("services", &to, &entry),
        map("node-ports", &[Protocol, Port], &entry),
        verdicts("guards"),
        verdicts("dnat"),
        verdicts("refusals"),
        verdicts("masquerades"),
        map("cluster", &slot, &endpoint),
        map("local", &slot, &endpoint),
        set("members", &member),
        set("local-members", &member),
        Set { kind: SetKind::Dynamic(CLIENTS_AT_MOST), ..clients },
        set("hairpins", &[address, address, Protocol, Port]),
        intervals("sources", &[address, Protocol, Port, address]),
        set("cluster-ips", &[address]),
        intervals("service-ranges", &[address]),
        intervals("pods", &[address]),
        set("host-addresses", &[address]),
        set("node-addresses", &[address]),
    ]
}

/// The chains with their rules.
fn chains(family: Family) -> Vec<(Chain, Vec<Vec<Expression>>)> {
    use ChainType::{Filter, Nat};
    use Hook::{Forward, Input, Output, Postrouting, Prerouting};
    let base = |name: &str, type_, hook, priority| Chain {
        name: name.to_owned(),
        base: Some(BaseChain { type_, hook, priority }),
    };
    let shared = |name: &str| Chain { name: name.to_owned(), base: None };
    let into = |chain: &str| vec![vec![Expression::Verdict(Verdict::Jump(chain.into()))]];
    let new_into = |chain: &str| vec![[is_new(), into(chain).concat()].concat()];
    vec![
        (base("filter-prerouting", Filter, Prerouting, -110), new_into("guard")),
        (base("filter-output-guard", Filter, Output, -110), new_into("guard")),
        (base("nat-prerouting", Nat, Prerouting, -100), into("dispatch")),
        (base("nat-output", Nat, Output, -100), into("dispatch")),
        (base("filter-input", Filter, Input, 0), new_into("refuse")),
        (base("filter-forward", Filter, Forward, 0), new_into("refuse")),
        (base("filter-output", Filter, Output, 0), new_into("refuse")),
        (base("nat-postrouting", Nat, Postrouting, 100), masquerade(family)),
        (shared("guard"), vec![[load::entry_of_address(family), vec![load::follow("guards")]].concat()]),
        (shared("source-ranges"), source_ranges(family)),
        (shared("dispatch"), by_shape(family, "dnat")),
        (shared("refuse"), [by_shape(family, "refusals"), leftovers(family)].concat()),
        (shared("reject"), reject()),
    ]
}

/// Looks up where the packet is going, and follows what a map says of the shape found.
fn by_shape(family: Family, map: &'static str) -> Vec<Vec<Expression>> {
    [load::entry_of_address(family), load::entry_at_node(family)]
        .map(|entry| [entry, vec![load::follow(map)]].concat())
        .to_vec()
}

/// Only who is in a range of the address may come to it.
fn source_ranges(family: Family) -> Vec<Vec<Expression>> {
    let behind = load::behind_address(family, Register(2));
    let is_in_range = vec![
        load::source(family, behind),
        load::is_in("sources", FIRST),
        Expression::Verdict(Verdict::Return),
    ];
    vec![[load::to(family), is_in_range].concat(), vec![Expression::Verdict(Verdict::Drop)]]
}

/// Other ports of cluster IPs are rejected, addresses that no service has are dropped.
fn leftovers(family: Family) -> Vec<Vec<Expression>> {
    let to_any_in = |set, verdict| {
        vec![load::destination(family, FIRST), load::is_in(set, FIRST), Expression::Verdict(verdict)]
    };
    vec![to_any_in("cluster-ips", Verdict::Goto("reject".into())), to_any_in("service-ranges", Verdict::Drop)]
}

fn reject() -> Vec<Vec<Expression>> {
    let is_tcp = vec![
        Expression::Meta { to: FIRST, key: Meta::L4Proto },
        Expression::Compare { register: FIRST, equal: true, value: vec![TCP] },
    ];
    vec![
        [is_tcp, vec![Expression::Reject(Answer::TcpReset)]].concat(),
        vec![Expression::Reject(Answer::PortUnreachable)],
    ]
}

/// By shape of where the flow was going first; and hairpins.
fn masquerade(family: Family) -> Vec<Vec<Expression>> {
    let destination = load::behind_address(family, FIRST);
    let behind = load::behind_address(family, destination);
    let hairpin = [
        vec![load::source(family, FIRST), load::destination(family, destination)],
        load::port(behind).to_vec(),
        vec![load::is_in("hairpins", FIRST), Expression::Masquerade],
    ];
    let by_shape = [load::original_entry_of_address(family), load::original_entry_at_node(family)]
        .map(|entry| [entry, vec![load::follow("masquerades")]].concat());
    let rules = by_shape.into_iter().chain([hairpin.concat()]);
    rules.map(|rule| [is_translated(), rule].concat()).collect()
}

fn is_new() -> Vec<Expression> {
    has_bit(Ct::State, STATE_NEW)
}

fn is_translated() -> Vec<Expression> {
    has_bit(Ct::Status, STATUS_DST_NAT)
}

fn has_bit(key: Ct, bit: u32) -> Vec<Expression> {
    vec![
        Expression::Ct { to: FIRST, key },
        Expression::And { register: FIRST, mask: bit },
        Expression::Compare { register: FIRST, equal: false, value: vec![0; 4] },
    ]
}

#[cfg(test)]
mod tests;
