//! A set whose members may be needed by several, and stay until the last one lets go.

use std::collections::BTreeMap;

/// Members, and by how many each is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted<T>(BTreeMap<T, u32>);

impl<T> Default for Counted<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Ord> Counted<T> {
    /// Whether anybody needs it.
    pub fn contains(&self, member: &T) -> bool {
        self.0.contains_key(member)
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.keys()
    }

    /// One more needs it.
    pub fn need(&mut self, member: T) {
        *self.0.entry(member).or_default() += 1;
    }

    /// One less does.
    pub fn let_go(&mut self, member: &T) {
        let left = self.0.get_mut(member).map(|count| {
            *count -= 1;
            *count
        });
        if left == Some(0) {
            self.0.remove(member);
        }
    }
}
