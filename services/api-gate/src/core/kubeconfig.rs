//! What a kubeconfig says about the way to the API server: the cluster and user of its current context,
//! with every field that the gate cannot honour refused by name.
//!
//! Pure: files that fields point to are read by `adapters::kubeconfig`, which also makes sense of
//! certificates and keys.

mod document;

use base64::{Engine, prelude::BASE64_STANDARD};
pub(crate) use document::Kubeconfig;
use document::{Cluster, User};
use http::Uri;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use std::path::{Path, PathBuf};

/// Where to go and as whom.
#[derive(Debug)]
pub(crate) struct Access {
    /// `clusters[].cluster.server`: scheme, authority and possibly a path.
    pub(crate) server: Uri,
    /// The name that the server's certificate must bear, when it is not the URL's.
    pub(crate) tls_server_name: Option<String>,
    /// The server's certificate is not looked at.
    pub(crate) insecure: bool,
    /// Authorities whose server certificates count; absent: the system's.
    pub(crate) authority: Option<Value>,
    /// Client certificate and key.
    pub(crate) certificate: Option<(Value, Value)>,
    /// Bearer token.
    pub(crate) token: Option<Value>,
}

/// A field's value, which may stand in a file.
#[derive(Debug)]
pub(crate) struct Value {
    /// The field, as a path such as `users[kubelet].user.client-key`.
    pub(crate) field: String,
    /// Where its bytes are.
    pub(crate) place: Place,
}

/// Where the bytes of a value are.
#[derive(Debug)]
pub(crate) enum Place {
    /// In the kubeconfig itself, decoded.
    Inline(SecretSlice<u8>),
    /// In this file.
    File(PathBuf),
}

/// A field that is missing, malformed or not supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub(crate) struct BadField {
    field: String,
    why: &'static str,
}

impl BadField {
    pub(crate) fn new(field: impl Into<String>, why: &'static str) -> Self {
        Self { field: field.into(), why }
    }
}

/// Reads the current context. Relative paths are taken from `folder`, where the kubeconfig is.
pub(crate) fn access(config: &Kubeconfig, folder: &Path) -> Result<Access, BadField> {
    let context_name =
        nonempty(config.current_context.as_deref()).ok_or(BadField::new("current-context", "is missing"))?;
    let context = config
        .contexts
        .iter()
        .find(|named| named.name == context_name)
        .and_then(|named| named.context.as_ref())
        .ok_or_else(|| BadField::new(format!("contexts[{context_name}]"), "is missing"))?;
    let (cluster_field, cluster) = cluster(config, &context.cluster)?;
    let (user_field, user) = user(config, &context.user)?;
    let of_cluster = Fields { stem: cluster_field, folder };
    let of_user = Fields { stem: user_field, folder };
    refuse_what_is_not_honoured(&of_cluster, cluster, &of_user, user)?;
    Ok(Access {
        server: server(&of_cluster, cluster)?,
        tls_server_name: nonempty(cluster.tls_server_name.as_deref()).map(str::to_owned),
        insecure: cluster.insecure_skip_tls_verify,
        authority: authority(&of_cluster, cluster)?,
        certificate: certificate(&of_user, user)?,
        token: token(&of_user, user),
    })
}

/// The fields of one cluster or user, to name them in errors.
struct Fields<'a> {
    stem: String,
    folder: &'a Path,
}

impl Fields<'_> {
    fn bad(&self, name: &str, why: &'static str) -> BadField {
        BadField::new(format!("{}.{name}", self.stem), why)
    }

    fn value(&self, name: &str, place: Place) -> Value {
        Value { field: format!("{}.{name}", self.stem), place }
    }

    /// A value given as base64 in `<name>-data` or else as a path in `<name>`.
    fn data_or_file(
        &self,
        name: &str,
        data: Option<&str>,
        file: Option<&str>,
    ) -> Result<Option<Value>, BadField> {
        if let Some(data) = nonempty(data) {
            let name = format!("{name}-data");
            let compact: String = data.split_whitespace().collect();
            let bytes = BASE64_STANDARD.decode(compact).map_err(|_| self.bad(&name, "is not base64"))?;
            return Ok(Some(self.value(&name, Place::Inline(bytes.into()))));
        }
        Ok(nonempty(file).map(|file| self.value(name, Place::File(self.folder.join(file)))))
    }
}

