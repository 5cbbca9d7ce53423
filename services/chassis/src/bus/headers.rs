//! The headers of a message, written and read in one place. Their names are lower case: NATS
//! compares them as they are.

use crate::telemetry;
use async_nats::HeaderMap;
use messages::{BootTime, Decision, Incarnation, Message};
use opentelemetry::Context;

/// Type and version: `pod/1`.
const MESSAGE: &str = "message";
/// Boot time after which a command must not be acted on.
const EXPIRES: &str = "expires";
/// Boot time at which it was sent; for a state, at which it was first said.
const SENT: &str = "sent";
/// The decision that a command carries out; for people, the body has it too.
const DECISION: &str = "decision";
/// The life of the sayer.
const INCARNATION: &str = "incarnation";
/// Grows with everything that the sayer says in this life.
const REVISION: &str = "revision";
/// `1` on an empty body: there is no such thing any more.
const TOMBSTONE: &str = "tombstone";
/// W3C Trace Context.
const TRACEPARENT: &str = "traceparent";

/// When a state was said: which life, and which of its sayings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    pub(super) incarnation: Incarnation,
    pub(super) revision: u64,
}

/// Why a message is not of the type that its subject promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misfit {
    #[error("it does not say of which type it is")]
    Untyped,
    #[error("it is of another type: {found}")]
    OtherType { found: String },
    #[error("it is of version {found}, newer than this executable's {known}")]
    Newer { found: u16, known: u16 },
}

/// Type, version and trace of any message.
pub(super) fn plain<M: Message>(traceparent: Option<&str>) -> HeaderMap {
    typed(M::NAME, M::VERSION, traceparent)
}

pub(super) fn command<M: Message>(
    sent: BootTime,
    expires: BootTime,
    decision: Option<Decision>,
    traceparent: Option<&str>,
) -> HeaderMap {
    let mut headers = plain::<M>(traceparent);
    headers.insert(SENT, sent.0.to_string());
    headers.insert(EXPIRES, expires.0.to_string());
    if let Some(decision) = decision {
        headers.insert(DECISION, decision.to_string());
    }
    headers
}

/// What the headers of a state tell.
pub(super) struct Stated<'s> {
    pub(super) name: &'s str,
    pub(super) version: u16,
    pub(super) stamp: Stamp,
    /// When it was said first.
    pub(super) said: Option<BootTime>,
    pub(super) is_tombstone: bool,
    pub(super) traceparent: Option<&'s str>,
}

pub(super) fn state(stated: &Stated<'_>) -> HeaderMap {
    let mut headers = typed(stated.name, stated.version, stated.traceparent);
    if let Some(said) = stated.said {
        headers.insert(SENT, said.0.to_string());
    }
    headers.insert(INCARNATION, stated.stamp.incarnation.to_string());
    headers.insert(REVISION, stated.stamp.revision.to_string());
    if stated.is_tombstone {
        headers.insert(TOMBSTONE, "1");
    }
    headers
}

/// When a reply was sent.
pub(super) fn reply(sent: BootTime) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(SENT, sent.0.to_string());
    headers
}

fn typed(name: &str, version: u16, traceparent: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(MESSAGE, format!("{name}/{version}"));
    if let Some(traceparent) = traceparent {
        headers.insert(TRACEPARENT, traceparent);
    }
    headers
}

/// The headers of a received message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Received<'a>(pub(super) Option<&'a HeaderMap>);

impl<'a> Received<'a> {
    fn text(self, name: &'static str) -> Option<&'a str> {
        self.0?.get_last(name).map(|value| value.as_str())
    }

    fn number(self, name: &'static str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// Whether the body can be read as an `M`. Older versions can: their types are kept.
    pub(super) fn check<M: Message>(self) -> Result<(), Misfit> {
        let found = self.text(MESSAGE).ok_or(Misfit::Untyped)?;
        let other = || Misfit::OtherType { found: found.chars().take(80).collect() };
        let (name, version) = found.split_once('/').ok_or_else(other)?;
        let version: u16 = version.parse().map_err(|_| other())?;
        match name {
            name if name != M::NAME => Err(other()),
            _ if version > M::VERSION => Err(Misfit::Newer { found: version, known: M::VERSION }),
            _ => Ok(()),
        }
    }

    pub(super) fn expires(self) -> Option<BootTime> {
        self.number(EXPIRES).map(BootTime)
    }

    pub(super) fn sent(self) -> Option<BootTime> {
        self.number(SENT).map(BootTime)
    }

    pub(super) fn stamp(self) -> Option<Stamp> {
        let incarnation = Incarnation(self.number(INCARNATION)?);
        Some(Stamp { incarnation, revision: self.number(REVISION)? })
    }

    pub(super) fn is_tombstone(self) -> bool {
        self.text(TOMBSTONE) == Some("1")
    }

    /// The trace that the sender was part of; empty when it was part of none.
    pub(super) fn context(self) -> Context {
        telemetry::context_from(self.text(TRACEPARENT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::cri_bridge::{PullImage, StopPod};

    #[test]
    fn what_is_written_is_read_back() {
        let decision = Decision { incarnation: Incarnation(3), revision: 9 };
        let headers = command::<StopPod>(BootTime(5), BootTime(7), Some(decision), None);
        let received = Received(Some(&headers));
        assert_eq!(received.check::<StopPod>(), Ok(()));
        assert_eq!((received.sent(), received.expires()), (Some(BootTime(5)), Some(BootTime(7))));
        assert_eq!(received.text(DECISION), Some("3.9"));

        let stamp = Stamp { incarnation: Incarnation(4), revision: 8 };
        let headers = state(&Stated {
            name: "pod",
            version: 1,
            stamp,
            said: Some(BootTime(3)),
            is_tombstone: true,
            traceparent: None,
        });
        let received = Received(Some(&headers));
        assert_eq!((received.stamp(), received.sent()), (Some(stamp), Some(BootTime(3))));
        assert!(received.is_tombstone());
    }

    #[test]
    fn a_message_of_another_type_or_a_newer_version_is_told_apart() {
        let other = |found: &str| Err(Misfit::OtherType { found: found.to_owned() });
        let cases = [
            ("the same", Some("stop-pod/1"), Ok(())),
            ("another", Some("pull-image/1"), other("pull-image/1")),
            ("newer", Some("stop-pod/2"), Err(Misfit::Newer { found: 2, known: 1 })),
            ("another and newer", Some("pull-image/2"), other("pull-image/2")),
            ("no version", Some("stop-pod"), other("stop-pod")),
            ("a version that is no number", Some("stop-pod/x"), other("stop-pod/x")),
            ("none", None, Err(Misfit::Untyped)),
        ];
        for (name, header, wanted) in cases {
            let mut headers = plain::<PullImage>(None);
            headers = header.map_or_else(HeaderMap::new, |text| {
                headers.insert(MESSAGE, text);
                headers
            });
            assert_eq!(Received(Some(&headers)).check::<StopPod>(), wanted, "{name}");
        }
        assert_eq!(Received(None).check::<StopPod>(), Err(Misfit::Untyped));
    }
}
