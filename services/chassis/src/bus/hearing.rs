//! Hearing a state: an ordered consumer of its stream, made anew whenever the bus was away.

use super::{
    Bus,
    address::Address,
    connection::Link,
    doubt::Doubt,
    headers::{Misfit, Received},
    ledger::Ledger,
    place,
};
use crate::{clock, error};
use async_nats::{
    HeaderMap,
    jetstream::{
        self, Context,
        consumer::{
            DeliverPolicy,
            push::{Ordered, OrderedConfig},
        },
        message::StreamMessage,
        stream::{RawMessageError, RawMessageErrorKind, Stream as Stored},
    },
};
use futures::{Stream, StreamExt, TryStreamExt};
use messages::{BootTime, Incarnation, Key, State, subject};
use opentelemetry::Context as TraceContext;
use std::{
    collections::VecDeque,
    convert::Infallible,
    ops::Range,
    pin::Pin,
    task::{Context as TaskContext, Poll},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, error, warn};

/// What was heard and not yet taken; beyond it the server is made to wait.
const QUEUE: usize = 64;
/// Pauses while the stream is not there, from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// One thing heard of a state.
#[derive(Debug, Clone)]
pub enum Heard<S> {
    /// The last word on a key.
    Value {
        /// What was said.
        state: S,
        /// Grows with everything its owner says in one life.
        revision: u64,
        /// The owner's life.
        incarnation: Incarnation,
        /// The trace that the sayer was part of: a parent while a start is open, else to be linked.
        context: TraceContext,
        /// When it was said.
        said: BootTime,
    },
    /// There is no such thing any more: its owner said so, or did not say it again in a new life.
    Gone {
        /// What is gone.
        key: Key,
    },
    /// The newest life of the owner has said everything: what was not heard does not exist.
    Complete,
}

/// A stream of what is heard. It never ends while the process lives.
#[derive(Debug)]
#[must_use = "what is heard is lost unless it is taken"]
pub struct Hearing<S> {
    heard: mpsc::Receiver<Heard<S>>,
}

impl<S> Hearing<S> {
    /// The next thing heard. Cancel-safe.
    pub async fn next(&mut self) -> Heard<S> {
        match self.heard.recv().await {
            Some(heard) => heard,
            // The task ends only after this end of the queue has gone.
            None => std::future::pending().await,
        }
    }
}

impl<S> Stream for Hearing<S> {
    type Item = Heard<S>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Heard<S>>> {
        self.heard.poll_recv(task)
    }
}

/// Begins to hear. Without a bus nothing is ever heard.
pub(super) fn follow<S: State>(bus: Bus, link: Option<Link>, address: Address) -> Hearing<S> {
    let (out, heard) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        match link {
            Some(link) => {
                let context = jetstream::new(link.client.clone());
                let (ledger, news) = (Ledger::new(), VecDeque::new());
                Follower { bus, link, context, address, ledger, news, out }.run().await;
            }
            None => out.closed().await,
        }
    });
    Hearing { heard }
}

struct Follower<S> {
    bus: Bus,
    link: Link,
    context: Context,
    address: Address,
    ledger: Ledger,
    /// News that the ledger knows of and the reader does not yet. Kept here, so that a reading may be
    /// given up at any moment.
    news: VecDeque<Heard<S>>,
    out: mpsc::Sender<Heard<S>>,
}

