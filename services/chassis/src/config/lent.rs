//! Files that the configuration names, that are root's, and that a process without rights needs: the
//! supervisor keeps a copy of each in that process' folder.

use super::{KubeletConfiguration, NodeConfig};
use messages::Owner;
use std::path::{Path, PathBuf};

/// A file that is lent to node-api.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lent {
    /// `tlsCertFile`.
    ServingCertificate,
    /// `tlsPrivateKeyFile`.
    ServingKey,
    /// `authentication.x509.clientCAFile`.
    ClientAuthorities,
}

impl Lent {
    /// Every file that is lent.
    pub const ALL: [Self; 3] = [Self::ServingCertificate, Self::ServingKey, Self::ClientAuthorities];

    /// The file that the configuration names; none when it names none.
    pub fn original(self, kubelet: &KubeletConfiguration) -> Option<&Path> {
        match self {
            Self::ServingCertificate => kubelet.tls_cert_file.as_deref(),
            Self::ServingKey => kubelet.tls_private_key_file.as_deref(),
            Self::ClientAuthorities => kubelet.authentication.x509.client_ca_file.as_deref(),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::ServingCertificate => "serving.crt",
            Self::ServingKey => "serving.key",
            Self::ClientAuthorities => "client-ca.crt",
        }
    }
}

impl NodeConfig {
    /// Where node-api finds a lent file, which is replaced at once when the original changes; none when
    /// the configuration names none.
    pub fn lent(&self, lent: Lent) -> Option<PathBuf> {
        lent.original(&self.kubelet).map(|_| self.dir_of(Owner::NodeApi).join(lent.name()))
    }
}
