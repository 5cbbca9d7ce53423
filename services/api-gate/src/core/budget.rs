//! How many requests go to the API server, and which first: a token bucket (`kubeAPIQPS`, `kubeAPIBurst`)
//! in front of which the more urgent class overtakes.
//!
//! Heartbeats neither wait nor cost. Events have a bucket of their own (`eventRecordQPS`, `eventBurst`), as the
//! stock kubelet's event client has, so that they take nothing from those that somebody waits for. An answer
//! 429 holds back its own class alone, because the API server counts the node's heartbeats and its other
//! requests in different queues (priority and fairness).

use super::class::Class;
use chassis::bucket::Bucket;
use messages::BootTime;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Requests that may wait. Several times what all peers together may have under way.
const MOST_WAITING: usize = 2048;
/// How long a request waits before its peer is told to come again.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// What a peer is told at least: the header counts in seconds.
const SHORTEST_RETRY: Duration = Duration::from_secs(1);
/// The longest that an answer 429 holds a class back, whatever it says.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Names one waiting request.
pub(crate) type Ticket = u64;

/// What the budget is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    /// A request wants to go.
    Asked(Ticket, Class),
    /// A request that was let go will not be sent after all.
    NotSent(Class),
    /// The API server asked this class to wait.
    Throttled(Class, Duration),
    /// The time for which the budget asked has come.
    Woke,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Send the request now.
    Go(Ticket),
    /// Tell the peer to come again.
    Refuse(Ticket, Duration),
    /// Say `Woke` at this time; replaces what was asked for before.
    WakeAt(BootTime),
}

/// How many requests per second, 0 for no limit, and how many at once.
pub(crate) type Rate = (u32, u32);

/// The buckets and those who wait in front of them.
#[derive(Debug)]
pub(crate) struct Budget {
    requests: Option<Bucket>,
    events: Option<Bucket>,
    waiting: BTreeSet<(Class, Ticket)>,
    since: BTreeMap<Ticket, BootTime>,
    paused: BTreeMap<Class, BootTime>,
}

impl Budget {
    /// Full buckets. A rate of 0 per second sets no limit (`kubeAPIQPS: 0`).
    pub(crate) fn new(requests: Rate, events: Rate, now: BootTime) -> Self {
        Self {
            requests: bucket(requests, now),
            events: bucket(events, now),
            waiting: BTreeSet::new(),
            since: BTreeMap::new(),
            paused: BTreeMap::new(),
        }
    }

    /// Takes a fact in, at a time, and tells what is to be done.
    pub(crate) fn step(&mut self, now: BootTime, fact: Fact) -> Vec<Effect> {
        self.paused.retain(|_, until| *until > now);
        let mut effects = Vec::new();
        match fact {
            Fact::Asked(ticket, class) if self.is_free(now, class) => effects.push(Effect::Go(ticket)),
            Fact::Asked(ticket, _) if self.waiting.len() >= MOST_WAITING => {
                effects.push(Effect::Refuse(ticket, LONGEST_WAIT));
            }
            Fact::Asked(ticket, class) => {
                self.waiting.insert((class, ticket));
                self.since.insert(ticket, now);
            }
            Fact::NotSent(class) => {
                self.bucket(class).into_iter().for_each(Bucket::give_back);
            }
            Fact::Throttled(class, pause) => {
                self.paused.insert(class, now.after(pause.min(LONGEST_PAUSE)));
            }
            Fact::Woke => {}
        }
        self.let_go(now, &mut effects);
        effects
    }

    /// The bucket that limits a class, if one does.
    fn bucket(&mut self, class: Class) -> Option<&mut Bucket> {
        match class {
            Class::Heartbeat => None,
            Class::Event => self.events.as_mut(),
            Class::Status | Class::Work => self.requests.as_mut(),
        }
    }

    fn is_free(&self, now: BootTime, class: Class) -> bool {
        class == Class::Heartbeat && !self.is_paused(now, class)
    }

    fn is_paused(&self, now: BootTime, class: Class) -> bool {
        self.paused.get(&class).is_some_and(|until| *until > now)
    }

    /// Lets go who may, the most urgent first, and sends away who has waited for too long.
    fn let_go(&mut self, now: BootTime, effects: &mut Vec<Effect>) {
        let waiting: Vec<_> = self.waiting.iter().copied().collect();
        for (class, ticket) in waiting {
            let waited = now.since(self.since[&ticket]);
            let effect = if !self.is_paused(now, class) && self.pay(now, class) {
                Effect::Go(ticket)
            } else if waited.max(self.pause_left(now, class)) >= LONGEST_WAIT {
                Effect::Refuse(ticket, self.pause_left(now, class).max(SHORTEST_RETRY))
            } else {
                continue;
            };
            self.waiting.remove(&(class, ticket));
            self.since.remove(&ticket);
            effects.push(effect);
        }
        effects.extend(self.next_wake(now).map(Effect::WakeAt));
    }

    fn pay(&mut self, now: BootTime, class: Class) -> bool {
        self.bucket(class).is_none_or(|bucket| bucket.take(now))
    }

    fn pause_left(&self, now: BootTime, class: Class) -> Duration {
        self.paused.get(&class).map_or(Duration::ZERO, |until| until.since(now))
    }

    /// The next time at which somebody may go or has waited for too long; `None` when nobody waits.
    fn next_wake(&mut self, now: BootTime) -> Option<BootTime> {
        let oldest = self.since.values().min()?.after(LONGEST_WAIT);
        let waiting: BTreeSet<_> = self.waiting.iter().map(|(class, _)| *class).collect();
        let goes = waiting.into_iter().map(|class| {
            let token = self.bucket(class).map_or(now, |bucket| bucket.next_token());
            self.paused.get(&class).map_or(token, |until| token.max(*until))
        });
        goes.min().map(|time| time.min(oldest))
    }
}

