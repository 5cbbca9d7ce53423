//! A map whose keys may be claimed by several, and held by one.

use std::collections::BTreeMap;

/// A map from keys to the claims of whoever has the least rank; the others wait until it withdraws.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contested<K, R, V> {
    held: BTreeMap<K, (R, V)>,
    waiting: BTreeMap<K, BTreeMap<R, V>>,
}

impl<K, R, V> Default for Contested<K, R, V> {
    fn default() -> Self {
        Self { held: BTreeMap::new(), waiting: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, R: Ord, V> Contested<K, R, V> {
    /// The claim that counts.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.held.get(key).map(|(_, value)| value)
    }

    /// The claims that count, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.held.iter().map(|(key, (_, value))| (key, value))
    }

    /// How many keys are held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Who waits for a key, with who holds it.
    pub fn disputes(&self) -> impl Iterator<Item = (&K, &R, &R)> {
        let disputes = self.waiting.iter().filter_map(|(key, ranks)| {
            let (holder, _) = self.held.get(key)?;
            Some(ranks.keys().map(move |loser| (key, loser, holder)))
        });
        disputes.flatten()
    }

    /// Claims a key. A second claim of the same rank takes the first one's place.
    pub fn claim(&mut self, key: K, rank: R, value: V) {
        match self.held.get(&key) {
            Some((holder, _)) if *holder < rank => self.wait(key, rank, value),
            Some((holder, _)) if *holder == rank => drop(self.held.insert(key, (rank, value))),
            _ => {
                if let Some((loser, lost)) = self.held.insert(key.clone(), (rank, value)) {
                    self.wait(key, loser, lost);
                }
            }
        }
    }

    /// Withdraws a claim; whoever waits next gets the key.
    pub fn withdraw(&mut self, key: &K, rank: &R) {
        if self.held.get(key).is_none_or(|(holder, _)| holder != rank) {
            if let Some(ranks) = self.waiting.get_mut(key) {
                ranks.remove(rank);
            }
        } else if let Some(heir) = self.waiting.get_mut(key).and_then(BTreeMap::pop_first) {
            self.held.insert(key.clone(), heir);
        } else {
            self.held.remove(key);
        }
        if self.waiting.get(key).is_some_and(BTreeMap::is_empty) {
            self.waiting.remove(key);
        }
    }

    fn wait(&mut self, key: K, rank: R, value: V) {
        self.waiting.entry(key).or_default().insert(rank, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_rank_holds_a_key_in_whatever_order_they_come() {
        let mut order = [3, 1, 4, 2];
        for _ in 0..4 {
            order.rotate_left(1);
            let mut map = Contested::default();
            order.iter().for_each(|rank| map.claim(80, *rank, rank * 10));
            let mut holders = Vec::new();
            for next in 1..=4 {
                holders.extend(map.get(&80).copied());
                map.withdraw(&80, &next);
            }
            assert_eq!(holders, [10, 20, 30, 40], "{order:?}");
            assert_eq!(map, Contested::default());
        }
    }

    #[test]
    fn who_only_waited_leaves_the_holder_alone() {
        let mut map = Contested::default();
        map.claim(80, 1, "first");
        map.claim(80, 2, "second");
        assert_eq!(map.disputes().collect::<Vec<_>>(), [(&80, &2, &1)]);
        map.withdraw(&80, &2);
        assert_eq!((map.get(&80), map.disputes().count()), (Some(&"first"), 0));
    }
}
