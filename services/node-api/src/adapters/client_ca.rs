//! Client certificates: who a connection is by `clientCAFile`, or on a standalone node by the certificate that
//! was minted for it.
//!
//! The handshake takes any certificate whose key the caller holds, as the stock kubelet's does, and whose it is
//! is looked at afterwards: a bad one is answered with 401, not with a broken connection, and the file may change
//! while the process runs.

use super::pem;
use crate::{
    Error,
    core::user::{Certificate, User},
};
use chassis::error;
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};
use tracing::{info, warn};

/// Where it stands which certificate was shown.
const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

/// The authorities that vouch for callers.
#[derive(Debug)]
pub(crate) struct ClientCa {
    path: PathBuf,
    changed: Option<SystemTime>,
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl ClientCa {
    /// Those in a file.
    pub(crate) fn read(path: &Path, provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let changed = changed(path);
        let verifier = verifier(path, provider.clone())?;
        Ok(Self { path: path.to_owned(), changed, provider, verifier })
    }

    /// Reads the file again if it changed; keeps what was read when it is no longer usable.
    pub(crate) fn refresh(&mut self) {
        let changed = changed(&self.path);
        if changed == self.changed {
            return;
        }
        self.changed = changed;
        match verifier(&self.path, self.provider.clone()) {
            Ok(verifier) => {
                info!(path = %self.path.display(), "the client authorities changed");
                self.verifier = verifier;
            }
            Err(failure) => warn!(error = error::chain(&failure), "the client authorities stay as they were"),
        }
    }

    /// Whose a certificate is; `others` may lead from it to an authority.
    pub(crate) fn identify(&self, shown: Option<&[CertificateDer<'_>]>) -> Certificate {
        let Some((certificate, others)) = shown.and_then(<[_]>::split_first) else {
            return Certificate::None;
        };
        match self.verifier.verify_client_cert(certificate, others, UnixTime::now()) {
            Ok(_) => user(certificate),
            Err(error) => Certificate::Bad(error.to_string()),
        }
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

fn verifier(path: &Path, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let bad = || Error::BadPem { path: path.to_owned(), what: "authorities" };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(pem::certificates(path)?);
    if added == 0 {
        return Err(bad());
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|_| bad())
}

/// The common name is the user, organizations are groups.
fn user(der: &CertificateDer<'_>) -> Certificate {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(der) else {
        return Certificate::Bad("its subject cannot be read".to_owned());
    };
    let subject = certificate.subject();
    let name =
        subject.iter_common_name().next().and_then(|name| name.as_str().ok()).filter(|name| !name.is_empty());
    // A certificate without a common name is nobody's, and no error.
    let Some(name) = name else { return Certificate::None };
    let groups =
        subject.iter_organization().filter_map(|group| group.as_str().ok()).map(str::to_owned).collect();
    let credential = format!("X509SHA256={}", hex(&Sha256::digest(der)));
    let extra = BTreeMap::from([(CREDENTIAL.to_owned(), vec![credential])]);
    Certificate::Of(User { name: name.to_owned(), uid: String::new(), groups, extra })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Takes every certificate whose key the caller holds.
#[derive(Debug)]
pub(crate) struct TakesAny(pub(crate) Arc<CryptoProvider>);

impl ClientCertVerifier for TakesAny {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
