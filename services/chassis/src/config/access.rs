//! Who may ask the node's HTTPS port for what: `authentication` and `authorization`.

use super::{choices::AuthorizationMode, duration::GoDuration, table::table};
use std::path::PathBuf;

table! {
    /// How callers of 10250 show who they are.
    Authentication {
        /// By client certificate.
        "x509" x509: X509 = X509::default();
        /// By bearer token, which the API server is asked about (TokenReview).
        "webhook" webhook: TokenWebhook = TokenWebhook::default();
        /// Not at all.
        "anonymous" anonymous: Anonymous = Anonymous::default();
    }
}

table! {
    /// Client certificates.
    X509 {
        /// PEM file of the authorities whose certificates count.
        #[serde(skip_serializing_if = "Option::is_none")]
        "clientCAFile" client_ca_file: Option<PathBuf> = None;
    }
}

table! {
    /// Bearer tokens.
    TokenWebhook {
        /// Tokens are accepted.
        "enabled" enabled: bool = true;
        /// How long an answer counts.
        "cacheTTL" cache_ttl: GoDuration = GoDuration::seconds(120);
    }
}

table! {
    /// Requests of nobody in particular.
    Anonymous {
        /// They are let through as `system:anonymous`.
        "enabled" enabled: bool = false;
    }
}

table! {
    /// What authenticated callers may do.
    Authorization {
        /// Who decides.
        "mode" mode: AuthorizationMode = AuthorizationMode::Webhook;
        /// How long the API server's answers count.
        "webhook" webhook: AuthorizationWebhook = AuthorizationWebhook::default();
    }
}

table! {
    /// How long answers to SubjectAccessReviews count.
    AuthorizationWebhook {
        /// A yes.
        "cacheAuthorizedTTL" cache_authorized_ttl: GoDuration = GoDuration::seconds(300);
        /// A no.
        "cacheUnauthorizedTTL" cache_unauthorized_ttl: GoDuration = GoDuration::seconds(30);
    }
}
