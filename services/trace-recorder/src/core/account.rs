//! Where the time of a trace went.
//!
//! Every moment of the root is given to one leaf: the one under way then that ended last, since without it
//! the end would have come no later than the others allow. What no leaf covers is `outside`: time that
//! nobody's deed explains, the first thing to look at when a start is slow. Shares and outside add up to the
//! root's length. Of what is outside, the part is told in which a message was on its way to a process: on the bus, or in
//! a queue or mailbox of the process.

use super::{
    model::Span,
    tree::{Row, Tree},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The account of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The root's length; where the root has not arrived, from the first beginning to the last end.
    pub total: Duration,
    /// Time of the root in which no leaf was under way.
    pub outside: Duration,
    /// What of `outside` messages were on their way, by the process that they were for, the largest first.
    pub hops: Vec<Hop>,
    /// By deed, the largest first.
    pub shares: Vec<Share>,
}

/// What one kind of deed took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The spans' name.
    pub name: String,
    /// The process that did it.
    pub process: String,
    /// How many leaves of that name.
    pub leaves: usize,
    /// Time that is given to them.
    pub time: Duration,
}

/// Messages on their way to one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The process.
    pub process: String,
    /// How many were on their way while no leaf was under way.
    pub messages: usize,
    /// For how long.
    pub time: Duration,
}

impl Account {
    /// The account of a tree.
    pub fn of(tree: &Tree<'_>) -> Self {
        let leaves: Vec<&Span> =
            tree.rows.iter().filter(|row| counts(row, tree)).map(|row| row.span).collect();
        let (begin, end) = bounds(tree);
        let mut given: BTreeMap<(&str, &str), (usize, u64)> = BTreeMap::new();
        for leaf in &leaves {
            given.entry((&leaf.name, &leaf.process)).or_default().0 += 1;
        }
        let mut gaps = Vec::new();
        for (from, to) in stretches(leaves.iter().map(|leaf| (leaf.begin, leaf.end)), begin, end) {
            let under_way = leaves.iter().filter(|leaf| leaf.begin <= from && leaf.end >= to);
            match under_way.max_by_key(|leaf| leaf.end) {
                Some(leaf) => given.entry((&leaf.name, &leaf.process)).or_default().1 += to - from,
                None => gaps.push((from, to)),
            }
        }
        let outside = gaps.iter().map(|(from, to)| to - from).sum();
        let total = Duration::from_nanos(end - begin);
        Self { total, outside: Duration::from_nanos(outside), hops: hops(tree, &gaps), shares: shares(given) }
    }
}

/// A leaf counts, unless it is the root that has children: a lone root is its own leaf.
fn counts(row: &Row<'_>, tree: &Tree<'_>) -> bool {
    row.is_leaf && (tree.rows.len() == 1 || tree.root.is_none_or(|root| root.id != row.span.id))
}

fn bounds(tree: &Tree<'_>) -> (u64, u64) {
    match tree.root {
        Some(root) => (root.begin, root.end),
        None => {
            let begin = tree.rows.iter().map(|row| row.span.begin).min().unwrap_or_default();
            (begin, tree.rows.iter().map(|row| row.span.end).max().unwrap_or(begin))
        }
    }
}

/// Who was waited for in the gaps between leaves: of several messages on their way, that which arrived last.
fn hops(tree: &Tree<'_>, gaps: &[(u64, u64)]) -> Vec<Hop> {
    let sent: Vec<&Span> =
        tree.rows.iter().map(|row| row.span).filter(|span| span.sent() < span.begin).collect();
    let mut given: BTreeMap<&str, (BTreeSet<[u8; 8]>, u64)> = BTreeMap::new();
    for (begin, end) in gaps {
        for (from, to) in stretches(sent.iter().map(|span| (span.sent(), span.begin)), *begin, *end) {
            let on_its_way = sent.iter().filter(|span| span.sent() <= from && span.begin >= to);
            if let Some(last) = on_its_way.max_by_key(|span| span.begin) {
                let (messages, nanos) = given.entry(&last.process).or_default();
                messages.insert(last.id.to_bytes());
                *nanos += to - from;
            }
        }
    }
    let hop = |(process, (messages, nanos)): (&str, (BTreeSet<_>, u64))| Hop {
        process: process.to_owned(),
        messages: messages.len(),
        time: Duration::from_nanos(nanos),
    };
    let mut hops: Vec<Hop> = given.into_iter().map(hop).collect();
    hops.sort_by_key(|hop| std::cmp::Reverse(hop.time));
    hops
}

