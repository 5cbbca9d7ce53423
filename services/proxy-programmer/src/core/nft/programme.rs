//! What is programmed, as far as it must be known to change it: which shapes are in use, and so which chains. All else follows
//! from the difference alone.

use super::{
    chains::{PodTest, SharedChain},
    elements::{self, Ranges, Row},
    layout,
    operation::{Chain, ELEMENTS_AT_MOST, Kind, Operation, Reach, SetElement, Value},
    shape::Shape,
};
use crate::core::{
    address::{Cidr, Family},
    difference::{self, Difference, Element},
    node::Detector,
    table::{Address, Rules, Table},
};
use std::collections::{BTreeMap, BTreeSet};

/// How many shapes that nobody uses are kept.
const SPARE_AT_MOST: usize = 64;

/// What is programmed. Whoever holds it must see to it that every list of operations is committed, in order.
#[derive(Debug, Clone)]
pub struct Programme {
    detector: Detector,
    shapes: BTreeMap<(Family, Shape), usize>,
    chains: BTreeMap<(Family, SharedChain), usize>,
}

impl Programme {
    /// A whole table in place of whatever was there before under our name.
    pub fn whole(table: &Table) -> (Self, Vec<Operation>) {
        let detector = table.rules.pods.clone();
        let mut programme = Self { detector, shapes: BTreeMap::new(), chains: BTreeMap::new() };
        let mut operations: Vec<_> = Family::ALL.into_iter().flat_map(layout::operations).collect();
        let all = Difference { removed: Vec::new(), added: difference::elements(table) };
        operations.extend(programme.follow(&all, table));
        (programme, operations)
    }

    /// The operations of a change; `table` is what the change led to.
    pub fn change(&mut self, difference: &Difference, table: &Table) -> Vec<Operation> {
        if self.detector == table.rules.pods || !self.is_told_otherwise(&table.rules.pods) {
            self.detector = table.rules.pods.clone();
            return self.follow(difference, table);
        }
        // chains tell pods apart, so all of them are different
        let (programme, operations) = Self::whole(table);
        *self = programme;
        operations
    }

    fn is_told_otherwise(&self, detector: &Detector) -> bool {
        let test = |detector, family| PodTest::of(detector, family);
        Family::ALL.into_iter().any(|family| test(&self.detector, family) != test(detector, family))
    }

    fn follow(&mut self, difference: &Difference, table: &Table) -> Vec<Operation> {
        let [come, gone] = self.count(difference);
        let (removed, added) = rows(difference, table);
        let mut operations = self.bring(&come);
        operations.extend(bulk(removed, |set, elements| Kind::DeleteElements { set, elements }));
        operations.extend(bulk(added, |set, elements| Kind::AddElements { set, elements }));
        operations.extend(self.take_away(&gone));
        operations
    }

    /// Counts who uses which shape, and tells the shapes that come and those that go. Those that nobody uses any more stay for a
    /// while: a rule in a new chain costs the kernel a walk through every map that it looks into, one that is there nothing.
    fn count(&mut self, difference: &Difference) -> [Vec<(Family, Shape)>; 2] {
        let mut come = Vec::new();
        for key in shapes(&difference.added) {
            let uses = self.shapes.entry(key.clone()).or_insert_with(|| {
                come.push(key);
                0
            });
            *uses += 1;
        }
        for key in shapes(&difference.removed) {
            if let Some(uses) = self.shapes.get_mut(&key) {
                *uses = uses.saturating_sub(1);
            }
        }
        let unused = self.shapes.iter().filter(|(_, uses)| **uses == 0).map(|(key, _)| key.clone());
        let unused: Vec<_> = unused.collect();
        if unused.len() <= SPARE_AT_MOST {
            return [come, Vec::new()];
        }
        for key in &unused {
            self.shapes.remove(key);
        }
        [come, unused]
    }

    /// Chains and verdicts of shapes that were not in use before.
    fn bring(&mut self, shapes: &[(Family, Shape)]) -> Vec<Operation> {
        let (mut chains, mut verdicts) = (Vec::new(), Vec::new());
        for (family, shape) in shapes {
            let leads = shape.leads();
            for chain in leads.chains {
                let uses = self.chains.entry((*family, chain.clone())).or_default();
                *uses += 1;
                if *uses == 1 {
                    chains.extend(add_chain(*family, &chain, &PodTest::of(&self.detector, *family)));
                }
            }
            verdicts.extend(shape_rows(*family, shape));
        }
        chains.extend(bulk(verdicts, |set, elements| Kind::AddElements { set, elements }));
        chains
    }

    /// The reverse.
    fn take_away(&mut self, shapes: &[(Family, Shape)]) -> Vec<Operation> {
        let (mut chains, mut verdicts) = (Vec::new(), Vec::new());
        for (family, shape) in shapes {
            verdicts.extend(shape_rows(*family, shape));
            for chain in shape.leads().chains {
                let key = (*family, chain);
                let Some(uses) = self.chains.get_mut(&key) else { continue };
                *uses -= 1;
                if *uses == 0 {
                    let kind = Kind::DeleteChain(key.1.to_string());
                    chains.push(Operation { family: *family, kind });
                    self.chains.remove(&key);
                }
            }
        }
        let mut operations = bulk(verdicts, |set, elements| Kind::DeleteElements { set, elements });
        operations.extend(chains);
        operations
    }
}

