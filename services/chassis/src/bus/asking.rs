//! Asking: one command, one answer.

use super::{
    AskError, Bus,
    headers::{self, Received},
    permissions::answers,
};
use crate::{clock, telemetry};
use async_nats::client::{Request, RequestError, RequestErrorKind};
use bytes::Bytes;
use messages::{BootTime, Command, subject};
use std::time::Duration;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// An answer on its way through the asker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered<R> {
    /// The answer.
    pub reply: R,
    /// When it was sent.
    pub sent: BootTime,
}

/// Sends a command and waits for its answer. While the bus is away nothing is sent: the client would
/// keep it and send it when the bus is back, long after the caller has given up.
pub(super) async fn ask<C: Command>(
    bus: &Bus,
    command: &C,
    patience: Duration,
) -> Result<Answered<C::Reply>, AskError> {
    let link = bus.inner.link.as_ref().filter(|link| link.is_up()).ok_or(AskError::Disconnected)?;
    let body = serde_json::to_vec(command)
        .map_err(|source| AskError::Unsendable { name: C::NAME, source: source.into() })?;
    let span = Span::current();
    span.set_attribute(telemetry::keys::PATIENCE, i64::try_from(patience.as_millis()).unwrap_or(i64::MAX));
    let sent = clock::now_boot();
    let traceparent = telemetry::traceparent(&telemetry::context_of_current());
    let headers =
        headers::command::<C>(sent, sent.after(patience), command.decision(), traceparent.as_deref());
    let request = Request::new()
        .headers(headers)
        .payload(Bytes::from(body))
        .timeout(Some(patience))
        .inbox(format!("{}.{:032x}", answers(bus.owner(), C::OWNER), rand::random::<u128>()));
    let reply = tokio::select! {
        reply = link.client.send_request(subject::of(bus.node(), command), request) => {
            reply.map_err(|failure| ask_error::<C>(failure, patience))?
        }
        () = link.lost() => return Err(AskError::Lost { name: C::NAME }),
    };
    let sent = Received(reply.headers.as_ref()).sent().unwrap_or_else(clock::now_boot);
    serde_json::from_slice(&reply.payload)
        .map(|reply| Answered { reply, sent })
        .map_err(|source| AskError::BadReply { name: C::NAME, source })
}

fn ask_error<C: Command>(failure: RequestError, patience: Duration) -> AskError {
    let name = C::NAME;
    match failure.kind() {
        RequestErrorKind::TimedOut => AskError::TimedOut { name, patience },
        RequestErrorKind::NoResponders => AskError::NoResponder { name },
        RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
            AskError::Unsendable { name, source: failure.into() }
        }
        RequestErrorKind::Other => AskError::Disconnected,
    }
}
