//! An answer that says no, in the stock kubelet's words: callers, people and tests read them.

/// A status code and a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The HTTP status code.
    pub(crate) code: u16,
    /// The body.
    pub(crate) text: String,
}

impl Refused {
    /// 400.
    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self { code: 400, text: text.into() }
    }

    /// 404.
    pub(crate) fn not_found(text: impl Into<String>) -> Self {
        Self { code: 404, text: text.into() }
    }

    /// 500.
    pub(crate) fn internal(text: impl Into<String>) -> Self {
        Self { code: 500, text: text.into() }
    }
}
