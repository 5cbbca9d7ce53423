//! Deeds under way, and who waits for them.

use crate::{
    core::ledger::{Ask, Ledger},
    core::spec,
    deeds::{
        End, Subject, forget, pull, sandbox,
        start::{self, Instance},
        stop::{self, One},
    },
};
use chassis::{
    clock,
    telemetry::{self, Ended},
};
use futures::{FutureExt, future::LocalBoxFuture};
use messages::{BootTime, ContainerName, Decision, Outcome, Refusal};
use std::mem;
use tokio::sync::oneshot;
use tracing::Span;

/// A command that is not answered yet.
pub(super) struct Waiting {
    pub(super) ask: Ask,
    pub(super) decision: Decision,
    pub(super) span: Span,
    /// When it came.
    pub(super) since: BootTime,
    /// When it is given up if its facts have not come.
    pub(super) until: BootTime,
    pub(super) answer: oneshot::Sender<Outcome>,
}

impl Waiting {
    /// What it is about was said before it was asked for, and came later.
    pub(super) fn tell_of_the_wait(&self) {
        let came = Ended::message("hear of pod", self.since, clock::now_boot());
        telemetry::tell_of(&telemetry::context_of(&self.span), came);
    }

    /// Answers. Whoever does not wait any more was told `Accepted`.
    pub(super) fn answer(self, outcome: Outcome) {
        let _ = self.answer.send(outcome);
    }
}

/// A command as a deed. Equal ones are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deed {
    ask: Ask,
    /// The image of a pull, as the spec writes it.
    image: Option<String>,
}

/// How a deed came out.
pub(super) enum Landing {
    Deed(End),
    Pull(pull::Pulled),
}

impl Deed {
    pub(super) fn of(ask: &Ask, ledger: &Ledger) -> Self {
        let image = match ask {
            Ask::Pull { container } => image_of(ledger, container),
            _ => None,
        };
        // A second order to stop joins the first, however long it gives.
        let ask = match ask {
            Ask::StopPod { .. } => Ask::StopPod { grace_seconds: 0 },
            other => other.clone(),
        };
        Self { ask, image }
    }

    /// Whether it brings something into being.
    fn makes(&self) -> bool {
        matches!(self.ask, Ask::Sandbox { .. } | Ask::Start { .. } | Ask::Pull { .. })
    }

    /// The instance that it starts, if it starts one.
    pub(super) fn starts(&self) -> Option<(&ContainerName, u32)> {
        match &self.ask {
            Ask::Start { container, attempt, .. } => Some((container, *attempt)),
            _ => None,
        }
    }

    /// The work itself.
    pub(super) fn work(self, subject: Subject, ledger: &Ledger) -> LocalBoxFuture<'static, Landing> {
        match self.ask {
            Ask::Pull { container } => pull::pull(subject, container).map(Landing::Pull).boxed_local(),
            Ask::Sandbox { attempt, .. } => {
                sandbox::ensure(subject, attempt).map(Landing::Deed).boxed_local()
            }
            Ask::Start { container, kind, attempt } => {
                let image = image_of(ledger, &container).unwrap_or_default();
                let image_ref = ledger.image_ref(&image).map(str::to_owned);
                let instance = Instance { container, kind, attempt, image_ref };
                start::start(subject, instance).map(Landing::Deed).boxed_local()
            }
            Ask::Stop { container, container_id, grace_seconds, why } => {
                let one = One { container, container_id, grace_seconds, why };
                async move { Landing::Deed(stop::one(&subject, one).await) }.boxed_local()
            }
            Ask::StopPod { .. } => stop::pod(subject).map(Landing::Deed).boxed_local(),
            Ask::Forget { remove_containers } => {
                forget::forget(subject, remove_containers).map(Landing::Deed).boxed_local()
            }
        }
    }

    /// Notes how it came out; what to answer, unless it is done.
    pub(super) fn note(&self, landing: Landing, ledger: &mut Ledger, now: i64) -> Option<Outcome> {
        let refused = |refusal| Some(Outcome::Refused { refusal });
        let end = match (landing, &self.image) {
            (Landing::Pull(Ok(image_ref)), Some(image)) => {
                ledger.pulled(image, Ok(image_ref), now);
                return None;
            }
            (Landing::Pull(Err(End::Failed(fault))), Some(image)) => {
                ledger.pulled(image, Err(fault.clone()), now);
                return Some(Outcome::Failed { fault });
            }
            (Landing::Pull(ended), image) => {
                image.iter().for_each(|image| ledger.pull_abandoned(image));
                let is_away = matches!(ended, Err(End::Away));
                return refused(if is_away { Refusal::Unavailable } else { Refusal::Superseded });
            }
            (Landing::Deed(end), _) => end,
        };
        if let (Ask::Start { container, attempt, .. }, End::Done) = (&self.ask, &end) {
            ledger.hook_done(container, *attempt);
        }
        let (fault, outcome) = match end {
            End::Done => (None, None),
            End::Halted => (None, refused(Refusal::Superseded)),
            End::Away => (None, refused(Refusal::Unavailable)),
            End::Failed(fault) => (Some(fault.clone()), Some(Outcome::Failed { fault })),
        };
        if let Some(recorded) = self.ask.deed() {
            ledger.ended(&recorded, fault, now);
        }
        outcome
    }
}

fn image_of(ledger: &Ledger, container: &ContainerName) -> Option<String> {
    let object = &ledger.spec()?.object;
    spec::container(object, container.as_str())?.container.image.clone()
}

/// One deed under way, or about to be.
struct Flight {
    deed: Deed,
    waiting: Vec<Waiting>,
    span: Span,
    is_launched: bool,
}

