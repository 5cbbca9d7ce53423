//! What has been asked of others and is not settled yet.
//!
//! Of each key at most one deed is in flight. A reply tells only how the asking went; that a deed
//! is done shows in its owner's state. So after `Done` the state of that revision is awaited; after
//! `Accepted`, after no reply, and after a deed that leaves nothing to be shown, the owner's next word.
//! None of them for ever, since every deed is idempotent and may be asked again; least of all after no
//! reply, when the command itself may have been lost and no word follows.

use super::{
    deed::{Deed, Key},
    moment::Moment,
};
use messages::{Fault, Outcome, Refusal, cri_bridge::RuntimePod};
use std::{collections::BTreeMap, time::Duration};

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The owner's reply.
    Replied(Outcome),
    /// None came in time, or none that could be read: it may have been done.
    Unknown,
    /// It could not be sent: it was not done.
    NotSent,
}

/// What an answer means at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing yet.
    Wait,
    /// It was done.
    Done(Deed),
    /// It failed.
    Failed(Deed, Fault),
    /// It was refused in a way that tells of a mistake here.
    Mistake(Deed, Refusal),
}

/// The longest wait for a state that should follow a reply.
const STATE_PATIENCE: Duration = Duration::from_secs(10);
/// The longest wait for the owner's next word when none came in reply.
const UNANSWERED: Duration = Duration::from_secs(1);
/// Before a deed is asked again that another process was not ready for.
const NOT_READY: Duration = Duration::from_millis(500);
/// Before a deed is asked again whose decision was overtaken.
const OVERTAKEN: Duration = Duration::from_millis(100);
/// Before a deed is asked again that its owner holds to be wrong.
const MISTAKEN: Duration = Duration::from_secs(60);

/// A deed that its owner reports as under way may take as long as it does.
const NEVER: Moment = Moment(i64::MAX);

#[derive(Debug, Clone)]
struct Asked {
    id: u64,
    deed: Deed,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No answer yet.
    Open,
    /// Done; the owner's state of this revision will show it.
    Shown { revision: u64, until: Moment },
    /// The owner's next state will tell.
    Told { until: Moment },
    /// Not to be asked again before.
    Held { until: Moment },
}

impl Phase {
    fn until(self) -> Option<Moment> {
        match self {
            Self::Open => None,
            Self::Shown { until, .. } | Self::Told { until } | Self::Held { until } => Some(until),
        }
    }
}

/// Everything of one pod that is in flight.
#[derive(Debug, Clone, Default)]
pub struct Flight {
    last_id: u64,
    asked: BTreeMap<Key, Asked>,
}

impl Flight {
    /// Takes a deed into flight, unless one of its key is; tells the id that its answer carries.
    pub fn begin(&mut self, deed: &Deed) -> Option<u64> {
        (!self.asked.contains_key(&deed.key())).then(|| self.overtake(deed))
    }

    /// Takes a deed into flight in the place of one of its key, whose answer is not waited for any
    /// more: a shorter grace overtakes a longer one.
    pub fn overtake(&mut self, deed: &Deed) -> u64 {
        self.last_id += 1;
        self.asked.insert(deed.key(), Asked { id: self.last_id, deed: deed.clone(), phase: Phase::Open });
        self.last_id
    }

    /// Takes an answer. One that is no longer waited for means nothing.
    pub fn answered(&mut self, id: u64, answer: Answer, now: Moment) -> Meaning {
        let Some((key, asked)) = self.asked.iter_mut().find(|(_, asked)| asked.id == id) else {
            return Meaning::Wait;
        };
        let (key, deed) = (key.clone(), asked.deed.clone());
        let (phase, meaning) = judge(deed, answer, now);
        match phase {
            Some(phase) => asked.phase = phase,
            None => drop(self.asked.remove(&key)),
        }
        meaning
    }

    /// The runtime's owner has spoken: settles what its word settles. Tells pulls that it shows as
    /// done.
    pub fn runtime_said(&mut self, pod: &RuntimePod) -> Vec<Deed> {
        let mut pulled = Vec::new();
        self.asked.retain(|_, asked| {
            if !asked.deed.is_of_the_runtime() {
                return true;
            }
            let told = matches!(asked.phase, Phase::Told { .. });
            if told && is_present(pod, &asked.deed) {
                pulled.push(asked.deed.clone());
            }
            if told && is_under_way(pod, &asked.deed) {
                asked.phase = Phase::Told { until: NEVER };
            }
            !is_settled(asked, pod)
        });
        pulled
    }

