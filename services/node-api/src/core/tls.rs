//! `tlsMinVersion`, `tlsCipherSuites` and `tlsCurvePreferences` as the TLS library has them.

use rustls::{
    ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{CryptoProvider, SupportedKxGroup},
    version::{TLS12, TLS13},
};

/// What connections are made of.
#[derive(Debug)]
pub(crate) struct Terms {
    /// Versions, at least one.
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    /// Suites and curves.
    pub(crate) provider: CryptoProvider,
    /// Names that were asked for and that there are none of here.
    pub(crate) unknown: Vec<String>,
}

/// Nothing that was asked for is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTerms {
    /// `tlsMinVersion` is no version.
    #[error("tlsMinVersion {0:?} is none of VersionTLS10, VersionTLS11, VersionTLS12, VersionTLS13")]
    Version(String),
    /// No suite is left for TLS 1.2.
    #[error("none of the configured tlsCipherSuites is supported here")]
    Suites,
    /// No curve is left.
    #[error("none of the configured tlsCurvePreferences is supported here")]
    Curves,
}

/// The terms of a configuration. Empty lists mean what the library thinks good; the list of suites is about TLS
/// 1.2 only, as in Go.
pub(crate) fn terms(min_version: &str, suites: &[String], curves: &[u16]) -> Result<Terms, BadTerms> {
    let mut provider = rustls::crypto::ring::default_provider();
    let versions = versions(min_version)?;
    let mut unknown = Vec::new();
    if !suites.is_empty() {
        unknown.extend(
            suites.iter().filter(|name| !provider.cipher_suites.iter().any(|at| is_named(at, name))).cloned(),
        );
        provider
            .cipher_suites
            .retain(|suite| is_tls13(suite) || suites.iter().any(|name| is_named(suite, name)));
        if !provider.cipher_suites.iter().any(|suite| !is_tls13(suite)) && versions.contains(&&TLS12) {
            return Err(BadTerms::Suites);
        }
    }
    if !curves.is_empty() {
        let find = |number: &u16| {
            provider.kx_groups.iter().find(|group| u16::from(group.name()) == *number).copied()
        };
        let found: Vec<&'static dyn SupportedKxGroup> = curves.iter().filter_map(find).collect();
        unknown.extend(
            curves.iter().filter(|number| find(number).is_none()).map(|number| format!("curve {number}")),
        );
        if found.is_empty() {
            return Err(BadTerms::Curves);
        }
        provider.kx_groups = found;
    }
    Ok(Terms { versions, provider, unknown })
}

fn versions(min: &str) -> Result<Vec<&'static SupportedProtocolVersion>, BadTerms> {
    match min {
        // What is older than 1.2 is not spoken here.
        "" | "VersionTLS10" | "VersionTLS11" | "VersionTLS12" => Ok(vec![&TLS13, &TLS12]),
        "VersionTLS13" => Ok(vec![&TLS13]),
        other => Err(BadTerms::Version(other.to_owned())),
    }
}

fn is_tls13(suite: &SupportedCipherSuite) -> bool {
    suite.version().version == ProtocolVersion::TLSv1_3
}

/// By the IANA name; Go also has two older ones without the hash's name.
fn is_named(suite: &SupportedCipherSuite, name: &str) -> bool {
    let own = format!("{:?}", suite.suite()).replace("TLS13_", "TLS_");
    own == name || (name.ends_with("_CHACHA20_POLY1305") && own == format!("{name}_SHA256"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suites(terms: &Terms) -> usize {
        terms.provider.cipher_suites.iter().filter(|suite| !is_tls13(suite)).count()
    }

    #[test]
    fn names_become_suites_versions_and_curves() {
        let one = vec!["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_owned()];
        let short = vec!["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305".to_owned()];
        let old = vec!["TLS_RSA_WITH_AES_128_CBC_SHA".to_owned()];
        let all = terms("", &[], &[]).unwrap();
        assert!(suites(&all) > 3 && all.versions.len() == 2);
        assert_eq!(suites(&terms("", &one, &[]).unwrap()), 1);
        assert_eq!(suites(&terms("", &short, &[]).unwrap()), 1);
        assert_eq!(terms("", &old, &[]).unwrap_err(), BadTerms::Suites);
        let both = terms("", &[one[0].clone(), old[0].clone()], &[]).unwrap();
        assert_eq!((suites(&both), both.unknown), (1, old.clone()));
        assert!(terms("VersionTLS13", &old, &[]).is_ok(), "the list is about TLS 1.2 only");
        assert_eq!(terms("VersionTLS13", &[], &[]).unwrap().versions.len(), 1);
        assert_eq!(terms("1.2", &[], &[]).unwrap_err(), BadTerms::Version("1.2".into()));
        assert_eq!(terms("", &[], &[29]).unwrap().provider.kx_groups.len(), 1);
        assert_eq!(terms("", &[], &[1]).unwrap_err(), BadTerms::Curves);
    }
}
