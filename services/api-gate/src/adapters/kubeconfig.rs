//! Reads the kubeconfig and the files that it names, and notices when one of them changes.

use crate::{
    core::kubeconfig::{self, Access, BadField, Kubeconfig, Place, Value},
    ports::{BoxError, Credentials, Keys},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::HeaderValue;
use kube::{Config, client::ConfigExt, config::AuthInfo};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use secrecy::{ExposeSecret, SecretSlice};
use std::{
    fs,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The largest file that is read. A kubeconfig with all of its certificates is a few KiB.
const LARGEST: u64 = 1024 * 1024;

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error("could not read {path}{field}", path = path.display(), field = of(field))]
    File {
        path: PathBuf,
        /// The field that names the file; none for the kubeconfig itself.
        field: Option<String>,
        #[source]
        source: io::Error,
    },
    #[error("{path} is no kubeconfig{place}", path = path.display(), place = at(*place))]
    NotKubeconfig { path: PathBuf, place: Option<(usize, usize)> },
    #[error("{path} cannot be used", path = path.display())]
    Field {
        path: PathBuf,
        #[source]
        source: BadField,
    },
    #[error("{path} gives credentials that TLS cannot use", path = path.display())]
    Tls {
        path: PathBuf,
        #[source]
        source: Box<kube::Error>,
    },
}

fn of(field: &Option<String>) -> String {
    field.as_ref().map(|field| format!(" ({field})")).unwrap_or_default()
}

/// Where it goes wrong, and not what stands there: it may be a secret.
fn at(place: Option<(usize, usize)>) -> String {
    place.map(|(line, column)| format!(": see line {line}, column {column}")).unwrap_or_default()
}

/// A kubeconfig on disk.
pub(crate) struct KubeconfigFile {
    path: PathBuf,
    /// Every file that was read last time, with what tells whether it changed.
    seen: Vec<(PathBuf, Option<Stamp>)>,
}

/// What changes when a file or the target of its links is replaced or rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl KubeconfigFile {
    /// Reads nothing yet.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: Vec::new() }
    }

    fn access(&mut self) -> Result<Access, KeysError> {
        let path = self.path.clone();
        let text = self.load(&path, None)?;
        let config: Kubeconfig = serde_yaml_ng::from_slice(text.expose_secret()).map_err(|error| {
            let place = error.location().map(|location| (location.line(), location.column()));
            KeysError::NotKubeconfig { path: path.clone(), place }
        })?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        kubeconfig::access(&config, folder).map_err(|source| self.bad(source))
    }

    fn bad(&self, source: BadField) -> KeysError {
        KeysError::Field { path: self.path.clone(), source }
    }

    fn load(&mut self, path: &Path, field: Option<&str>) -> Result<SecretSlice<u8>, KeysError> {
        let wrong =
            |source| KeysError::File { path: path.to_owned(), field: field.map(str::to_owned), source };
        self.seen.push((path.to_owned(), stamp(path)));
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(wrong)?;
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(wrong)?;
        if bytes.len() as u64 > LARGEST {
            return Err(wrong(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB")));
        }
        Ok(bytes.into())
    }

    fn bytes(&mut self, value: Value) -> Result<SecretSlice<u8>, KeysError> {
        match value.place {
            Place::Inline(bytes) => Ok(bytes),
            Place::File(path) => self.load(&path, Some(&value.field)),
        }
    }

    fn authority(&mut self, value: Value) -> Result<Vec<Vec<u8>>, KeysError> {
        let field = value.field.clone();
        let pem = self.bytes(value)?;
        certificates(pem.expose_secret())
            .ok_or_else(|| self.bad(BadField::new(field, "holds no PEM certificate")))
    }

    /// Certificate and key as kube wants them: base64 of PEM. One file may hold both, as the kubelet's own
    /// `kubelet-client-current.pem` does.
    fn identity(&mut self, certificate: Value, key: Value) -> Result<AuthInfo, KeysError> {
        let (certificate_field, key_field) = (certificate.field.clone(), key.field.clone());
        let certificate = self.bytes(certificate)?;
        let key = self.bytes(key)?;
        if certificates(certificate.expose_secret()).is_none() {
            return Err(self.bad(BadField::new(certificate_field, "holds no PEM certificate")));
        }
        if PrivateKeyDer::from_pem_slice(key.expose_secret()).is_err() {
            return Err(self.bad(BadField::new(key_field, "holds no PEM private key")));
        }
        let base64 = |bytes: &SecretSlice<u8>| BASE64_STANDARD.encode(bytes.expose_secret());
        let same = certificate.expose_secret() == key.expose_secret();
        Ok(AuthInfo {
            client_certificate_data: Some(base64(&certificate)),
            // kube joins the two; a file that holds both would give each certificate twice.
            client_key_data: Some(if same { only_key(&key).into() } else { base64(&key).into() }),
            ..AuthInfo::default()
        })
    }

    fn authorization(&mut self, token: Value) -> Result<HeaderValue, KeysError> {
        let field = token.field.clone();
        let token = self.bytes(token)?;
        let token = token.expose_secret().trim_ascii();
        let mut header = HeaderValue::from_bytes(&[b"Bearer ", token].concat())
            .ok()
            .filter(|_| !token.is_empty())
            .ok_or_else(|| self.bad(BadField::new(field, "holds no bearer token")))?;
        header.set_sensitive(true);
        Ok(header)
    }

    fn credentials(&mut self) -> Result<Credentials, KeysError> {
        let access = self.access()?;
        let mut config = Config::new(access.server.clone());
        config.accept_invalid_certs = access.insecure;
        config.root_cert = access.authority.map(|value| self.authority(value)).transpose()?;
        if let Some((certificate, key)) = access.certificate {
            config.auth_info = self.identity(certificate, key)?;
        }
        let tls = config
            .rustls_client_config()
            .map_err(|source| KeysError::Tls { path: self.path.clone(), source: Box::new(source) })?;
        let authorization = access.token.map(|token| self.authorization(token)).transpose()?;
        Ok(Credentials { server: access.server, tls, tls_server_name: access.tls_server_name, authorization })
    }
}

impl Keys for KubeconfigFile {
    fn have_changed(&self) -> bool {
        self.seen.iter().any(|(path, seen)| stamp(path) != *seen)
    }

    fn read(&mut self) -> Result<Credentials, BoxError> {
        self.seen.clear();
        Ok(self.credentials()?)
    }
}

/// `None` for a file that is not there.
fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

fn certificates(pem: &[u8]) -> Option<Vec<Vec<u8>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.ok().filter(|certificates| !certificates.is_empty())?;
    Some(certificates.into_iter().map(|certificate| certificate.to_vec()).collect())
}

/// The sections of a PEM file that are no certificates, as base64.
fn only_key(pem: &SecretSlice<u8>) -> String {
    let text = String::from_utf8_lossy(pem.expose_secret());
    let (mut key, mut in_certificate) = (String::new(), false);
    for line in text.lines() {
        in_certificate |= line == "-----BEGIN CERTIFICATE-----";
        if !in_certificate {
            key.push_str(line);
            key.push('\n');
        }
        in_certificate &= line != "-----END CERTIFICATE-----";
    }
    BASE64_STANDARD.encode(key)
}

#[cfg(test)]
mod tests;
