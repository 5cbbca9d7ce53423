//! A map that remembers a bounded number of keys: beyond it, those that were used least recently are
//! forgotten, half of them at once, so that the search is paid for by many uses.
//!
//! What is remembered of a key is its hash, with a seed of this process: keys are whole names and events.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    marker::PhantomData,
};

/// The map.
#[derive(Debug)]
pub struct Recent<K, V> {
    entries: HashMap<u64, (u64, V)>,
    seed: RandomState,
    limit: usize,
    tick: u64,
    keys: PhantomData<fn(K)>,
}

impl<K: Hash, V> Recent<K, V> {
    /// A map of at most `limit` keys.
    pub fn new(limit: usize) -> Self {
        Self { entries: HashMap::new(), seed: RandomState::new(), limit, tick: 0, keys: PhantomData }
    }

    /// The value of a key, made where it was not remembered.
    pub fn get(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        let key = self.seed.hash_one(key);
        self.tick += 1;
        if !self.entries.contains_key(&key) && self.entries.len() >= self.limit {
            self.forget_half();
        }
        let entry = self.entries.entry(key).or_insert_with(|| (0, make()));
        entry.0 = self.tick;
        &mut entry.1
    }

    /// The value of a key, if it is remembered; that is no use of it.
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.entries.get(&self.seed.hash_one(key)).map(|(_, value)| value)
    }

    /// Forgets a key.
    pub fn forget(&mut self, key: &K) {
        self.entries.remove(&self.seed.hash_one(key));
    }

    fn forget_half(&mut self) {
        let mut ticks: Vec<u64> = self.entries.values().map(|(tick, _)| *tick).collect();
        let (_, median, _) = ticks.select_nth_unstable(self.limit / 2);
        let median = *median;
        self.entries.retain(|_, (tick, _)| *tick > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recent_are_forgotten() {
        let mut recent = Recent::new(4);
        for key in 0..4 {
            *recent.get(&key, || 0) += key;
        }
        *recent.get(&0, || 9) += 1;
        recent.get(&4, || 4);
        assert_eq!((recent.peek(&0), recent.peek(&1)), (Some(&1), None));
        assert_eq!(*recent.get(&0, || 9), 1, "used just now");
        assert_eq!(*recent.get(&1, || 9), 9, "forgotten and made anew");
        assert!(recent.entries.len() <= 4);
    }
}
