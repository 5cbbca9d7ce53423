//! Calls to what is not ours: the leaves of a trace, each of which says whom it waits for.
//!
//! A deed is slow because something outside of us is, or because we are. So whatever may take long and is not
//! ours has a span of its own, of kind *client* and with a [`Peer`]; what lies outside of such spans is ours.

use super::context_of_current;
use crate::error;
use opentelemetry::trace::{Status, TraceContextExt};
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Whom a call waits for: what the attribute `peer.service` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The cluster's API server, by way of api-gate.
    ApiServer,
    /// What runs containers.
    Runtime,
    /// The kernel: mounts, cgroups, files.
    Kernel,
    /// A container of a pod: its probes and hooks.
    Container,
}

impl Peer {
    /// The value of `peer.service`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiServer => "kube-apiserver",
            Self::Runtime => "container-runtime",
            Self::Kernel => "kernel",
            Self::Container => "container",
        }
    }
}

/// A span for a call to something outside, where there is a trace that it is part of; else none: what is done
/// without anybody's asking would be a trace of one row each time.
#[macro_export]
macro_rules! call_span {
    ($peer:ident, $name:literal $(, $($fields:tt)*)?) => {
        if $crate::telemetry::is_traced() {
            ::tracing::info_span!(
                $name,
                otel.kind = "client",
                peer.service = $crate::telemetry::Peer::$peer.name(),
                $($($fields)*)?
            )
        } else {
            ::tracing::Span::none()
        }
    };
}

/// Whether there is a trace that what is done now is part of.
pub fn is_traced() -> bool {
    context_of_current().span().span_context().is_valid()
}

/// Makes a call within its span; a failure of the one is the other's.
///
/// # Errors
/// The call's own.
pub async fn call<T, E: std::error::Error>(
    span: Span,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let answer = call.instrument(span.clone()).await;
    if let Err(failure) = &answer {
        fail(&span, &error::chain(failure));
    }
    answer
}

/// Marks a deed as failed. `why` is shown to whoever reads traces, so that no secret may be in it.
pub fn fail(span: &Span, why: &str) {
    span.set_status(Status::error(why.to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::context::FutureExt as _;
    use std::io;

    #[test]
    fn outside_of_traces_a_call_has_no_span() {
        assert!(call_span!(Kernel, "write files").is_none());
    }

    #[actix::test]
    async fn an_answer_is_passed_on_as_it_is() {
        let context =
            super::super::context_from(Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        let calling = async {
            assert!(is_traced());
            let failed = call(Span::none(), async { Err::<(), _>(io::Error::other("no")) }).await;
            assert_eq!(failed.unwrap_err().to_string(), "no");
            assert_eq!(call(Span::none(), async { Ok::<_, io::Error>(7) }).await.unwrap(), 7);
        };
        calling.with_context(context).await;
    }
}
