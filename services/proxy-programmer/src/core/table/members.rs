//! The endpoints of a set, numbered.

use crate::core::endpoints::Target;
use std::collections::BTreeSet;

/// A set's endpoints; an endpoint's number is its place, from 0 without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// The endpoints.
    pub targets: Vec<Target>,
    /// Whether clients are held to them, so that membership is looked up.
    pub sticky: bool,
}

impl Members {
    /// Numbers the wanted endpoints so that of those that were there before as few as possible change: each keeps its
    /// number if there still is such a number; the others, and then newcomers in their order, fill what is free.
    pub fn arrange(before: &[Target], mut wanted: BTreeSet<Target>, sticky: bool) -> Self {
        let mut places = vec![None; wanted.len()];
        let mut moving = Vec::new();
        for (number, target) in before.iter().enumerate().filter(|(_, target)| wanted.remove(target)) {
            match places.get_mut(number) {
                Some(place) => *place = Some(*target),
                None => moving.push(*target),
            }
        }
        let mut filling = moving.into_iter().chain(wanted);
        let targets = places.into_iter().filter_map(|place| place.or_else(|| filling.next())).collect();
        Self { targets, sticky }
    }

    /// Whether it is one of them. Takes as long as there are endpoints: for looking into a table, not for building one.
    pub fn contains(&self, target: &Target) -> bool {
        self.targets.contains(target)
    }

    /// Numbers them anew, in their order.
    pub fn put_in_order(&mut self) {
        self.targets.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::target;

    #[test]
    fn endpoints_keep_their_numbers_where_they_can() {
        // (sentence, before, wanted, after); endpoints are told by their last octet
        type Octets = &'static [u8];
        let cases: &[(&str, Octets, Octets, Octets)] = &[
            ("the first ones are in order", &[], &[3, 1, 2], &[1, 2, 3]),
            ("a newcomer comes last, wherever its address is", &[2, 3], &[1, 2, 3], &[2, 3, 1]),
            ("the last one fills the gap of one that ended", &[1, 2, 3, 4], &[1, 3, 4], &[1, 4, 3]),
            ("the last one's end moves nobody", &[1, 2, 3], &[1, 2], &[1, 2]),
            ("a newcomer takes the place of one that ended", &[1, 2, 3], &[1, 3, 9], &[1, 9, 3]),
            ("all end", &[1, 2], &[], &[]),
            ("all are replaced", &[1, 2], &[3, 4], &[3, 4]),
            ("no more move than ended", &[1, 2, 3, 4, 5], &[3, 4, 5], &[4, 5, 3]),
        ];
        let targets = |octets: &[u8]| octets.iter().map(|it| target(&format!("10.0.0.{it}:80"))).collect();
        for (sentence, before, wanted, after) in cases {
            let before: Vec<Target> = targets(before);
            let wanted: Vec<Target> = targets(wanted);
            let got = Members::arrange(&before, wanted.into_iter().collect(), false);
            assert_eq!(got.targets, targets(after), "{sentence}");
        }
    }
}
