//! A kubeconfig (`client.config.k8s.io`/v1 `Config`) as it stands in the file, as far as the gate looks
//! at it: what it honours, and what it has to refuse. Other fields are for people and other programs.

use secrecy::SecretString;
use serde::{Deserialize, de::IgnoredAny};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Kubeconfig {
    pub(crate) current_context: Option<String>,
    pub(crate) contexts: Vec<NamedContext>,
    pub(crate) clusters: Vec<NamedCluster>,
    pub(crate) users: Vec<NamedUser>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct NamedContext {
    pub(crate) name: String,
    pub(crate) context: Option<Context>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Context {
    #[serde(default)]
    pub(crate) cluster: String,
    #[serde(default)]
    pub(crate) user: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct NamedCluster {
    pub(crate) name: String,
    pub(crate) cluster: Option<Cluster>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Cluster {
    pub(crate) server: Option<String>,
    pub(crate) tls_server_name: Option<String>,
    pub(crate) insecure_skip_tls_verify: bool,
    pub(crate) certificate_authority: Option<String>,
    pub(crate) certificate_authority_data: Option<String>,
    pub(crate) proxy_url: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct NamedUser {
    pub(crate) name: String,
    pub(crate) user: Option<User>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct User {
    pub(crate) client_certificate: Option<String>,
    pub(crate) client_certificate_data: Option<String>,
    pub(crate) client_key: Option<String>,
    pub(crate) client_key_data: Option<SecretString>,
    pub(crate) token: Option<SecretString>,
    #[serde(rename = "tokenFile")]
    pub(crate) token_file: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) exec: Option<IgnoredAny>,
    pub(crate) auth_provider: Option<IgnoredAny>,
    #[serde(rename = "as")]
    pub(crate) impersonate: Option<String>,
    pub(crate) as_uid: Option<String>,
    pub(crate) as_groups: Option<Vec<String>>,
}