/// A full bucket; a burst of 0 would let nobody through ever, so it counts as 1.
fn bucket((per_second, burst): Rate, now: BootTime) -> Option<Bucket> {
    (per_second > 0).then(|| Bucket::new(per_second.into(), burst.max(1), now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Class::{Event, Heartbeat, Status, Work};
    use Effect::{Go, Refuse, WakeAt};
    use Fact::{Asked, NotSent, Throttled, Woke};

    fn at(milliseconds: u64) -> BootTime {
        BootTime(milliseconds * 1_000_000)
    }

    /// A sentence, facts with their times in milliseconds, and what the last of them brings about.
    type Row<'a> = (&'a str, &'a [(u64, Fact)], &'a [Effect]);

    /// Ten per second, two at once; of events five, and one at once.
    fn play(facts: &[(u64, Fact)]) -> Vec<Vec<Effect>> {
        let mut budget = Budget::new((10, 2), (5, 1), at(0));
        facts.iter().map(|(time, fact)| budget.step(at(*time), *fact)).collect()
    }

    #[test]
    fn requests_go_within_the_budget_the_urgent_first() {
        let second = Duration::from_secs(1);
        let cases: &[Row] = &[
            ("the first goes at once", &[(0, Asked(1, Work))], &[Go(1)]),
            (
                "beyond the burst one waits for a tenth of a second",
                &[(0, Asked(1, Work)), (0, Asked(2, Work)), (0, Asked(3, Work))],
                &[WakeAt(at(100))],
            ),
            (
                "and then goes",
                &[(0, Asked(1, Work)), (0, Asked(2, Work)), (0, Asked(3, Work)), (100, Woke)],
                &[Go(3)],
            ),
            (
                "a status overtakes what came before it",
                &[
                    (0, Asked(1, Work)),
                    (0, Asked(2, Work)),
                    (0, Asked(3, Work)),
                    (0, Asked(4, Work)),
                    (0, Asked(5, Status)),
                    (100, Woke),
                ],
                &[Go(5), WakeAt(at(200))],
            ),
            (
                "an event goes although nothing else may",
                &[(0, Asked(1, Work)), (0, Asked(2, Work)), (0, Asked(3, Work)), (0, Asked(4, Event))],
                &[Go(4), WakeAt(at(100))],
            ),
            (
                "and however many there are, they take nothing from others",
                &[(0, Asked(1, Event)), (0, Asked(2, Event)), (0, Asked(3, Work)), (0, Asked(4, Work))],
                &[Go(4), WakeAt(at(200))],
            ),
            (
                "a heartbeat neither waits nor pays",
                &[
                    (0, Asked(1, Heartbeat)),
                    (0, Asked(2, Work)),
                    (0, Asked(3, Work)),
                    (0, Asked(4, Heartbeat)),
                ],
                &[Go(4)],
            ),
            (
                "what was let go and not sent gives its place back",
                &[(0, Asked(1, Work)), (0, Asked(2, Work)), (0, Asked(3, Work)), (0, NotSent(Work))],
                &[Go(3)],
            ),
            (
                "a class that was told to wait waits",
                &[(0, Throttled(Work, second)), (0, Asked(1, Work))],
                &[WakeAt(at(1000))],
            ),
            ("the others do not", &[(0, Throttled(Work, second)), (0, Asked(1, Event))], &[Go(1)]),
            (
                "not even a heartbeat overrides its own pause",
                &[(0, Throttled(Heartbeat, second)), (0, Asked(1, Heartbeat))],
                &[WakeAt(at(1000))],
            ),
            ("a pause ends", &[(0, Throttled(Work, second)), (0, Asked(1, Work)), (1000, Woke)], &[Go(1)]),
            (
                "who would have to wait for too long is told at once",
                &[(0, Throttled(Work, 12 * second)), (1000, Asked(1, Work))],
                &[Refuse(1, 11 * second)],
            ),
            (
                "who has waited for too long is told for how long yet",
                &[
                    (0, Throttled(Work, 9 * second)),
                    (0, Asked(1, Work)),
                    (8000, Throttled(Work, 9 * second)),
                    (10_000, Woke),
                ],
                &[Refuse(1, 7 * second)],
            ),
            (
                "no answer pauses for ever",
                &[(0, Throttled(Work, 3600 * second)), (29_000, Asked(1, Work))],
                &[WakeAt(at(30_000))],
            ),
        ];
        for (name, facts, last) in cases {
            assert_eq!(play(facts).last().map(Vec::as_slice), Some(*last), "{name}");
        }
    }

    #[test]
    fn a_budget_of_nothing_is_no_limit() {
        let mut budget = Budget::new((0, 0), (0, 0), at(0));
        for ticket in 0..1000 {
            assert_eq!(budget.step(at(0), Asked(ticket, Work)), [Go(ticket)]);
        }
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut budget = Budget::new((1, 1), (1, 1), at(0));
        let refused = |effects: Vec<Effect>| effects.iter().any(|effect| matches!(effect, Refuse(..)));
        let asked: Vec<bool> =
            (0..3000).map(|ticket| refused(budget.step(at(0), Asked(ticket, Work)))).collect();
        assert_eq!(asked.iter().filter(|refused| **refused).count(), 3000 - 1 - MOST_WAITING);
    }

    #[test]
    fn every_class_stands_in_the_order_of_its_urgency() {
        assert!(Class::ALL.is_sorted());
    }
}
