//! What the kernel checks of a rule's registers, checked without it: each word that is read was loaded in the same rule, and
//! keys and values are as long as their sets say.

use super::*;
use crate::core::{
    nft::{
        chains::{PodTest, SharedChain},
        expression::{Found, Header},
        shape::At,
    },
    table::{Scope, Way},
};
use std::collections::{BTreeMap, BTreeSet};

const WORDS: usize = 16;

struct Checker {
    sets: BTreeMap<&'static str, Set>,
    loaded: BTreeSet<usize>,
}

impl Checker {
    fn words(register: Register, bytes: usize) -> std::ops::Range<usize> {
        let first = usize::try_from(register.0).unwrap();
        let words = first..first + bytes.div_ceil(4);
        assert!(words.end <= WORDS, "{bytes} bytes do not fit behind word {first}");
        words
    }

    fn load(&mut self, register: Register, bytes: usize) {
        self.loaded.extend(Self::words(register, bytes));
    }

    fn read(&self, register: Register, bytes: usize, what: &Expression) {
        for word in Self::words(register, bytes) {
            assert!(self.loaded.contains(&word), "word {word} was not loaded for {what:?}");
        }
    }

    fn lengths(&self, set: &str) -> (usize, Option<usize>) {
        let length = |fields: &[Field]| fields.iter().map(|field| field.padded()).sum();
        let set = self.sets.get(set).unwrap_or_else(|| panic!("there is no set {set}"));
        let data = set.data.as_ref().and_then(|data| match data {
            Data::Verdict => None,
            Data::Fields(fields) => Some(length(fields)),
        });
        (length(&set.key), data)
    }

    fn expression(&mut self, family: Family, it: &Expression) {
        let address = usize::from(family.bits() / 8);
        match it {
            Expression::Payload { to, length, header, .. } => {
                assert!(*header == Header::Transport || usize::try_from(*length).unwrap() == address);
                self.load(*to, usize::try_from(*length).unwrap());
            }
            Expression::Meta { to, key: Meta::L4Proto } => self.load(*to, 1),
            Expression::Meta { to, key: Meta::InputInterface } => self.load(*to, 16),
            Expression::Ct { to, key: Ct::OriginalAddressV4 | Ct::OriginalAddressV6 } => {
                self.load(*to, address)
            }
            Expression::Ct { to, .. } | Expression::Random { to, .. } => self.load(*to, 4),
            Expression::And { register, .. } => self.read(*register, 4, it),
            Expression::Compare { register, value, .. } => self.read(*register, value.len(), it),
            Expression::Lookup { set, key, found } => {
                let (length, data) = self.lengths(set);
                self.read(*key, length, it);
                if let Found::Data(to) = found {
                    self.load(*to, data.unwrap_or_else(|| panic!("{set} leads to no data")));
                }
            }
            Expression::Dynset { set, key, data, .. } => {
                let (length, of_data) = self.lengths(set);
                self.read(*key, length, it);
                self.read(*data, of_data.unwrap(), it);
            }
            Expression::Dnat { address: at, port } => {
                self.read(*at, address, it);
                self.read(*port, 2, it);
            }
            Expression::Masquerade | Expression::Reject(_) | Expression::Verdict(_) => (),
        }
    }
}

fn all_chains(family: Family) -> Vec<(String, Vec<Vec<Expression>>)> {
    let fixed = chains(family).into_iter().map(|(chain, rules)| (chain.name, rules));
    let mut shared = vec![SharedChain::Masquerade([false, true, true])];
    for (at, affinity) in
        [(At::Address, None), (At::NodePort, None), (At::Address, Some(9)), (At::NodePort, Some(9))]
    {
        let ways = [Way::To(Scope::Cluster, 2), Way::To(Scope::Local, 1), Way::Drop];
        shared.push(SharedChain::Dnat { at, ways, affinity });
    }
    let pods = [PodTest::Ranges, PodTest::Interface(vec![0; 16])];
    let shared = shared
        .into_iter()
        .flat_map(|chain| pods.clone().map(|pods| (chain.to_string(), chain.rules(family, &pods))));
    fixed.chain(shared).collect()
}

#[test]
fn no_rule_reads_what_it_has_not_loaded() {
    for family in Family::ALL {
        for (chain, rules) in all_chains(family) {
            for rule in rules {
                println!("{chain} ({family}): {rule:?}");
                let sets = sets(family).into_iter().map(|set| (set.name, set)).collect();
                let mut checker = Checker { sets, loaded: BTreeSet::new() };
                rule.iter().for_each(|expression| checker.expression(family, expression));
            }
        }
    }
}

#[test]
fn keys_and_values_are_no_longer_than_registers() {
    for family in Family::ALL {
        for set in sets(family) {
            let key: usize = set.key.iter().map(|field| field.padded()).sum();
            assert!(key <= 4 * WORDS, "{}", set.name);
        }
    }
}
