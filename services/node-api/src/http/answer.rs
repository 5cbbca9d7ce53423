//! Answers as HTTP responses.

use crate::core::refused::Refused;
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    code: u16,
    kind: &'static str,
    body: Vec<u8>,
}

impl Answer {
    /// Plain text.
    pub(crate) fn text(code: u16, body: impl Into<String>) -> Self {
        Self { code, kind: "text/plain; charset=utf-8", body: body.into().into_bytes() }
    }

    /// JSON.
    pub(crate) fn json(body: impl Into<Vec<u8>>) -> Self {
        Self { code: 200, kind: "application/json", body: body.into() }
    }

    /// Prometheus' text.
    pub(crate) fn metrics(body: String) -> Self {
        Self {
            code: 200,
            kind: "text/plain; version=0.0.4; charset=utf-8; escaping=values",
            body: body.into_bytes(),
        }
    }

    /// The process is leaving, and nobody is left to ask.
    pub(crate) fn leaving() -> Self {
        Self::text(503, "the node agent is leaving\n")
    }
}

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Self {
        Self::text(refused.code, refused.text)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}
