//! The certificate that 10250 shows, and the one that opens a standalone node.
//!
//! `tlsCertFile` and `tlsPrivateKeyFile` where they are configured. They are root's files and this process is not
//! root, so the supervisor hands copies over ([`handed_over`]) before it gives up its rights; without them the
//! configured paths are tried. Otherwise a self-signed certificate, as the stock kubelet makes one (`kubelet.crt`,
//! `kubelet.key`), but in this process's own folder: the node's `pki/` is api-gate's.

use super::pem;
use crate::Error;
use chassis::config::NodeConfig;
use jiff::{Timestamp, tz::TimeZone};
use messages::Owner;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

/// How long a minted certificate holds.
const DAYS: i64 = 365;
/// One that holds for less than this is minted anew.
const RENEW_DAYS: i64 = 30;
/// The user and the group of the client certificate of a standalone node.
const STANDALONE: (&str, &str) = ("bulkhead:standalone", "system:masters");

/// A certificate with those that vouch for it, and its key.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The chain, the certificate first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub(crate) key: PrivateKeyDer<'static>,
}

/// A file that the supervisor copies for this process, which may not read the original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedOver {
    /// The operator's file.
    pub from: PathBuf,
    /// Its copy, to be readable for node-api's user alone. Directly in this process's folder: what is
    /// below it, a taken-over node-api could replace by a link, and root would write through it.
    pub to: PathBuf,
}

/// What the supervisor is to copy, as root, each time before this process begins.
pub fn handed_over(config: &NodeConfig) -> Vec<HandedOver> {
    let dir = config.dir_of(Owner::NodeApi);
    let kubelet = &config.kubelet;
    let files = [
        (&kubelet.tls_cert_file, "serving.crt"),
        (&kubelet.tls_private_key_file, "serving.key"),
        (&kubelet.authentication.x509.client_ca_file, "client-ca.crt"),
    ];
    let present = files.into_iter().filter_map(|(from, name)| Some((from.as_ref()?, name)));
    present.map(|(from, name)| HandedOver { from: from.clone(), to: dir.join(name) }).collect()
}

/// The copy of a configured file if there is one, else the file itself.
pub(crate) fn readable(config: &NodeConfig, from: &Path) -> PathBuf {
    let copy = handed_over(config).into_iter().find(|file| file.from == from && file.to.exists());
    copy.map_or_else(|| from.to_owned(), |file| file.to)
}

/// The certificate to serve with.
pub(crate) fn serving(config: &NodeConfig, now: i64) -> Result<Identity, Error> {
    match (&config.kubelet.tls_cert_file, &config.kubelet.tls_private_key_file) {
        (Some(certificate), Some(key)) => read(&readable(config, certificate), &readable(config, key)),
        _ => minted(&dir(config), "kubelet", &serving_params(config), now),
    }
}

/// The file of the certificate that opens a standalone node; it vouches for itself. With its key beside it, it is
/// root's to use (`curl --cert client.crt --key client.key`).
pub(crate) fn standalone_client(config: &NodeConfig, now: i64) -> Result<PathBuf, Error> {
    let dir = dir(config);
    minted(&dir, "client", &client_params(), now)?;
    Ok(dir.join("client.crt"))
}

fn dir(config: &NodeConfig) -> PathBuf {
    config.dir_of(Owner::NodeApi).join("pki")
}

fn read(certificate: &Path, key: &Path) -> Result<Identity, Error> {
    Ok(Identity { chain: pem::certificates(certificate)?, key: pem::key(key)? })
}

