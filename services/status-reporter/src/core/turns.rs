//! Whose turn it is to write: a few at a time, the most urgent class first, within a class first come,
//! first served. What a pod writes is decided when its turn comes, so that the newest status goes.

use super::pod::plan::Class;
use messages::PodUid;
use std::collections::{BTreeMap, HashMap};

/// Writes under way at once: enough to keep a burst of 110 pods going at ten milliseconds each, few enough
/// that a late Ready is not stuck behind a hundred others.
pub(crate) const AT_ONCE: usize = 16;

/// Those who wait, and how many are writing.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    waiting: BTreeMap<(Class, u64), PodUid>,
    places: HashMap<PodUid, (Class, u64)>,
    arrivals: u64,
    writing: usize,
}

impl Turns {
    /// A pod wants to write. Asked again it moves up to a more urgent class, and never down. The answer:
    /// whose turn it is now.
    pub(crate) fn queue(&mut self, pod: PodUid, class: Class) -> Vec<PodUid> {
        let place = match self.places.get(&pod) {
            Some((queued, arrival)) if class < *queued => (class, *arrival),
            Some(_) => return Vec::new(),
            None => {
                self.arrivals += 1;
                (class, self.arrivals)
            }
        };
        if let Some(old) = self.places.insert(pod.clone(), place) {
            self.waiting.remove(&old);
        }
        self.waiting.insert(place, pod);
        self.grant()
    }

    /// A turn is over, whether it was used or not.
    pub(crate) fn over(&mut self) -> Vec<PodUid> {
        self.writing = self.writing.saturating_sub(1);
        self.grant()
    }

    /// A pod does not want to write any more.
    pub(crate) fn withdraw(&mut self, pod: &PodUid) {
        if let Some(place) = self.places.remove(pod) {
            self.waiting.remove(&place);
        }
    }

    fn grant(&mut self) -> Vec<PodUid> {
        let mut granted = Vec::new();
        while self.writing < AT_ONCE
            && let Some((_, pod)) = self.waiting.pop_first()
        {
            self.places.remove(&pod);
            self.writing += 1;
            granted.push(pod);
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(number: usize) -> PodUid {
        format!("u-{number}").parse().unwrap()
    }

    /// Turns that are all taken.
    fn busy() -> Turns {
        let mut turns = Turns::default();
        for number in 0..AT_ONCE {
            assert_eq!(turns.queue(pod(number), Class::Progress), [pod(number)], "there is room");
        }
        turns
    }

    #[test]
    fn the_urgent_go_first_and_nobody_goes_twice() {
        let mut turns = busy();
        for (number, class) in
            [(90, Class::Progress), (91, Class::Ready), (92, Class::End), (93, Class::Ready)]
        {
            assert_eq!(turns.queue(pod(number), class), []);
        }
        assert_eq!(turns.queue(pod(93), Class::Progress), [], "it stays as urgent as it was");
        let order: Vec<_> = (0..5).flat_map(|_| turns.over()).collect();
        assert_eq!(order, [pod(92), pod(91), pod(93), pod(90)]);
    }

    #[test]
    fn a_pod_that_becomes_urgent_keeps_its_place_among_the_urgent() {
        let mut turns = busy();
        turns.queue(pod(90), Class::Progress);
        turns.queue(pod(91), Class::End);
        turns.queue(pod(90), Class::End);
        assert_eq!(turns.over(), [pod(90)], "it came first");
    }

    #[test]
    fn who_withdraws_is_not_waited_for() {
        let mut turns = busy();
        turns.queue(pod(90), Class::Progress);
        turns.queue(pod(91), Class::Progress);
        turns.withdraw(&pod(90));
        assert_eq!(turns.over(), [pod(91)]);
    }
}
