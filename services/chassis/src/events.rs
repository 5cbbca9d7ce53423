//! Kubernetes events on their way to status-reporter: kept in a bounded queue until taken.

use crate::{Bus, error};
use messages::{
    Refusal,
    status_reporter::{RecordEvent, RecordEventReply},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};
use tracing::{debug, warn};

/// Events kept while status-reporter is away; beyond it the oldest is dropped. About 1 MiB at worst.
const LIMIT: usize = 1000;
/// The longest message of an event, in bytes, as the API server has it.
const MESSAGE_LIMIT: usize = 1024;
/// How long one event may be on its way.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pauses between tries, from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Takes events from a service without ever making it wait. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Events {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<RecordEvent>,
    dropped: u64,
}

impl Queue {
    fn push(&mut self, event: RecordEvent) {
        if self.waiting.len() >= LIMIT {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(event);
    }
}

impl Events {
    /// Puts an event into the queue. When it is full the oldest one is dropped.
    pub fn record(&self, mut event: RecordEvent) {
        event.message = cut(event.message);
        self.queue().push(event);
        self.shared.more.notify_one();
    }

    /// How many events were dropped in this life.
    pub fn dropped(&self) -> u64 {
        self.queue().dropped
    }

    /// The next event, taken out of the queue. For status-reporter, which needs no bus to hear itself;
    /// in every other process the chassis takes them.
    pub async fn next(&self) -> RecordEvent {
        loop {
            if let Some(event) = self.queue().waiting.pop_front() {
                return event;
            }
            self.shared.more.notified().await;
        }
    }

    /// Sends what is queued to status-reporter, in order, for ever.
    pub(crate) async fn keep_sending(self, bus: Bus) {
        loop {
            let event = self.next().await;
            send(&bus, &event).await;
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks until the event was taken, or was refused for good.
async fn send(bus: &Bus, event: &RecordEvent) {
    let mut pause = PAUSES.0;
    loop {
        match bus.ask(event, PATIENCE).await {
            Ok(RecordEventReply::Taken) => return,
            Ok(RecordEventReply::Refused { refusal: Refusal::Unavailable | Refusal::Expired }) => {}
            Ok(RecordEventReply::Refused { refusal }) => {
                warn!(reason = event.reason, why = %refusal, "status-reporter refused an event");
                return;
            }
            Err(failure) => debug!(error = error::chain(&failure), "an event has to wait"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn cut(mut message: String) -> String {
    if message.len() > MESSAGE_LIMIT {
        let end = (0..=MESSAGE_LIMIT).rev().find(|at| message.is_char_boundary(*at)).unwrap_or_default();
        message.truncate(end);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::status_reporter::{About, Severity};

    fn event(number: usize) -> RecordEvent {
        RecordEvent {
            about: About::Node,
            severity: Severity::Normal,
            reason: format!("Event{number}"),
            message: String::new(),
            at: 0,
        }
    }

    #[actix::test]
    async fn a_full_queue_drops_the_oldest_and_counts_it() {
        let events = Events::default();
        for number in 0..LIMIT + 2 {
            events.record(event(number));
        }
        assert_eq!(events.dropped(), 2);
        assert_eq!(events.next().await.reason, "Event2");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let cases = [
            ("a short one stays", "x".to_owned(), 1),
            ("one of the limit stays", "x".repeat(MESSAGE_LIMIT), MESSAGE_LIMIT),
            ("a longer one is cut", "x".repeat(MESSAGE_LIMIT + 1), MESSAGE_LIMIT),
            ("no character is split", "é".repeat(MESSAGE_LIMIT) + "x", MESSAGE_LIMIT),
            ("not even at an odd place", format!("x{}", "é".repeat(MESSAGE_LIMIT)), MESSAGE_LIMIT - 1),
        ];
        for (name, message, length) in cases {
            assert_eq!(cut(message).len(), length, "{name}");
        }
    }
}
