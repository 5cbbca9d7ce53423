//! The turnstile before the runtime: lets deeds through, a few at a time.

use crate::core::turnstile::{KEPT, Turnstile};
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, MessageResult, ResponseFuture};
use chassis::{bucket::Bucket, clock};
use futures::FutureExt;
use std::{collections::BTreeSet, time::Duration};
use tokio::sync::oneshot;

/// Lets so many through at once, earlier pods first.
pub struct Gate {
    turnstile: Turnstile<oneshot::Sender<Pass>>,
    bucket: Option<Bucket>,
    /// After what time a pass counts as given back.
    patience: Option<Duration>,
    /// Passes that are out, by their numbers.
    out: BTreeSet<u64>,
    passes: u64,
}

impl Gate {
    /// Lets so many through at once.
    pub fn new(at_once: usize) -> Self {
        let (bucket, patience) = (None, None);
        Self { turnstile: Turnstile::new(at_once), bucket, patience, out: BTreeSet::new(), passes: 0 }
    }

    /// And lets others through in place of who takes longer: who hangs hinders nobody.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self }
    }

    /// And no more than so many per second, with bursts; who comes beyond is turned away.
    #[must_use]
    pub fn with_rate(self, rate: Option<(u32, u32)>) -> Self {
        let bucket = rate.map(|(per_second, burst)| Bucket::new(per_second.into(), burst, clock::now_boot()));
        Self { bucket, ..self }
    }

    fn let_through(&mut self, context: &mut Context<Self>) {
        while let Some((place, waiting)) = self.turnstile.admit() {
            self.passes += 1;
            let number = self.passes;
            self.out.insert(number);
            if let Some(patience) = self.patience {
                context.run_later(patience, move |gate, context| gate.back(number, context));
            }
            // Whoever has given up drops the pass, which comes back at once.
            let _ = waiting.send(Pass { gate: context.address(), number, place, is_kept: false });
        }
    }

    fn back(&mut self, number: u64, context: &mut Context<Self>) {
        if self.out.remove(&number) {
            self.turnstile.done();
            self.let_through(context);
        }
    }
}

impl Actor for Gate {
    type Context = Context<Self>;
}

/// Leave to work on the runtime, until it is dropped.
pub struct Pass {
    gate: Addr<Gate>,
    number: u64,
    place: u64,
    is_kept: bool,
}

impl Pass {
    /// Gives it back, for the same pod to come again at once.
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.do_send(Done { number: self.number, kept_for: self.is_kept.then_some(self.place) });
    }
}

/// Asks for a place for a pod, behind all others.
pub struct Place;

impl Message for Place {
    type Result = u64;
}

impl Handler<Place> for Gate {
    type Result = MessageResult<Place>;
    fn handle(&mut self, _: Place, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.turnstile.place())
    }
}

/// Asks to be let through; answered when it is one's turn.
pub struct Enter {
    /// The pod's place.
    pub place: u64,
}

/// Why nobody was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedAway {
    /// More per second than allowed.
    TooOften,
    /// The process is ending.
    Closed,
}

impl Message for Enter {
    type Result = Result<Pass, TurnedAway>;
}

impl Handler<Enter> for Gate {
    type Result = ResponseFuture<Result<Pass, TurnedAway>>;
    fn handle(&mut self, enter: Enter, context: &mut Context<Self>) -> Self::Result {
        let may_enter = self.bucket.as_mut().is_none_or(|bucket| bucket.take(clock::now_boot()));
        if !may_enter {
            return Box::pin(async { Err(TurnedAway::TooOften) });
        }
        let (waiting, turn) = oneshot::channel();
        self.turnstile.join(enter.place, waiting);
        self.let_through(context);
        Box::pin(turn.map(|pass| pass.map_err(|_| TurnedAway::Closed)))
    }
}

struct Done {
    number: u64,
    kept_for: Option<u64>,
}

impl Message for Done {
    type Result = ();
}

impl Handler<Done> for Gate {
    type Result = ();
    fn handle(&mut self, Done { number, kept_for }: Done, context: &mut Context<Self>) {
        match kept_for {
            Some(pod) if self.out.remove(&number) => {
                self.turnstile.keep(pod, number);
                self.let_through(context);
                context.run_later(KEPT, move |gate, context| {
                    gate.turnstile.release(pod, number);
                    gate.let_through(context);
                });
            }
            _ => self.back(number, context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix::test]
    async fn the_next_one_goes_when_one_comes_back() {
        let gate = Gate::new(1).start();
        let place = gate.send(Place).await.unwrap();
        let pass = gate.send(Enter { place }).await.unwrap().ok().unwrap();
        let given_up = gate.send(Enter { place });
        let mut second = Box::pin(gate.send(Enter { place }));
        assert!(futures::poll!(&mut second).is_pending());
        drop(given_up);
        drop(pass);
        assert!(second.await.unwrap().is_ok());
    }

    #[actix::test]
    async fn who_takes_too_long_lets_others_through_once() {
        let gate = Gate::new(1).with_patience(Duration::from_millis(20)).start();
        let place = gate.send(Place).await.unwrap();
        let slow = gate.send(Enter { place }).await.unwrap().ok().unwrap();
        let second = gate.send(Enter { place }).await.unwrap().ok().unwrap();
        drop(slow);
        let mut third = Box::pin(gate.send(Enter { place }));
        assert!(futures::poll!(&mut third).is_pending());
        drop(second);
        assert!(third.await.unwrap().is_ok());
    }

    #[actix::test]
    async fn who_comes_too_often_is_turned_away() {
        let gate = Gate::new(9).with_rate(Some((1, 1))).start();
        let place = gate.send(Place).await.unwrap();
        assert!(gate.send(Enter { place }).await.unwrap().is_ok());
        assert_eq!(gate.send(Enter { place }).await.unwrap().err(), Some(TurnedAway::TooOften));
    }
}
