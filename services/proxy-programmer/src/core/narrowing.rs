//! Which services a table is refused for: the suspects are halved, and each half is tried, until those at fault stand
//! alone. Trials are questions to the kernel that change nothing.

use super::name::ServiceName;
use std::collections::BTreeSet;

/// Trials at most. Whoever is still suspected then is left out untried, so that a kernel that refuses thousands does not
/// keep all others waiting.
const TRIALS_AT_MOST: u32 = 256;

/// A search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowing {
    suspects: Vec<ServiceName>,
    groups: Vec<Group>,
    guilty: BTreeSet<ServiceName>,
    has_begun: bool,
    trials: u32,
}

/// Suspects that are tried together.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    names: Vec<ServiceName>,
    /// A fault is among them, beyond doubt.
    is_at_fault: bool,
    /// If none is, one is in the next group.
    clears_next: bool,
}

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Without these the table is accepted.
    Guilty(BTreeSet<ServiceName>),
    /// Without all suspects it is refused as well.
    Nobody,
}

impl Narrowing {
    /// Begins; with all of these the table was refused.
    pub fn of(suspects: &BTreeSet<ServiceName>) -> Self {
        let suspects = suspects.iter().cloned().collect();
        Self { suspects, groups: Vec::new(), guilty: BTreeSet::new(), has_begun: false, trials: 0 }
    }

    /// Whom the next trial leaves out.
    pub fn trial(&self) -> BTreeSet<ServiceName> {
        if !self.has_begun {
            return self.suspects.iter().cloned().collect();
        }
        let others = self.groups.split_last().map(|(_, others)| others).unwrap_or_default();
        others
            .iter()
            .flat_map(|group| group.names.iter().cloned())
            .chain(self.guilty.iter().cloned())
            .collect()
    }

    /// Takes what the trial came to.
    pub fn learn(&mut self, is_accepted: bool) -> Option<Finding> {
        self.trials += 1;
        if self.has_begun {
            self.judge(is_accepted);
        } else if is_accepted {
            self.has_begun = true;
            let names = std::mem::take(&mut self.suspects);
            self.groups.push(Group { names, is_at_fault: true, clears_next: false });
        } else {
            return Some(Finding::Nobody);
        }
        self.divide();
        if self.trials >= TRIALS_AT_MOST {
            self.guilty.extend(self.groups.drain(..).flat_map(|group| group.names));
        }
        self.groups.is_empty().then(|| Finding::Guilty(std::mem::take(&mut self.guilty)))
    }

    fn judge(&mut self, is_accepted: bool) {
        let Some(group) = self.groups.pop() else { return };
        if !is_accepted {
            self.groups.push(Group { is_at_fault: true, ..group });
        } else if group.clears_next
            && let Some(next) = self.groups.last_mut()
        {
            next.is_at_fault = true;
        }
    }

    /// Takes apart the next group until it is one of which nothing is known.
    fn divide(&mut self) {
        while let Some(Group { names: mut first, .. }) = self.groups.pop_if(|group| group.is_at_fault) {
            if first.len() <= 1 {
                self.guilty.extend(first);
                continue;
            }
            let names = first.split_off(first.len() / 2);
            self.groups.push(Group { names, is_at_fault: false, clears_next: false });
            self.groups.push(Group { names: first, is_at_fault: false, clears_next: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<ServiceName> {
        let name = |number| ServiceName::new(Some("default"), Some(&format!("s{number:04}"))).unwrap();
        numbers.into_iter().map(name).collect()
    }

    /// Searches among so many services, of which a kernel refuses these sets; with the trials that it took.
    fn search(all: usize, refused: &[BTreeSet<ServiceName>]) -> (Finding, u32) {
        let all = names(0..all);
        let mut narrowing = Narrowing::of(&all);
        for trial in 1.. {
            let left_out = narrowing.trial();
            assert!(left_out.is_subset(&all));
            let is_accepted = refused.iter().all(|set| !set.is_subset(&(&all - &left_out)));
            if let Some(found) = narrowing.learn(is_accepted) {
                return (found, trial);
            }
        }
        unreachable!()
    }

    #[test]
    fn those_at_fault_are_found_and_nobody_else() {
        let each = |numbers: &[usize]| numbers.iter().map(|number| names([*number])).collect::<Vec<_>>();
        // (sentence, services, refused, guilty, trials at most)
        let cases = [
            ("the only one there is", 1, each(&[0]), names([0]), 1),
            ("the first of two", 2, each(&[0]), names([0]), 3),
            ("the second of two", 2, each(&[1]), names([1]), 2),
            ("one of a thousand", 1000, each(&[777]), names([777]), 21),
            ("the last of a thousand", 1000, each(&[999]), names([999]), 11),
            ("three of a thousand", 1000, each(&[0, 500, 501]), names([0, 500, 501]), 60),
            ("all of four", 4, each(&[0, 1, 2, 3]), names(0..4), 8),
            ("two that cannot be together: one of them", 8, vec![names([2, 6])], names([6]), 8),
        ];
        for (sentence, all, refused, guilty, most) in cases {
            let (found, trials) = search(all, &refused);
            assert_eq!(found, Finding::Guilty(guilty), "{sentence}");
            assert!(trials <= most, "{sentence}: {trials} trials");
        }
    }

    #[test]
    fn what_is_refused_without_anybody_is_nobodys_fault() {
        assert_eq!(search(8, &[BTreeSet::new()]), (Finding::Nobody, 1));
    }

    #[test]
    fn a_kernel_that_refuses_very_many_is_not_asked_about_each() {
        let each = (0..1000).map(|number| names([number])).collect::<Vec<_>>();
        let (found, trials) = search(1000, &each);
        assert_eq!(found, Finding::Guilty(names(0..1000)));
        assert_eq!(trials, TRIALS_AT_MOST);
    }
}