/// Why a reading ended.
enum Ended {
    /// Nobody takes what is heard any more.
    Unheard,
    /// The connection was made anew, and the stream may be another.
    Reconnected,
    /// The stream is not there, or its reading was broken off.
    Lost(Failure),
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl<S: State> Follower<S> {
    async fn run(mut self) {
        let mut pause = PAUSES.0;
        loop {
            let connection = self.link.made_after(0).await;
            match self.read(connection).await {
                Ended::Unheard => return,
                Ended::Reconnected => pause = PAUSES.0,
                Ended::Lost(why) => {
                    debug!(stream = self.address.stream(), error = error::chain(&*why), "not heard");
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    /// Reads the stream from its last values on, for as long as this connection holds.
    async fn read(&mut self, connection: u64) -> Ended {
        let link = self.link.clone();
        let out = self.out.clone();
        // Giving up a reading loses nothing: the next one begins with the last values, and the ledger
        // knows which of them are news.
        tokio::select! {
            biased;
            () = out.closed() => Ended::Unheard,
            _ = link.made_after(connection) => Ended::Reconnected,
            Err(why) = self.read_on() => Ended::Lost(why),
        }
    }

    /// Reads until that is no longer possible.
    async fn read_on(&mut self) -> Result<Infallible, Failure> {
        let (stream, mut messages) = open(&self.context, &self.address).await?;
        let state = &stream.cached_info().state;
        let (end, mut caught_up) = (state.last_sequence, state.messages == 0);
        self.ledger.begin();
        let mut doubt = Doubt::new(end, Instant::now());
        loop {
            self.hand_on().await;
            if caught_up && self.ledger.is_unsettled() {
                self.fetch_unread(&stream).await?;
                let settled = self.ledger.all_read();
                self.news.extend(settled.gone.into_iter().map(|key| Heard::Gone { key }));
                self.news.extend(settled.complete.then_some(Heard::Complete));
                continue;
            }
            let message = tokio::select! {
                biased;
                () = sleep_until(doubt.look()) => None,
                message = messages.next() => Some(message.ok_or("the reading ended")??),
            };
            let Some(message) = message else {
                let last = stream.get_info().await?.state.last_sequence;
                for gap in doubt.gaps(last, Instant::now()) {
                    self.fetch(&stream, gap).await?;
                }
                caught_up = true;
                continue;
            };
            if let Ok(info) = message.info() {
                doubt.read(info.stream_sequence, Instant::now());
                caught_up |= info.pending == 0 || info.stream_sequence >= end;
            }
            self.on_message(&message.subject, message.headers.as_ref(), &message.payload);
        }
    }

    /// Asks for what of these sequences the stream still holds.
    async fn fetch(&mut self, stream: &Stored, gap: Range<u64>) -> Result<(), Failure> {
        let mut from = gap.start;
        while from < gap.end {
            match held(stream.raw_message_builder().sequence(from).next_by_subject(">").send().await)? {
                Some(found) if found.sequence < gap.end => {
                    debug!(stream = self.address.stream(), sequence = found.sequence, "fetched");
                    self.on_message(&found.subject, Some(&found.headers), &found.payload);
                    self.hand_on().await;
                    from = found.sequence + 1;
                }
                _ => break,
            }
        }
        Ok(())
    }

    /// Asks for the last word on every key that the stream holds now and that has not been read from it. What is
    /// replaced before the server sends it is sent in its new place only, which may be after the marker.
    async fn fetch_unread(&mut self, stream: &Stored) -> Result<(), Failure> {
        let mut subjects = stream.info_with_subjects(">").await?;
        while let Some((about, _)) = subjects.try_next().await? {
            let key = subject::parse(&about).and_then(|parsed| parsed.key);
            if key.is_none_or(|key| self.ledger.has_read(&key)) {
                continue;
            }
            if let Some(found) = held(stream.get_last_raw_message_by_subject(&about).await)? {
                self.on_message(&found.subject, Some(&found.headers), &found.payload);
                self.hand_on().await;
            }
        }
        Ok(())
    }

    /// Gives the news to the reader, waiting for it to take them. Cancel-safe.
    async fn hand_on(&mut self) {
        while !self.news.is_empty() {
            // When nobody takes it, the reading is about to be given up.
            let Ok(place) = self.out.reserve().await else { return };
            if let Some(news) = self.news.pop_front() {
                place.send(news);
            }
        }
    }

    /// Notes one message in the ledger, and what is news in it. What is not what its subject promises
    /// is passed over, and the last value stays.
    fn on_message(&mut self, about: &str, headers: Option<&HeaderMap>, body: &[u8]) {
        let received = Received(headers);
        let (Some(stamp), Some(parsed)) = (received.stamp(), subject::parse(about)) else {
            return pass_over(about, "it bears no stamp");
        };
        let check = received.check::<S>();
        if matches!(check, Err(Misfit::Untyped | Misfit::OtherType { .. })) {
            return pass_over(about, "it is of another type");
        }
        match parsed.key {
            None => self.ledger.complete(stamp),
            Some(key) if received.is_tombstone() => {
                if self.ledger.tombstone(&key, stamp) {
                    self.news.push_back(Heard::Gone { key });
                }
            }
            Some(key) => match self.decode(check, &key, body) {
                Ok(state) if self.ledger.value(&key, stamp) => {
                    let (revision, incarnation) = (stamp.revision, stamp.incarnation);
                    let context = received.context();
                    let said = received.sent().unwrap_or_else(clock::now_boot);
                    self.news.push_back(Heard::Value { state, revision, incarnation, context, said });
                }
                Ok(_) => {}
                Err(Unreadable::Forged) => pass_over(about, "its body is about something else"),
                // Its owner did say something about the key, so that it is not gone.
                Err(Unreadable::Foreign) => {
                    self.ledger.value(&key, stamp);
                }
            },
        }
    }

    fn decode(&self, check: Result<(), Misfit>, key: &Key, body: &[u8]) -> Result<S, Unreadable> {
        if let Err(misfit) = check {
            warn!(name = S::NAME, %key, why = %misfit, "the last value known is kept");
            self.bus.wants_newer(format!("{}: {misfit}", S::NAME));
            return Err(Unreadable::Foreign);
        }
        let state: S = serde_json::from_slice(body).map_err(|failure| {
            error!(name = S::NAME, %key, why = place(&failure), "the last value known is kept");
            Unreadable::Foreign
        })?;
        if state.key() == *key { Ok(state) } else { Err(Unreadable::Forged) }
    }
}

fn pass_over(subject: &str, why: &str) {
    warn!(subject, why, "a message was passed over");
}

/// Why a body was not read.
enum Unreadable {
    /// By a newer executable, or damaged.
    Foreign,
    /// It is not about the key that it was published under.
    Forged,
}

/// What the stream holds of what was asked for, if anything.
fn held(answer: Result<StreamMessage, RawMessageError>) -> Result<Option<StreamMessage>, Failure> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

/// A stream, and a consumer of all its last values and what follows.
async fn open(context: &Context, address: &Address) -> Result<(Stored, Ordered), Failure> {
    let stream = context.get_stream(address.stream()).await?;
    let inbox = context.client().new_inbox();
    let config = OrderedConfig {
        // Only who creates a consumer by name asks at a subject of its own.
        name: inbox.rsplit('.').next().map(str::to_owned),
        deliver_subject: inbox,
        // Of each subject the stream holds only the last; asking for that needs a filter.
        deliver_policy: DeliverPolicy::All,
        ..OrderedConfig::default()
    };
    let messages = context.create_consumer_on_stream(config, address.stream()).await?.messages().await?;
    Ok((stream, messages))
}

#[cfg(all(test, feature = "testing"))]
#[expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]
mod tests {
    use super::*;
    use crate::testing::BusServer;
    use messages::{
        Owner,
        volume_mounter::{Volumes, VolumesPhase},
    };

    const DEADLINE: Duration = Duration::from_secs(20);

    fn volumes(pod: &str, revision: u64) -> Volumes {
        Volumes {
            pod: pod.parse().unwrap(),
            phase: VolumesPhase::Ready,
            revision,
            volumes: Vec::new(),
            pod_dir: String::new(),
            supplemental_groups: Vec::new(),
        }
    }

    #[actix::test]
    async fn what_a_gap_still_holds_is_heard_once() {
        for program in BusServer::programs() {
            let server = BusServer::of(&program);
            let (mounter, bus) =
                (server.bus(Owner::VolumeMounter).await, server.bus(Owner::PodLifecycle).await);
            let address = Address::of::<Volumes>(bus.node()).unwrap();
            let context = jetstream::new(bus.inner.link.as_ref().unwrap().client.clone());
            let (out, mut heard) = mpsc::channel(QUEUE);
            let (ledger, news, link) = (Ledger::new(), VecDeque::new(), bus.inner.link.clone().unwrap());
            let mut follower = Follower::<Volumes> { bus, link, context, address, ledger, news, out };
            for (pod, revision) in [("u-1", 1), ("u-2", 2), ("u-1", 3), ("u-3", 4)] {
                mounter.say(&volumes(pod, revision)).await;
            }
            mounter.flush(DEADLINE).await;
            let stream = follower.context.get_stream(follower.address.stream()).await.unwrap();
            let last = stream.cached_info().state.last_sequence;

            for _ in 0..2 {
                follower.fetch(&stream, 1..last).await.unwrap();
            }
            let missing = follower.fetch(&stream, last + 1..last + 9).await;

            assert!(missing.is_ok(), "nothing is there, and that is no failure");
            let mut pods = Vec::new();
            while let Ok(Heard::Value { state, .. }) = heard.try_recv() {
                pods.push((state.pod.to_string(), state.revision));
            }
            assert_eq!(pods, [("u-2".to_owned(), 2), ("u-1".to_owned(), 3)], "{}", program.display());
        }
    }
}