fn shapes(elements: &[Element]) -> impl Iterator<Item = (Family, Shape)> {
    elements.iter().filter_map(|element| match element {
        Element::Address(address, entry) => Some((Family::of(address.ip), Shape::of(entry))),
        Element::NodePort(port, entry) => Some((port.family, Shape::of(entry))),
        _ => None,
    })
}

fn shape_rows(family: Family, shape: &Shape) -> Vec<Row> {
    let key = shape.code().to_vec();
    let row = |(set, verdict)| Row {
        family,
        set,
        element: SetElement { key: key.clone(), reach: Reach::Key, value: Some(Value::Verdict(verdict)) },
    };
    shape.leads().verdicts.into_iter().map(row).collect()
}

fn add_chain(family: Family, chain: &SharedChain, pods: &PodTest) -> Vec<Operation> {
    let name = chain.to_string();
    let add = Kind::AddChain(Chain { name: name.clone(), base: None });
    let rules = chain.rules(family, pods).into_iter();
    let rules = rules.map(|rule| Kind::AddRule { chain: name.clone(), rule });
    [add].into_iter().chain(rules).map(|kind| Operation { family, kind }).collect()
}

/// Rows that go and rows that come.
fn rows(difference: &Difference, table: &Table) -> (Vec<Row>, Vec<Row>) {
    let Difference { removed, added } = difference;
    let of_elements = |elements: &[Element]| elements.iter().filter_map(elements::of).collect::<Vec<_>>();
    let of_rules = |elements: &[Element]| match elements {
        [Element::Rules(rules), ..] => elements::of_rules(rules),
        _ => Vec::new(),
    };
    let (mut gone, mut come) = (of_elements(removed), of_elements(added));
    let mut changed = vec![(of_rules(removed), of_rules(added))];
    changed.extend(
        ranges(difference, table)
            .into_iter()
            .map(|(of, Changed { old, new })| (elements::of_ranges(of, &old), elements::of_ranges(of, &new))),
    );
    for (old, new) in changed {
        gone.extend(old.iter().filter(|row| !new.contains(row)).cloned());
        come.extend(new.iter().filter(|row| !old.contains(row)).cloned());
    }
    (gone, come)
}

/// Ranges of which some changed, as they were and as they are.
#[derive(Default)]
struct Changed {
    old: BTreeSet<Cidr>,
    new: BTreeSet<Cidr>,
}

fn ranges(difference: &Difference, table: &Table) -> BTreeMap<Ranges, Changed> {
    let mut changed: BTreeMap<Ranges, Changed> = BTreeMap::new();
    let ranges_now = |of: &Ranges| match of {
        Ranges::Pods => pod_ranges(&table.rules),
        Ranges::Services => table.service_ranges.clone(),
        Ranges::Sources(address) => sources(table, address),
    };
    let touched = difference.added.iter().chain(&difference.removed).flat_map(ranges_in);
    for (of, _) in touched {
        changed.entry(of).or_insert_with(|| Changed { old: ranges_now(&of), new: ranges_now(&of) });
    }
    for (of, range) in difference.added.iter().flat_map(ranges_in) {
        changed.entry(of).or_default().old.remove(&range);
    }
    for (of, range) in difference.removed.iter().flat_map(ranges_in) {
        changed.entry(of).or_default().old.insert(range);
    }
    changed
}

fn sources(table: &Table, address: &Address) -> BTreeSet<Cidr> {
    table.addresses.get(address).map(|claim| claim.sources.clone()).unwrap_or_default()
}

fn pod_ranges(rules: &Rules) -> BTreeSet<Cidr> {
    match &rules.pods {
        Detector::ClusterCidr(ranges) | Detector::NodeCidr(ranges) => ranges.clone(),
        _ => BTreeSet::new(),
    }
}

fn ranges_in(element: &Element) -> Vec<(Ranges, Cidr)> {
    match element {
        Element::ServiceRange(range) => vec![(Ranges::Services, *range)],
        Element::Source(address, range) => vec![(Ranges::Sources(*address), *range)],
        Element::Rules(rules) => pod_ranges(rules).into_iter().map(|range| (Ranges::Pods, range)).collect(),
        _ => Vec::new(),
    }
}

/// Rows as operations: one for each set, unless it has more elements than one may name.
fn bulk(rows: Vec<Row>, kind: impl Fn(&'static str, Vec<SetElement>) -> Kind) -> Vec<Operation> {
    let mut sets: BTreeMap<(Family, &'static str), Vec<SetElement>> = BTreeMap::new();
    for Row { family, set, element } in rows {
        sets.entry((family, set)).or_default().push(element);
    }
    let mut operations = Vec::new();
    for ((family, set), elements) in sets {
        let parts = elements.chunks(ELEMENTS_AT_MOST);
        operations.extend(parts.map(|part| Operation { family, kind: kind(set, part.to_vec()) }));
    }
    operations
}

#[cfg(test)]
mod tests;