    /// The volumes' owner has spoken, or fallen silent for good.
    pub fn volumes_said(&mut self, revision: Option<u64>) {
        self.asked.retain(|_, asked| match asked.phase {
            _ if asked.deed.is_of_the_runtime() => true,
            Phase::Shown { revision: awaited, .. } => revision.is_some_and(|heard| heard < awaited),
            Phase::Told { .. } => false,
            Phase::Open | Phase::Held { .. } => true,
        });
    }

    /// Settles what was done by what had been heard before its reply came: owners speak before they
    /// reply. Where nothing is left, only deeds that leave nothing can be shown by that.
    pub fn catch_up(&mut self, runtime: Option<u64>, volumes: Option<u64>) {
        self.asked.retain(|_, asked| {
            let heard = if asked.deed.is_of_the_runtime() { runtime } else { volumes };
            match (asked.phase, heard) {
                (Phase::Shown { revision, .. }, Some(heard)) => heard < revision,
                (Phase::Shown { .. }, None) => !asked.deed.leaves_nothing(),
                _ => true,
            }
        });
    }

    /// The runtime holds nothing of the pod any more.
    pub fn runtime_is_empty(&mut self) {
        let awaits = |phase| matches!(phase, Phase::Shown { .. } | Phase::Told { .. });
        self.asked.retain(|_, asked| !(asked.deed.is_of_the_runtime() && awaits(asked.phase)));
    }

    /// Lets go of what was waited for long enough.
    pub fn expire(&mut self, now: Moment) {
        self.asked.retain(|_, asked| asked.phase.until().is_none_or(|until| until > now));
    }

    /// When something expires next.
    pub fn wake(&self) -> Option<Moment> {
        self.asked.values().filter_map(|asked| asked.phase.until()).filter(|until| *until != NEVER).min()
    }

    /// Whether any deed is being carried out or looked for.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }
}

/// What an answer makes of a deed: its next phase, and what it means at once.
fn judge(deed: Deed, answer: Answer, now: Moment) -> (Option<Phase>, Meaning) {
    let within = |patience| Some(Phase::Told { until: now.after(patience) });
    let told = within(STATE_PATIENCE);
    let held = |wait| Some(Phase::Held { until: now.after(wait) });
    match answer {
        Answer::Unknown => (within(UNANSWERED), Meaning::Wait),
        Answer::Replied(Outcome::Accepted) => (told, Meaning::Wait),
        Answer::NotSent => (held(NOT_READY), Meaning::Wait),
        Answer::Replied(Outcome::Done { .. }) if matches!(deed, Deed::Pull { .. }) => {
            (None, Meaning::Done(deed))
        }
        Answer::Replied(Outcome::Done { .. }) if deed.ends_in_nothing() => (told, Meaning::Done(deed)),
        Answer::Replied(Outcome::Done { revision }) => {
            let shown = Phase::Shown { revision, until: now.after(STATE_PATIENCE) };
            (Some(shown), Meaning::Done(deed))
        }
        Answer::Replied(Outcome::Failed { fault }) => {
            let is_timed = matches!(deed, Deed::Start { .. } | Deed::Sandbox { .. });
            let phase = held(STATE_PATIENCE).filter(|_| !is_timed);
            (phase, Meaning::Failed(deed, fault))
        }
        Answer::Replied(Outcome::Refused { refusal }) => match refusal {
            Refusal::Superseded | Refusal::Expired => (held(OVERTAKEN), Meaning::Wait),
            Refusal::Unknown { .. } | Refusal::Unavailable => (held(NOT_READY), Meaning::Wait),
            Refusal::Malformed { .. } | Refusal::NotAllowed { .. } => {
                (held(MISTAKEN), Meaning::Mistake(deed, refusal))
            }
        },
    }
}

