//! How much of what the kernel holds once operations are committed: rules by chain, elements by set. Enough to tell, without
//! listing elements, whether somebody else had a hand in our tables. What keeps all counts, one element or rule for
//! another, is not noticed.

use super::operation::{Kind, Operation, SetKind};
use crate::core::address::Family;
use std::collections::BTreeMap;

/// What one table holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// The rules of each chain that has any.
    pub rules: BTreeMap<String, usize>,
    /// The elements of each set; nothing where it cannot be told, since packets or intervals make them.
    pub sets: BTreeMap<String, Option<usize>>,
}

/// What our tables hold; a family without one does not stand here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory(pub BTreeMap<Family, Holding>);

impl Inventory {
    /// Takes what was committed.
    pub fn follow(&mut self, operations: &[Operation]) {
        operations.iter().for_each(|operation| self.take(operation));
    }

    fn take(&mut self, Operation { family, kind }: &Operation) {
        if *kind == Kind::DeleteTable {
            self.0.remove(family);
            return;
        }
        let table = self.0.entry(*family).or_default();
        let count = |table: &mut Holding, set: &str, change: &dyn Fn(usize) -> usize| {
            if let Some(Some(count)) = table.sets.get_mut(set) {
                *count = change(*count);
            }
        };
        match kind {
            Kind::AddTable | Kind::AddChain(_) | Kind::DeleteTable => (),
            Kind::AddSet(set) => {
                let elements = (set.kind == SetKind::Plain).then_some(0);
                table.sets.insert(set.name.to_owned(), elements);
            }
            Kind::DeleteChain(chain) => drop(table.rules.remove(chain)),
            Kind::AddRule { chain, .. } => *table.rules.entry(chain.clone()).or_default() += 1,
            Kind::AddElements { set, elements } => {
                count(table, set, &|before| before.saturating_add(elements.len()));
            }
            Kind::DeleteElements { set, elements } => {
                count(table, set, &|before| before.saturating_sub(elements.len()));
            }
        }
    }

    /// Whether what was found is this, as far as it was counted.
    pub fn is(&self, found: &Self) -> bool {
        self.0.len() == found.0.len()
            && self.0.iter().all(|(family, own)| found.0.get(family).is_some_and(|found| own.is(found)))
    }
}

impl Holding {
    fn is(&self, found: &Self) -> bool {
        let is_same = |own: &Option<usize>, found: &Option<usize>| match (own, found) {
            (Some(own), Some(found)) => own == found,
            _ => true,
        };
        self.rules == found.rules
            && self.sets.iter().all(|(set, own)| found.sets.get(set).is_some_and(|found| is_same(own, found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        model::Model,
        nft::programme::Programme,
        testing::{eps, node, svc},
    };

    #[test]
    fn an_inventory_follows_what_is_committed() {
        let mut model = Model::of(node());
        let (mut programme, operations) = Programme::whole(model.table());
        let mut followed = Inventory::default();
        followed.follow(&operations);
        assert_eq!(followed.0.len(), 2);
        let web = svc("web", "172.30.0.41").port("", 80);
        let slice = || eps("web", "web-1").port("", 8080).on("here", "10.180.0.1");
        let changes = [web.change(), slice().change(), slice().on("there", "10.180.1.1").change()];
        for change in changes {
            let outcome = model.apply([change]);
            followed.follow(&programme.change(&outcome.difference, model.table()));
        }
        let services = |inventory: &Inventory| inventory.0[&Family::V4].sets["services"];
        assert_eq!((services(&followed), followed.0[&Family::V4].sets["clients"]), (Some(1), None));
        let mut whole = Inventory::default();
        whole.follow(&Programme::whole(model.table()).1);
        let elements = |inventory: &Inventory, set: &str| inventory.0[&Family::V4].sets[set];
        for set in ["services", "cluster", "hairpins", "cluster-ips", "host-addresses"] {
            assert_eq!(elements(&followed, set), elements(&whole, set), "{set}");
        }
    }

    #[test]
    fn what_somebody_else_does_is_noticed() {
        let mut own = Inventory::default();
        own.follow(&Programme::whole(Model::of(node()).table()).1);
        let change = |change: &dyn Fn(&mut Holding)| {
            let mut found = own.clone();
            change(found.0.get_mut(&Family::V4).unwrap());
            found
        };
        let mut flushed = own.clone();
        flushed.0.remove(&Family::V6);
        // (sentence, what is found, is it ours still)
        let cases = [
            ("nothing", own.clone(), true),
            ("all tables gone", Inventory::default(), false),
            ("one of the tables gone", flushed, false),
            ("a chain without its rules", change(&|it| _ = it.rules.remove("dispatch")), false),
            ("a rule more", change(&|it| *it.rules.get_mut("dispatch").unwrap() += 1), false),
            ("a set gone", change(&|it| _ = it.sets.remove("services")), false),
            ("an element gone", change(&|it| _ = it.sets.insert("services".into(), Some(7))), false),
            ("clients of packets", change(&|it| _ = it.sets.insert("clients".into(), Some(7))), true),
            (
                "a kernel that does not count",
                change(&|it| it.sets.values_mut().for_each(|it| *it = None)),
                true,
            ),
            ("a set of somebody's", change(&|it| _ = it.sets.insert("theirs".into(), Some(7))), true),
        ];
        for (sentence, found, want) in cases {
            assert_eq!(own.is(&found), want, "{sentence}");
        }
    }
}