fn cluster<'a>(config: &'a Kubeconfig, name: &str) -> Result<(String, &'a Cluster), BadField> {
    let field = format!("clusters[{name}]");
    let named = config.clusters.iter().find(|named| named.name == name);
    let cluster = named.and_then(|named| named.cluster.as_ref());
    cluster
        .map(|cluster| (format!("{field}.cluster"), cluster))
        .ok_or_else(|| BadField::new(field, "is missing"))
}

fn user<'a>(config: &'a Kubeconfig, name: &str) -> Result<(String, &'a User), BadField> {
    let field = format!("users[{name}]");
    let named = config.users.iter().find(|named| named.name == name);
    let user = named.and_then(|named| named.user.as_ref());
    user.map(|user| (format!("{field}.user"), user)).ok_or_else(|| BadField::new(field, "is missing"))
}

fn server(fields: &Fields<'_>, cluster: &Cluster) -> Result<Uri, BadField> {
    let text = nonempty(cluster.server.as_deref()).ok_or_else(|| fields.bad("server", "is missing"))?;
    let uri: Uri = text.parse().map_err(|_| fields.bad("server", "is no URL"))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(_)) if uri.query().is_none() => Ok(uri),
        _ => Err(fields.bad("server", "is not of the form https://host[:port]")),
    }
}

fn authority(fields: &Fields<'_>, cluster: &Cluster) -> Result<Option<Value>, BadField> {
    let (data, file) = (&cluster.certificate_authority_data, &cluster.certificate_authority);
    let authority = fields.data_or_file("certificate-authority", data.as_deref(), file.as_deref())?;
    if authority.is_some() && cluster.insecure_skip_tls_verify {
        return Err(fields.bad("insecure-skip-tls-verify", "contradicts certificate-authority"));
    }
    Ok(authority)
}

fn certificate(fields: &Fields<'_>, user: &User) -> Result<Option<(Value, Value)>, BadField> {
    let (data, file) = (&user.client_certificate_data, &user.client_certificate);
    let certificate = fields.data_or_file("client-certificate", data.as_deref(), file.as_deref())?;
    let data = user.client_key_data.as_ref().map(SecretString::expose_secret);
    let key = fields.data_or_file("client-key", data, user.client_key.as_deref())?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(fields.bad("client-key", "is missing beside client-certificate")),
        (None, Some(_)) => Err(fields.bad("client-certificate", "is missing beside client-key")),
    }
}

/// As in client-go the token in the file, which can be renewed, goes before the one that stands here.
fn token(fields: &Fields<'_>, user: &User) -> Option<Value> {
    if let Some(file) = nonempty(user.token_file.as_deref()) {
        return Some(fields.value("tokenFile", Place::File(fields.folder.join(file))));
    }
    let token = nonempty(user.token.as_ref().map(SecretString::expose_secret))?;
    Some(fields.value("token", Place::Inline(token.as_bytes().to_vec().into())))
}

/// Better an error than a node that silently goes another way, or as somebody else, than it was told.
fn refuse_what_is_not_honoured(
    of_cluster: &Fields<'_>,
    cluster: &Cluster,
    of_user: &Fields<'_>,
    user: &User,
) -> Result<(), BadField> {
    let set = [
        (of_cluster, "proxy-url", nonempty(cluster.proxy_url.as_deref()).is_some()),
        (of_user, "exec", user.exec.is_some()),
        (of_user, "auth-provider", user.auth_provider.is_some()),
        (of_user, "username", nonempty(user.username.as_deref()).is_some()),
        (of_user, "as", nonempty(user.impersonate.as_deref()).is_some()),
        (of_user, "as-uid", nonempty(user.as_uid.as_deref()).is_some()),
        (of_user, "as-groups", user.as_groups.as_ref().is_some_and(|groups| !groups.is_empty())),
    ];
    match set.iter().find(|(.., set)| *set) {
        Some((fields, name, _)) => Err(fields.bad(name, "is not supported")),
        None => Ok(()),
    }
}

fn nonempty(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