/// The certificate kept under a name, if it still holds for a while and is for the same names, else a new one.
fn minted(dir: &Path, name: &str, params: &Params, now: i64) -> Result<Identity, Error> {
    let (certificate, key) = (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")));
    if let Ok(kept) = read(&certificate, &key)
        && kept.chain.first().is_some_and(|kept| params.fits(kept, now))
    {
        return Ok(kept);
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| Error::WritePem { path: dir.to_owned(), source })?;
    let pair = KeyPair::generate().map_err(Error::Mint)?;
    let minted = params.rcgen(now).and_then(|params| params.self_signed(&pair)).map_err(Error::Mint)?;
    pem::write(&key, &pair.serialize_pem())?;
    pem::write(&certificate, &minted.pem())?;
    read(&certificate, &key)
}

/// What is minted.
struct Params {
    name: String,
    group: Option<String>,
    names: Vec<String>,
    usage: ExtendedKeyUsagePurpose,
}

fn serving_params(config: &NodeConfig) -> Params {
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    let addresses =
        config.node_ips.iter().copied().filter(|address| !address.is_unspecified()).chain(loopback);
    let mut names = vec![config.node_name.to_string()];
    names.extend(addresses.map(|address| address.to_string()));
    Params {
        name: config.node_name.to_string(),
        group: None,
        names,
        usage: ExtendedKeyUsagePurpose::ServerAuth,
    }
}

fn client_params() -> Params {
    let (name, group) = STANDALONE;
    Params {
        name: name.to_owned(),
        group: Some(group.to_owned()),
        names: Vec::new(),
        usage: ExtendedKeyUsagePurpose::ClientAuth,
    }
}

impl Params {
    fn rcgen(&self, now: i64) -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::new(self.names.clone())?;
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, self.name.clone());
        if let Some(group) = &self.group {
            subject.push(DnType::OrganizationName, group.clone());
        }
        params.distinguished_name = subject;
        params.extended_key_usages = vec![self.usage.clone()];
        let day = |days| {
            let (year, month, day) = date(now, days);
            date_time_ymd(year, month, day)
        };
        (params.not_before, params.not_after) = (day(-1), day(DAYS));
        Ok(params)
    }

    /// Whether a certificate is for the same names and holds for a while.
    fn fits(&self, certificate: &CertificateDer<'_>, now: i64) -> bool {
        let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else { return false };
        let subject = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        let left = certificate.validity().not_after.timestamp() - now / NANOS;
        subject == Some(self.name.as_str()) && names(&certificate) == self.names && left > RENEW_DAYS * DAY
    }
}

/// The alternative names of a certificate, in order.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.into_iter().flat_map(|names| &names.value.general_names);
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => {
            address(bytes).map_or_else(String::new, |address| address.to_string())
        }
        other => other.to_string(),
    };
    names.map(text).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

const NANOS: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// The day that lies so many days after now.
fn date(now: i64, days: i64) -> (i32, u8, u8) {
    let at = Timestamp::from_second(now / NANOS + days * DAY).unwrap_or(Timestamp::UNIX_EPOCH);
    let date = at.to_zoned(TimeZone::UTC).date();
    (date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000 * NANOS;

    fn params(name: &str) -> Params {
        let names = vec![name.to_owned(), "10.0.0.1".to_owned(), "::1".to_owned()];
        Params { name: name.to_owned(), group: None, names, usage: ExtendedKeyUsagePurpose::ServerAuth }
    }

    #[test]
    fn a_minted_certificate_is_kept_while_it_fits() {
        let dir = tempfile::tempdir().unwrap();
        let mint = |name: &str, now| minted(dir.path(), "kubelet", &params(name), now).unwrap().chain;
        let first = mint("node-1", NOW);
        assert_eq!(mint("node-1", NOW + 300 * DAY * NANOS), first, "it still holds for two months");
        let renewed = mint("node-1", NOW + 350 * DAY * NANOS);
        assert_ne!(renewed, first, "it holds for two weeks only");
        assert_ne!(mint("node-2", NOW + 350 * DAY * NANOS), renewed, "the node has another name");
    }

    #[test]
    fn a_key_is_for_its_owner_alone_and_a_broken_file_is_replaced() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("kubelet.crt"), "nonsense").unwrap();
        minted(dir.path(), "kubelet", &params("node-1"), NOW).unwrap();
        let mode = fs::metadata(dir.path().join("kubelet.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
