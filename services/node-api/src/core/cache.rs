//! Answers that count for a while, bounded in number. Time comes in; nothing here reads a clock.

use messages::BootTime;
use std::{collections::HashMap, hash::Hash, time::Duration};

/// Answers by question.
#[derive(Debug)]
pub(crate) struct Cache<Q, A> {
    most: usize,
    answers: HashMap<Q, (A, BootTime)>,
}

impl<Q: Hash + Eq + Clone, A: Clone> Cache<Q, A> {
    /// An empty one that never holds more than `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, answers: HashMap::new() }
    }

    /// The answer to a question, if there is one that still counts.
    pub(crate) fn get(&self, question: &Q, now: BootTime) -> Option<A> {
        self.answers.get(question).filter(|(_, until)| *until > now).map(|(answer, _)| answer.clone())
    }

    /// Keeps an answer for a while; the one that would end first makes room where there is none.
    pub(crate) fn put(&mut self, question: Q, answer: A, now: BootTime, counts_for: Duration) {
        if counts_for.is_zero() {
            return;
        }
        if self.answers.len() >= self.most && !self.answers.contains_key(&question) {
            self.make_room(now);
        }
        self.answers.insert(question, (answer, now.after(counts_for)));
    }

    fn make_room(&mut self, now: BootTime) {
        self.answers.retain(|_, (_, until)| *until > now);
        if self.answers.len() >= self.most {
            let first = self
                .answers
                .iter()
                .min_by_key(|(_, (_, until))| *until)
                .map(|(question, _)| question.clone());
            first.and_then(|question| self.answers.remove(&question));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> BootTime {
        BootTime::default().after(SECOND * u32::try_from(seconds).unwrap())
    }

    #[test]
    fn an_answer_counts_for_its_time_only() {
        let mut cache = Cache::new(8);
        cache.put("may jane?", true, at(10), SECOND * 5);
        let cases = [(10, Some(true)), (14, Some(true)), (15, None), (99, None)];
        for (now, want) in cases {
            assert_eq!(cache.get(&"may jane?", at(now)), want, "at {now} s");
        }
        cache.put("for no time", true, at(10), Duration::ZERO);
        assert_eq!(cache.get(&"for no time", at(10)), None);
    }

    #[test]
    fn a_full_cache_lets_go_of_what_ends_first() {
        let mut cache = Cache::new(2);
        cache.put("long", 1, at(0), SECOND * 100);
        cache.put("short", 2, at(0), SECOND * 10);
        cache.put("new", 3, at(1), SECOND * 50);
        assert_eq!(cache.answers.len(), 2);
        assert_eq!([cache.get(&"long", at(2)), cache.get(&"short", at(2))], [Some(1), None]);
        cache.put("new", 4, at(2), SECOND * 50);
        assert_eq!(cache.get(&"long", at(2)), Some(1), "an answer that is replaced needs no room");
    }
}