/// A time, cut wherever one of these begins or ends.
fn stretches(those: impl Iterator<Item = (u64, u64)>, begin: u64, end: u64) -> Vec<(u64, u64)> {
    let edges = those.flat_map(|(from, to)| [from, to]);
    let mut cuts: Vec<u64> = edges.map(|edge| edge.clamp(begin, end)).chain([begin, end]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

fn shares(given: BTreeMap<(&str, &str), (usize, u64)>) -> Vec<Share> {
    let share = |((name, process), (leaves, nanos)): ((&str, &str), (usize, u64))| Share {
        name: name.to_owned(),
        process: process.to_owned(),
        leaves,
        time: Duration::from_nanos(nanos),
    };
    let mut shares: Vec<Share> = given.into_iter().map(share).collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.time));
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        core::model::Trace,
        samples::{self, Deed},
    };
    use chassis::telemetry::keys;

    fn account(deeds: &[Deed]) -> (u64, u64, Vec<(String, u64)>) {
        let trace = Trace::read(samples::trace(1), &samples::export(deeds).resource_spans, 0);
        let account = Account::of(&Tree::of(&trace));
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap();
        let shares = account.shares.iter().map(|share| (share.name.clone(), millis(share.time))).collect();
        let sum: Duration = account.shares.iter().map(|share| share.time).sum();
        assert_eq!(sum + account.outside, account.total, "shares and outside are the whole");
        (millis(account.total), millis(account.outside), shares)
    }

    #[test]
    fn every_moment_is_given_to_the_leaf_that_ended_last() {
        let root = || Deed::new(1, 1, None, "pod start").at(0, 100);
        let leaf = |id, name: &str, begin, end| Deed::new(1, id, Some(1), name).at(begin, end);
        type Row = (&'static str, Vec<Deed>, u64, Vec<(&'static str, u64)>);
        let cases: Vec<Row> = vec![
            (
                "leaves one after the other",
                vec![root(), leaf(2, "a", 0, 60), leaf(3, "b", 60, 100)],
                0,
                vec![("a", 60), ("b", 40)],
            ),
            (
                "a gap between them",
                vec![root(), leaf(2, "a", 0, 60), leaf(3, "b", 70, 100)],
                10,
                vec![("a", 60), ("b", 30)],
            ),
            (
                "side by side, the longer one counts",
                vec![root(), leaf(2, "a", 0, 60), leaf(3, "b", 0, 100)],
                0,
                vec![("b", 100), ("a", 0)],
            ),
            (
                "the part of a leaf beyond the root is nobody's",
                vec![root(), leaf(2, "a", 90, 500)],
                90,
                vec![("a", 10)],
            ),
            (
                "a parent's own time is outside",
                vec![root(), leaf(2, "a", 0, 100), Deed::new(1, 3, Some(2), "a1").at(10, 100)],
                10,
                vec![("a1", 90)],
            ),
            ("a lone root is its own leaf", vec![root()], 0, vec![("pod start", 100)]),
        ];
        for (name, deeds, outside, shares) in cases {
            let want = shares.into_iter().map(|(name, millis)| (name.to_owned(), millis)).collect();
            assert_eq!(account(&deeds), (100, outside, want), "{name}");
        }
    }

    #[test]
    fn outside_of_leaves_a_message_on_its_way_is_told_by_whom_it_was_for() {
        let queued = |deed: Deed, millis: u64| {
            deed.with(samples::attribute(keys::QUEUED, &(millis * 1000).to_string()))
        };
        let leaf = |id, process, begin, end| Deed::new(1, id, Some(1), "a").by(process).at(begin, end);
        let root = Deed::new(1, 1, None, "pod start").at(0, 100);
        let deeds = [
            root,
            leaf(2, "volume-mounter", 0, 40),
            // Ten of its thirty are under that leaf; then five more that nobody explains.
            queued(leaf(3, "cri-bridge", 65, 80), 35),
            // Both are on their way: the later arrival is what is waited for.
            queued(leaf(4, "status-reporter", 95, 100), 15),
            queued(leaf(5, "prober", 90, 91), 10),
        ];
        let trace = Trace::read(samples::trace(1), &samples::export(&deeds).resource_spans, 0);
        let account = Account::of(&Tree::of(&trace));
        let hops: Vec<_> = account
            .hops
            .iter()
            .map(|hop| (hop.process.as_str(), hop.messages, hop.time.as_millis()))
            .collect();
        assert_eq!(hops, [("cri-bridge", 1, 25), ("status-reporter", 1, 14)]);
        assert_eq!(account.outside.as_millis(), 39);
    }

    #[test]
    fn without_a_root_the_account_spans_what_is_there() {
        let deeds = [Deed::new(1, 2, Some(1), "a").at(10, 40), Deed::new(1, 3, Some(1), "b").at(50, 60)];
        assert_eq!(account(&deeds), (50, 10, vec![("a".into(), 30), ("b".into(), 10)]));
    }
}