/// The deeds of a pod.
#[derive(Default)]
pub(super) struct Flights(Vec<Flight>);

impl Flights {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether anything is being made.
    pub(super) fn makes_something(&self) -> bool {
        self.0.iter().any(|flight| flight.is_launched && flight.deed.makes())
    }

    /// Whether the pod is being stopped.
    pub(super) fn is_stopping(&self) -> bool {
        self.0.iter().any(|flight| matches!(flight.deed.ask, Ask::StopPod { .. }))
    }

    pub(super) fn is_under_way(&self, deed: &Deed) -> bool {
        self.0.iter().any(|flight| flight.deed == *deed)
    }

    /// Takes a command in: with a deed of its own, or into the one that is the same.
    pub(super) fn enter(&mut self, deed: Deed, waiting: Waiting) {
        if let Some(same) = self.0.iter_mut().find(|flight| flight.deed == deed) {
            return same.waiting.push(waiting);
        }
        let span = waiting.span.clone();
        self.0.push(Flight { deed, waiting: vec![waiting], span, is_launched: false });
    }

    /// The deeds whose time has come, marked as launched. Stopping waits for what is being made,
    /// forgetting for everything, tidying up too, and a pull for another one of its image, which it
    /// then finds.
    pub(super) fn launch(&mut self, is_tidying: bool) -> Vec<(Deed, Span)> {
        let mut launched = Vec::new();
        for index in 0..self.0.len() {
            let (before, after) = self.0.split_at_mut(index);
            let Some((flight, after)) = after.split_first_mut() else { break };
            let others = || before.iter().chain(after.iter()).filter(|other| other.is_launched);
            let is_held = match flight.deed.ask {
                Ask::StopPod { .. } => others().any(|other| other.deed.makes()),
                Ask::Forget { .. } => is_tidying || others().next().is_some(),
                Ask::Pull { .. } => others().any(|other| other.deed.image == flight.deed.image),
                _ => false,
            };
            if !is_held && !mem::replace(&mut flight.is_launched, true) {
                launched.push((flight.deed.clone(), flight.span.clone()));
            }
        }
        launched
    }

    /// A deed has ended: who waits for it, and its span.
    pub(super) fn end(&mut self, deed: &Deed) -> (Vec<Waiting>, Span) {
        let index = self.0.iter().position(|flight| flight.deed == *deed);
        index.map(|index| self.0.remove(index)).map_or((Vec::new(), Span::none()), |it| (it.waiting, it.span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::pod_lifecycle::ContainerKind;

    fn waiting(ask: Ask) -> (Waiting, oneshot::Receiver<Outcome>) {
        let (answer, answered) = oneshot::channel();
        let decision = Decision::default();
        (
            Waiting { ask, decision, span: Span::none(), since: BootTime(0), until: BootTime(0), answer },
            answered,
        )
    }

    fn enter(flights: &mut Flights, ask: Ask, image: Option<&str>) -> oneshot::Receiver<Outcome> {
        let deed =
            Deed { image: image.map(Into::into), ..Deed::of(&ask, &Ledger::new("u".parse().unwrap())) };
        let (waiting, answered) = waiting(ask);
        flights.enter(deed, waiting);
        answered
    }

    fn start() -> Ask {
        Ask::Start { container: "app".parse().unwrap(), kind: ContainerKind::Regular, attempt: 0 }
    }

    fn pull(container: &str) -> Ask {
        Ask::Pull { container: container.parse().unwrap() }
    }

    fn launched(flights: &mut Flights) -> Vec<Ask> {
        flights.launch(false).into_iter().map(|(deed, _)| deed.ask).collect()
    }

    #[test]
    fn the_same_deed_is_done_once_and_all_are_answered() {
        let mut flights = Flights::default();
        let answers = [enter(&mut flights, start(), None), enter(&mut flights, start(), None)];
        assert_eq!(launched(&mut flights), [start()]);
        assert!(flights.launch(false).is_empty());
        let (waiting, _) = flights.end(&Deed { ask: start(), image: None });
        waiting.into_iter().for_each(|it| it.answer(Outcome::Accepted));
        for mut answer in answers {
            assert_eq!(answer.try_recv(), Ok(Outcome::Accepted));
        }
        assert!(flights.is_empty());
    }

    #[test]
    fn stopping_waits_for_what_is_being_made_and_forgetting_for_everything() {
        let mut flights = Flights::default();
        let _answers = [
            enter(&mut flights, start(), None),
            enter(&mut flights, Ask::StopPod { grace_seconds: 30 }, None),
            enter(&mut flights, Ask::Forget { remove_containers: true }, None),
        ];
        let stop = Ask::StopPod { grace_seconds: 0 };
        assert_eq!(launched(&mut flights), [start()]);
        flights.end(&Deed { ask: start(), image: None });
        assert_eq!(launched(&mut flights), std::slice::from_ref(&stop));
        flights.end(&Deed { ask: stop, image: None });
        assert!(flights.launch(true).is_empty());
        assert_eq!(launched(&mut flights), [Ask::Forget { remove_containers: true }]);
    }

    #[test]
    fn an_image_is_pulled_for_one_container_and_then_found_for_the_other() {
        let mut flights = Flights::default();
        let _answers = [
            enter(&mut flights, pull("one"), Some("busybox")),
            enter(&mut flights, pull("two"), Some("busybox")),
            enter(&mut flights, pull("three"), Some("pause")),
        ];
        assert_eq!(launched(&mut flights), [pull("one"), pull("three")]);
        flights.end(&Deed { ask: pull("one"), image: Some("busybox".into()) });
        assert_eq!(launched(&mut flights), [pull("two")]);
    }
}
