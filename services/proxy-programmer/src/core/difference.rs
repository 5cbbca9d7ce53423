//! Tables as elements, and the least set of removals and additions that leads from one to another.
//!
//! A value that changes is a removal of the old element and an addition of the new one with the same key, since the
//! kernel's maps know no change; both belong into one transaction, removals first.

use super::{
    address::Cidr,
    endpoints::Target,
    table::{Address, Claim, Entry, Hairpin, Health, HealthPort, Members, NodePort, Rules, SetId, Table},
};
use std::{cmp::Ordering, collections::BTreeSet, net::IpAddr};

/// One element of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// What holds for the node as a whole; there is exactly one.
    Rules(Box<Rules>),
    /// A range that cluster IPs are given from.
    ServiceRange(Cidr),
    /// An address that answers at node ports.
    NodePortAddress(IpAddr),
    /// A cluster IP.
    ClusterIp(IpAddr),
    /// An address of a service.
    Address(Address, Entry),
    /// Who may come to a guarded address.
    Source(Address, Cidr),
    /// A node port of a service.
    NodePort(NodePort, Entry),
    /// The endpoint of this number in a set.
    Slot(SetId, u32, Target),
    /// A member of a set that clients are held to.
    Member(SetId, Target),
    /// An endpoint that may reach itself.
    Hairpin(Hairpin),
    /// A health check port.
    Health(HealthPort, Health),
}

/// What leads from one table to another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// What goes, in order.
    pub removed: Vec<Element>,
    /// What comes, in order.
    pub added: Vec<Element>,
}

impl Difference {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }

    /// Puts both lists in the order of elements.
    pub fn put_in_order(&mut self) {
        self.removed.sort_unstable();
        self.added.sort_unstable();
    }
}

/// The difference between two tables, by looking at all of both: for a start with what is found in the kernel, and for
/// checks. Changes of objects give theirs without it.
pub fn between(old: &Table, new: &Table) -> Difference {
    compare(elements(old), elements(new))
}

/// The difference between two collections of elements.
pub fn compare(mut old: Vec<Element>, mut new: Vec<Element>) -> Difference {
    old.sort_unstable();
    new.sort_unstable();
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    let mut difference = Difference::default();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return difference,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.cmp(new),
        };
        match order {
            Ordering::Less => difference.removed.extend(old.next()),
            Ordering::Greater => difference.added.extend(new.next()),
            Ordering::Equal => drop((old.next(), new.next())),
        }
    }
}

/// All elements of a table.
pub fn elements(table: &Table) -> Vec<Element> {
    let mut all = of_node(table);
    all.extend(table.cluster_ips.iter().copied().map(Element::ClusterIp));
    for (address, claim) in table.addresses.iter() {
        of_address(address, claim, &mut all);
    }
    all.extend(table.node_ports.iter().map(|(port, entry)| Element::NodePort(*port, entry.clone())));
    for (set, members) in &table.sets {
        of_set(set, members, &mut all);
    }
    all.extend(table.hairpins.iter().copied().map(Element::Hairpin));
    all.extend(table.health.iter().map(|(port, health)| Element::Health(*port, health.clone())));
    all
}

/// The elements that are the node's own.
pub fn of_node(table: &Table) -> Vec<Element> {
    let mut all = vec![Element::Rules(Box::new(table.rules.clone()))];
    all.extend(table.service_ranges.iter().copied().map(Element::ServiceRange));
    all.extend(table.node_port_addresses.iter().copied().map(Element::NodePortAddress));
    all
}

/// The elements of an address of a service.
pub fn of_address(address: &Address, claim: &Claim, all: &mut Vec<Element>) {
    all.push(Element::Address(*address, claim.entry.clone()));
    all.extend(claim.sources.iter().map(|range| Element::Source(*address, *range)));
}

/// What differs in a set, without looking at what its endpoints are called, or sorting them: it may have many.
pub fn in_set(set: &SetId, old: Option<&Members>, new: Option<&Members>, difference: &mut Difference) {
    for (number, old, new) in changed_slots(old, new) {
        difference.removed.extend(old.map(|target| Element::Slot(set.clone(), number, target)));
        difference.added.extend(new.map(|target| Element::Slot(set.clone(), number, target)));
    }
    let sticky = |members: Option<&Members>| {
        let members = members.filter(|members| members.sticky);
        members.map(|members| members.targets.iter().copied().collect::<BTreeSet<_>>()).unwrap_or_default()
    };
    let (old, new) = (sticky(old), sticky(new));
    let member = |target: &Target| Element::Member(set.clone(), *target);
    difference.removed.extend(old.difference(&new).map(member));
    difference.added.extend(new.difference(&old).map(member));
}

/// The numbers that stand for another endpoint than before, or for one that they did not, with both.
pub fn changed_slots<'a>(
    old: Option<&'a Members>,
    new: Option<&'a Members>,
) -> impl Iterator<Item = (u32, Option<Target>, Option<Target>)> + use<'a> {
    let targets = |members: Option<&'a Members>| members.map(|it| &*it.targets).unwrap_or_default();
    let (old, new) = (targets(old), targets(new));
    let slots = (0_u32..).zip(0..old.len().max(new.len()));
    let slots = slots.map(|(number, at)| (number, old.get(at).copied(), new.get(at).copied()));
    slots.filter(|(_, old, new)| old != new)
}

/// The elements of a set.
fn of_set(set: &SetId, members: &Members, all: &mut Vec<Element>) {
    for (number, target) in (0..).zip(&members.targets) {
        all.push(Element::Slot(set.clone(), number, *target));
    }
    if members.sticky {
        all.extend(members.targets.iter().map(|target| Element::Member(set.clone(), *target)));
    }
}
