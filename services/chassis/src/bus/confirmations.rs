//! What the server says about what was said: stored, or not.

use super::{connection::Link, repertoire::Saying};
use async_nats::{
    Message, StatusCode, SubscribeError, Subscriber,
    jetstream::{ErrorCode, response::Response},
};
use futures::StreamExt;
use messages::BootTime;
use serde::Deserialize;
use std::{collections::HashMap, time::Duration};

/// How long the server may take to confirm.
const CONFIRM: Duration = Duration::from_secs(5);

/// The sayings of one connection that the server has not confirmed yet. They end with the connection,
/// since the next one's stream may be another.
pub(super) struct Confirmations {
    pub(super) connection: u64,
    inbox: String,
    subscriber: Subscriber,
    /// By revision.
    open: HashMap<u64, (Saying, BootTime)>,
}

/// Why the server did not store something.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotStored {
    /// There is no such stream (yet).
    NoStream,
    /// It said so.
    Refused(String),
}

impl Confirmations {
    pub(super) async fn begin(link: &Link, connection: u64) -> Result<Self, SubscribeError> {
        let inbox = link.client.new_inbox();
        let subscriber = link.client.subscribe(format!("{inbox}.*")).await?;
        Ok(Self { connection, inbox, subscriber, open: HashMap::new() })
    }

    /// Where the server is to confirm a saying.
    pub(super) fn inbox(&self, saying: &Saying) -> String {
        format!("{}.{}", self.inbox, saying.stamp.revision)
    }

    /// A saying was published.
    pub(super) fn expect(&mut self, saying: Saying, now: BootTime) {
        self.open.insert(saying.stamp.revision, (saying, now));
    }

    /// Nothing is waited for.
    pub(super) fn are_all_in(&self) -> bool {
        self.open.is_empty()
    }

    /// The next saying that the server stored, with its sequence, or did not. Cancel-safe.
    pub(super) async fn next(&mut self) -> (Saying, Result<u64, NotStored>) {
        loop {
            let Some(message) = self.subscriber.next().await else {
                // The client is gone, and this process with it.
                return std::future::pending().await;
            };
            let revision = message.subject.rsplit('.').next().and_then(|token| token.parse().ok());
            let saying = revision.and_then(|revision: u64| self.open.remove(&revision));
            // What was said again meanwhile is confirmed twice.
            if let Some((saying, _)) = saying {
                return (saying, stored(&message));
            }
        }
    }

    /// The sayings that should have been confirmed by now, no longer waited for.
    pub(super) fn late(&mut self, now: BootTime) -> Vec<Saying> {
        let late = self.open.extract_if(|_, (_, sent)| now.since(*sent) > CONFIRM);
        late.map(|(_, (saying, _))| saying).collect()
    }
}

fn stored(confirmation: &Message) -> Result<u64, NotStored> {
    #[derive(Deserialize)]
    struct Stored {
        seq: u64,
    }
    if confirmation.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(NotStored::NoStream);
    }
    match serde_json::from_slice(&confirmation.payload) {
        Ok(Response::Ok(Stored { seq })) => Ok(seq),
        Ok(Response::Err { error }) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            Err(NotStored::NoStream)
        }
        Ok(Response::Err { error }) => Err(NotStored::Refused(error.to_string())),
        Err(failure) => Err(NotStored::Refused(super::place(&failure))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_words_are_understood() {
        let refused = |text: &str| Err(NotStored::Refused(text.to_owned()));
        let cases = [
            ("stored", None, r#"{"stream":"s","seq":7}"#, Ok(7)),
            ("nobody there", Some(StatusCode::NO_RESPONDERS), "", Err(NotStored::NoStream)),
            (
                "full",
                None,
                r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}"#,
                refused("maximum bytes exceeded (code 503, error code 10077)"),
            ),
            ("nonsense", None, "{", refused("not the expected JSON at line 1, column 1")),
        ];
        for (name, status, payload, wanted) in cases {
            let message = Message {
                subject: "_INBOX_prober.a.1".into(),
                reply: None,
                payload: payload.into(),
                headers: None,
                status,
                description: None,
                length: 0,
            };
            assert_eq!(stored(&message), wanted, "{name}");
        }
    }
}
