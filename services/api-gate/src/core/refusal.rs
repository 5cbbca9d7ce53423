//! The gate's own answers, in the API server's own form: a `Status` object.

use super::{request::Unreadable, rules::NoRule};
use http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

/// Why the gate did not pass a request on, or has no answer to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It cannot be told what is asked for.
    #[error("api-gate cannot tell what is asked for")]
    Unreadable(#[source] Unreadable),
    /// No rule allows it.
    #[error("{0}")]
    NoRule(NoRule),
    /// The body is larger than the API server would take.
    #[error("the request's body is larger than {limit} bytes")]
    TooLarge {
        /// The most that is taken.
        limit: usize,
    },
    /// The peer has as many requests under way as it may have.
    #[error("too many requests of one process are under way")]
    TooMany,
    /// The budget is spent, or the API server asked for patience.
    #[error("the budget for requests to the API server is spent")]
    Spent {
        /// When trying again may help.
        retry_after: Duration,
    },
    /// The API server does not answer. Nothing was sent.
    #[error("the API server is away")]
    Away {
        /// When trying again may help.
        retry_after: Duration,
    },
    /// The connection broke: whether the request was acted on is unknown.
    #[error("the connection to the API server broke")]
    Broken,
    /// No answer came in time: whether the request was acted on is unknown.
    #[error("the API server did not answer in time")]
    Late,
}

impl Refusal {
    /// The HTTP status.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Unreadable(_) | Self::NoRule(_) => StatusCode::FORBIDDEN,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany | Self::Spent { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Away { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::BAD_GATEWAY,
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Whether it is the asker's own program that is wrong, which should then end.
    pub(crate) const fn is_programs_fault(&self) -> bool {
        matches!(self, Self::NoRule(NoRule { is_programs_fault: true, .. }))
    }

    /// Whole seconds after which to try again, at least one: the header has no fractions.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooMany => Some(1),
            Self::Spent { retry_after } | Self::Away { retry_after } => {
                Some(retry_after.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1))
            }
            _ => None,
        }
    }

    /// The body: a `metav1.Status`.
    pub(crate) fn body(&self) -> Value {
        let mut body = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message(),
            "reason": self.reason(),
            "code": self.status().as_u16(),
        });
        if let Some(seconds) = self.retry_after() {
            body["details"] = json!({ "retryAfterSeconds": seconds });
        }
        body
    }

    fn message(&self) -> String {
        match self {
            Self::Unreadable(why) => format!("{self}: {why}"),
            _ => self.to_string(),
        }
    }

    /// One of `metav1.StatusReason`.
    const fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable(_) | Self::NoRule(_) => "Forbidden",
            Self::TooLarge { .. } => "RequestEntityTooLarge",
            Self::TooMany | Self::Spent { .. } => "TooManyRequests",
            Self::Away { .. } => "ServiceUnavailable",
            Self::Broken => "InternalError",
            Self::Late => "Timeout",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_as_the_api_server_would_write_it() {
        let second = Duration::from_secs(1);
        let cases = [
            ("no path of the API", Refusal::Unreadable(Unreadable::NoResource), 403, "Forbidden", None),
            ("too much at once", Refusal::TooMany, 429, "TooManyRequests", Some(1)),
            (
                "half a second is rounded up",
                Refusal::Spent { retry_after: second / 2 },
                429,
                "TooManyRequests",
                Some(1),
            ),
            (
                "so is anything more",
                Refusal::Away { retry_after: second * 3 / 2 },
                503,
                "ServiceUnavailable",
                Some(2),
            ),
            (
                "at once is not sooner than a second",
                Refusal::Away { retry_after: Duration::ZERO },
                503,
                "ServiceUnavailable",
                Some(1),
            ),
            ("an unknown end", Refusal::Broken, 502, "InternalError", None),
        ];
        for (name, refusal, code, reason, retry_after) in cases {
            let body = refusal.body();
            assert_eq!(
                (body["code"].as_u64(), body["reason"].as_str()),
                (Some(code), Some(reason)),
                "{name}"
            );
            assert_eq!(body["details"]["retryAfterSeconds"].as_u64(), retry_after, "{name}");
            assert_eq!(body["kind"], "Status", "{name}");
        }
    }

    #[test]
    fn an_unreadable_request_is_told_why() {
        let body = Refusal::Unreadable(Unreadable::NoResource).body();
        assert_eq!(
            body["message"],
            "api-gate cannot tell what is asked for: the path names no resource of the API"
        );
    }
}