fn is_settled(asked: &Asked, pod: &RuntimePod) -> bool {
    match asked.phase {
        Phase::Open | Phase::Held { .. } => false,
        Phase::Shown { revision, .. } => pod.revision >= revision,
        Phase::Told { .. } => !is_under_way(pod, &asked.deed),
    }
}

fn is_present(pod: &RuntimePod, deed: &Deed) -> bool {
    use messages::cri_bridge::ImageState::Present;
    matches!(deed, Deed::Pull { image, .. } if matches!(pod.images.get(image), Some(Present { .. })))
}

/// Whether the runtime's owner lists a deed as one that it is busy with.
pub fn is_under_way(pod: &RuntimePod, deed: &Deed) -> bool {
    use messages::cri_bridge::ImageState::Pulling;
    if let Deed::Pull { image, .. } = deed {
        return pod.images.get(image) == Some(&Pulling);
    }
    pod.in_flight.iter().any(|flight| flight.failed.is_none() && deed.is_listed_as(&flight.deed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::{RuntimeBuilder, SECOND};
    use messages::cri_bridge::{self, ImageState};

    const NOW: Moment = Moment(100 * SECOND);

    fn sandbox() -> Deed {
        Deed::Sandbox { attempt: 0, volumes_first: false }
    }

    fn pull() -> Deed {
        Deed::Pull { container: "app".into(), attempt: 0, image: "registry.test/app:1".into() }
    }

    fn flying(deed: &Deed, answer: Answer) -> (Flight, Meaning) {
        let mut flight = Flight::default();
        let id = flight.begin(deed).unwrap();
        let meaning = flight.answered(id, answer, NOW);
        (flight, meaning)
    }

    #[test]
    fn of_each_key_one_deed_is_in_flight() {
        let mut flight = Flight::default();
        let start = |name: &str| Deed::Start {
            container: name.into(),
            kind: messages::pod_lifecycle::ContainerKind::Regular,
            attempt: 0,
        };
        assert!(flight.begin(&start("one")).is_some());
        assert!(flight.begin(&start("one")).is_none(), "the same container");
        assert!(flight.begin(&start("two")).is_some(), "another container");
        assert!(flight.begin(&Deed::StopPod { grace_seconds: 30 }).is_some());
        assert!(flight.begin(&Deed::StopPod { grace_seconds: 29 }).is_none(), "the same again");
        let shorter = flight.overtake(&Deed::StopPod { grace_seconds: 5 });
        let done = Answer::Replied(Outcome::Done { revision: 1 });
        assert_eq!(flight.answered(shorter - 1, done.clone(), NOW), Meaning::Wait, "it was overtaken");
        let meaning = Meaning::Done(Deed::StopPod { grace_seconds: 5 });
        assert_eq!(flight.answered(shorter, done, NOW), meaning);
    }

    #[test]
    fn an_answer_decides_when_a_deed_may_be_asked_again() {
        let refused = |refusal| Answer::Replied(Outcome::Refused { refusal });
        let cases = [
            ("accepted: the next state, or ten seconds", Answer::Replied(Outcome::Accepted), 10_000),
            ("no reply: the next state, or a second", Answer::Unknown, 1_000),
            ("not sent: soon", Answer::NotSent, 500),
            ("overtaken: at once, nearly", refused(Refusal::Superseded), 100),
            (
                "the other does not know the pod yet: soon",
                refused(Refusal::Unknown { what: "pod".into() }),
                500,
            ),
            ("not allowed: hardly ever", refused(Refusal::NotAllowed { why: "rule".into() }), 60_000),
        ];
        for (sentence, answer, millis) in cases {
            let (flight, _) = flying(&sandbox(), answer);
            assert_eq!(flight.wake(), Some(NOW.after(Duration::from_millis(millis))), "{sentence}");
        }
    }

    #[test]
    fn a_failed_sandbox_or_start_has_its_own_clock_and_all_else_is_held() {
        let failed = || Answer::Replied(Outcome::Failed { fault: Fault::new("Failed", "no net") });
        assert!(flying(&sandbox(), failed()).0.is_empty());
        let held = flying(&Deed::PrepareVolumes, failed()).0;
        assert_eq!(held.wake(), Some(NOW.after(STATE_PATIENCE)));
    }

    #[test]
    fn done_is_settled_by_the_state_that_shows_it() {
        let (mut flight, meaning) = flying(&sandbox(), Answer::Replied(Outcome::Done { revision: 7 }));
        assert_eq!(meaning, Meaning::Done(sandbox()));
        flight.runtime_said(&RuntimeBuilder::ready().revision(6).build());
        assert!(flight.begin(&sandbox()).is_none(), "an older state shows nothing");
        flight.runtime_said(&RuntimeBuilder::ready().revision(7).build());
        assert!(flight.is_empty());
    }

    #[test]
    fn a_state_that_came_before_the_reply_counts() {
        let done = || Answer::Replied(Outcome::Done { revision: 7 });
        let cases = [
            ("an older state", sandbox(), Some(6), false),
            ("the state of the reply", sandbox(), Some(7), true),
            ("no state of a sandbox", sandbox(), None, false),
            ("no state of a pod that was stopped", Deed::StopPod { grace_seconds: 1 }, None, true),
        ];
        for (sentence, deed, heard, settled) in cases {
            let (mut flight, _) = flying(&deed, done());
            flight.catch_up(heard, None);
            assert_eq!(flight.is_empty(), settled, "{sentence}");
        }
    }

    #[test]
    fn what_leaves_nothing_is_settled_by_the_owners_next_word() {
        let forget = Deed::Forget { remove_containers: true };
        let (mut flight, meaning) = flying(&forget, Answer::Replied(Outcome::Done { revision: 7 }));
        flight.catch_up(Some(7), None);
        assert_eq!((flight.is_empty(), meaning), (false, Meaning::Done(forget)));
        flight.runtime_is_empty();
        assert!(flight.is_empty());
    }

    #[test]
    fn an_accepted_deed_is_settled_once_it_is_no_longer_listed() {
        let (mut flight, _) = flying(&sandbox(), Answer::Replied(Outcome::Accepted));
        let listed = cri_bridge::Deed::Sandbox { attempt: 0 };
        flight.runtime_said(&RuntimeBuilder::new().in_flight(listed.clone(), None).build());
        assert!(!flight.is_empty(), "it is under way");
        flight.runtime_said(&RuntimeBuilder::new().in_flight(listed, Some(("Failed", 1))).build());
        assert!(flight.is_empty(), "it has failed");
    }

    #[test]
    fn a_pull_is_done_by_its_reply_or_when_the_image_is_shown() {
        let (flight, meaning) = flying(&pull(), Answer::Replied(Outcome::Done { revision: 3 }));
        assert_eq!((flight.is_empty(), meaning), (true, Meaning::Done(pull())));
        let (mut flight, _) = flying(&pull(), Answer::Replied(Outcome::Accepted));
        let image = |state| RuntimeBuilder::new().image("app", state).build();
        assert_eq!(flight.runtime_said(&image(ImageState::Pulling)), []);
        flight.expire(NOW.after(Duration::from_secs(3_600)));
        assert_eq!((flight.is_empty(), flight.wake()), (false, None), "a pull may take hours");
        let present = ImageState::Present { image_ref: "sha256:1".into() };
        assert_eq!(flight.runtime_said(&image(present)), [pull()]);
        assert!(flight.is_empty());
    }

    #[test]
    fn a_late_answer_means_nothing() {
        let (mut flight, _) = flying(&sandbox(), Answer::Unknown);
        flight.expire(NOW.after(STATE_PATIENCE));
        assert!(flight.is_empty(), "given up");
        assert_eq!(flight.answered(1, Answer::Replied(Outcome::Done { revision: 1 }), NOW), Meaning::Wait);
    }

    #[test]
    fn volumes_settle_by_their_own_states() {
        let (mut flight, _) = flying(&Deed::PrepareVolumes, Answer::Replied(Outcome::Done { revision: 2 }));
        flight.volumes_said(Some(1));
        assert!(!flight.is_empty());
        flight.volumes_said(Some(2));
        assert!(flight.is_empty());
        let (mut flight, _) = flying(&Deed::ReleaseVolumes, Answer::Replied(Outcome::Done { revision: 3 }));
        flight.volumes_said(None);
        assert!(flight.is_empty(), "nothing is left of them");
    }
}
