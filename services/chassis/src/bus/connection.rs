//! One connection to the server, and what is known about it.

use super::{BusError, permissions::inbox};
use async_nats::{Client, ConnectOptions, Event, ServerError, connection::State};
use messages::Owner;
use std::{io, path::Path, time::Duration};
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

/// A server that does not answer two of these in a row is away.
const PING: Duration = Duration::from_secs(2);
/// Pauses between tries to connect in milliseconds, from the second try's to the longest.
const PAUSES: (u64, u64) = (20, 500);
/// Messages that wait for one subscriber; more than any state has keys.
const SUBSCRIBER_QUEUE: usize = 16 * 1024;
/// Commands that wait for the connection's task.
const CLIENT_QUEUE: usize = 512;
/// How the server words what it does not allow.
const VIOLATION: &str = "permissions violation";

/// Where the bus is, and the key to it.
#[derive(Clone)]
pub struct Access {
    url: String,
    seed: Option<String>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Access {
    /// Without a key, for a server that asks for none.
    pub fn open(url: impl Into<String>) -> Self {
        Self { url: url.into(), seed: None }
    }

    /// With the nkey seed in a file; without a key when there is no such file.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn with_seed(url: impl Into<String>, path: &Path) -> Result<Self, BusError> {
        let seed = match std::fs::read_to_string(path) {
            Ok(seed) => Some(seed.trim().to_owned()),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(BusError::Seed { path: path.to_owned(), source }),
        };
        Ok(Self { url: url.into(), seed })
    }
}

/// What is known about the connection.
#[derive(Debug, Clone, Default)]
struct Known {
    /// How often it was made.
    times: u64,
    /// It was made, and not lost since.
    stands: bool,
    /// What the server said this process may not do.
    forbidden: Option<String>,
    /// Why it was not made when last tried.
    failure: Option<String>,
}

/// The connection. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) client: Client,
    known: watch::Receiver<Known>,
}

impl Link {
    /// Whether the server answers now.
    pub(super) fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected && self.known.borrow().stands
    }

    /// Returns once the connection that is there now is there no more. Cancel-safe.
    pub(super) async fn lost(&self) {
        let now = self.times();
        self.until(|known| (!known.stands || known.times != now).then_some(())).await;
    }

    /// How often the connection was made so far.
    pub(super) fn times(&self) -> u64 {
        self.known.borrow().times
    }

    /// Returns once the connection was made more often than `times`. Cancel-safe.
    pub(super) async fn made_after(&self, times: u64) -> u64 {
        self.until(|known| (known.times > times).then_some(known.times)).await
    }

    /// Returns what the server forbade, once it did.
    pub(super) async fn forbidden(&self) -> String {
        self.until(|known| known.forbidden.clone()).await
    }

    async fn until<T>(&self, look: impl Fn(&Known) -> Option<T>) -> T {
        let mut known = self.known.clone();
        loop {
            if let Some(found) = look(&known.borrow_and_update()) {
                return found;
            }
            if known.changed().await.is_err() {
                // The client is gone, and with it everyone who could be waiting.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Connects, or begins to try.
pub(super) async fn connect(owner: Owner, access: Access) -> Result<Link, BusError> {
    let (notes, known) = watch::channel(Known::default());
    let options = match access.seed {
        Some(seed) => ConnectOptions::with_nkey(seed),
        None => ConnectOptions::new(),
    };
    let client = options
        .name(owner.name())
        .custom_inbox_prefix(inbox(owner))
        .ping_interval(PING)
        .retry_on_initial_connect()
        .ignore_discovered_servers()
        .reconnect_delay_callback(pause)
        .subscription_capacity(SUBSCRIBER_QUEUE)
        .client_capacity(CLIENT_QUEUE)
        .read_buffer_capacity(4096)
        .event_callback(move |event| {
            note(&notes, &event);
            std::future::ready(())
        })
        .connect(&access.url)
        .await
        .map_err(|source| BusError::Connect { url: access.url, source })?;
    Ok(Link { client, known })
}

/// At once, then after 20 ms, 40 ms … 500 ms.
fn pause(attempt: usize) -> Duration {
    let milliseconds = match attempt {
        0 | 1 => 0,
        later => PAUSES.0 << (later - 2).min(5),
    };
    Duration::from_millis(milliseconds.min(PAUSES.1))
}

fn note(notes: &watch::Sender<Known>, event: &Event) {
    match event {
        Event::Connected => {
            info!("the bus is there");
            notes.send_modify(|known| {
                *known = Known { times: known.times + 1, stands: true, failure: None, ..known.clone() };
            });
        }
        Event::Disconnected => {
            warn!("the bus is away");
            notes.send_modify(|known| known.stands = false);
        }
        Event::ServerError(ServerError::Other(text)) if is_violation(text) => {
            error!(what = text, "the catalog does not allow what this process tried on the bus");
            notes.send_modify(|known| known.forbidden = Some(text.clone()));
        }
        Event::SlowConsumer(_) => warn!("messages were dropped: a reader on the bus is too slow"),
        Event::ServerError(failure) => warn!(%failure, "the bus complains"),
        Event::ClientError(failure) => {
            let failure = failure.to_string();
            notes.send_if_modified(|known| {
                if known.failure.as_ref() != Some(&failure) {
                    warn!(failure, "cannot connect to the bus; trying on");
                    known.failure = Some(failure);
                }
                false
            });
        }
        other => debug!(event = %other, "bus"),
    }
}

fn is_violation(text: &str) -> bool {
    text.to_ascii_lowercase().contains(VIOLATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_follow_each_other_quickly_but_not_in_a_loop() {
        let cases = [(0, 0), (1, 0), (2, 20), (3, 40), (6, 320), (7, 500), (1_000_000, 500)];
        for (attempt, milliseconds) in cases {
            assert_eq!(pause(attempt), Duration::from_millis(milliseconds), "attempt {attempt}");
        }
    }

    #[test]
    fn a_key_is_never_printed() {
        let access = Access { url: "nats://127.0.0.1:4222".to_owned(), seed: Some("SUSECRET".to_owned()) };
        assert!(!format!("{access:?}").contains("SUSECRET"));
    }

    #[test]
    fn violations_are_told_from_other_complaints() {
        assert!(is_violation("Permissions Violation for Publish to \"a\""));
        assert!(is_violation("Permissions Violation for Subscription to \"a\""));
        assert!(!is_violation("Maximum Connections Exceeded"));
    }
}
