//! Certificates and kubeconfig files of a cluster that lives as long as its test: one authority, signed names.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::json;

/// The cluster's certificate authority and the folder that its files are in.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as files.
pub struct Identity {
    /// PEM, the certificate alone.
    pub certificate: PathBuf,
    /// PEM, PKCS #8.
    pub key: PathBuf,
}

impl Authority {
    /// A new authority with its files in `folder`, and a pair of keys for service account tokens.
    pub fn new(folder: PathBuf) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "kubernetes");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        fs::write(folder.join("ca.crt"), params.self_signed(&key)?.pem())?;
        fs::write(folder.join("ca.key"), key.serialize_pem())?;
        let tokens = KeyPair::generate()?;
        fs::write(folder.join("tokens.key"), tokens.serialize_pem())?;
        fs::write(folder.join("tokens.pub"), tokens.public_key_pem())?;
        Ok(Self { folder, issuer: Issuer::new(params, key) })
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// The authority's key.
    pub fn key(&self) -> PathBuf {
        self.folder.join("ca.key")
    }

    /// A certificate for a client: the user `name` in `groups`.
    pub fn client(&self, file: &str, name: &str, groups: &[&str]) -> Result<Identity> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        for group in groups {
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(file, params)
    }

    /// A certificate for a server that answers to these names and addresses.
    pub fn server(&self, file: &str, names: &[&str], addresses: &[&str]) -> Result<Identity> {
        let mut params =
            CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
        for address in addresses {
            params.subject_alt_names.push(SanType::IpAddress(address.parse::<IpAddr>()?));
        }
        params.distinguished_name.push(DnType::CommonName, file);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(file, params)
    }

    /// The key that signs service account tokens.
    pub fn token_key(&self) -> PathBuf {
        self.folder.join("tokens.key")
    }

    /// The public half of [`Authority::token_key`].
    pub fn token_public_key(&self) -> PathBuf {
        self.folder.join("tokens.pub")
    }

    /// A kubeconfig file `<file>.conf` for the API server at `server`.
    pub fn kubeconfig(&self, file: &str, server: &str, identity: &Identity) -> Result<PathBuf> {
        let path = self.folder.join(format!("{file}.conf"));
        fs::write(&path, kubeconfig(&self.certificate(), server, identity).to_string())?;
        Ok(path)
    }

    fn sign(&self, file: &str, mut params: CertificateParams) -> Result<Identity> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let identity = Identity {
            certificate: self.folder.join(format!("{file}.crt")),
            key: self.folder.join(format!("{file}.key")),
        };
        fs::write(&identity.certificate, certificate.pem())?;
        fs::write(&identity.key, key.serialize_pem())?;
        Ok(identity)
    }
}

/// JSON is YAML as well.
fn kubeconfig(authority: &Path, server: &str, identity: &Identity) -> serde_json::Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "test",
            "cluster": { "server": server, "certificate-authority": authority },
        }],
        "users": [{
            "name": "test",
            "user": { "client-certificate": identity.certificate, "client-key": identity.key },
        }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        "current-context": "test",
    })
}
