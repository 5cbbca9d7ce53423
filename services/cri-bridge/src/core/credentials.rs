//! Registry credentials from a pod's pull secrets: reading them, and choosing by image.
//!
//! Rules of upstream's `pkg/credentialprovider/keyring.go`. Secrets stay in here: `Debug` and
//! errors show none of them.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use k8s_openapi::api::core::v1::Secret;
use serde::Deserialize;
use std::{collections::BTreeMap, fmt};

/// A user and password for a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential")
    }
}

/// Why a pull secret is of no use. Says nothing of its content.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// Not the JSON that its type promises.
    #[error("secret {0:?} does not hold a docker configuration")]
    Shape(String),
    /// An `auth` field that is not `base64(user:password)`.
    #[error("secret {0:?} has an auth field that is not base64 of user:password")]
    Auth(String),
}

/// The credentials of some secrets, by the registry or path that they are for.
#[derive(Debug, Default)]
pub struct Keyring(BTreeMap<String, Vec<Credential>>);

/// Docker Hub's key in docker configurations.
const DEFAULT_REGISTRY: &str = "index.docker.io";

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    username: String,
    password: String,
    auth: String,
}

impl Keyring {
    /// Reads secrets of type `kubernetes.io/dockerconfigjson` and `kubernetes.io/dockercfg`;
    /// others are passed over.
    ///
    /// # Errors
    /// On the first that is not what its type promises.
    pub fn of<'s>(secrets: impl IntoIterator<Item = &'s Secret>) -> Result<Self, BadSecret> {
        let mut keyring = Self::default();
        for secret in secrets {
            let name = secret.metadata.name.as_deref().unwrap_or_default();
            for (place, entry) in entries(name, secret)? {
                let credential = credential(name, entry)?;
                keyring.0.entry(key(&place)).or_default().push(credential);
            }
        }
        Ok(keyring)
    }

    /// What to try for a repository such as `docker.io/library/busybox`, the most specific
    /// first. After the last, the pull is tried without.
    pub fn for_repository(&self, repository: &str) -> Vec<&Credential> {
        // Greatest key first, so that a path goes before the registry that it is in.
        let fitting = self.0.iter().rev().filter(|(key, _)| matches(key, repository));
        let found: Vec<_> = fitting.flat_map(|(_, credentials)| credentials).collect();
        if found.is_empty() && repository.starts_with("docker.io/") {
            return self.0.get(DEFAULT_REGISTRY).into_iter().flatten().collect();
        }
        found
    }
}

fn entries(name: &str, secret: &Secret) -> Result<BTreeMap<String, Entry>, BadSecret> {
    let shape = |_| BadSecret::Shape(name.to_owned());
    let data = |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).filter(|d| !d.0.is_empty());
    match secret.type_.as_deref() {
        Some("kubernetes.io/dockerconfigjson") => match data(".dockerconfigjson") {
            Some(json) => Ok(serde_json::from_slice::<DockerConfig>(&json.0).map_err(shape)?.auths),
            None => Ok(BTreeMap::new()),
        },
        Some("kubernetes.io/dockercfg") => match data(".dockercfg") {
            Some(json) => serde_json::from_slice(&json.0).map_err(shape),
            None => Ok(BTreeMap::new()),
        },
        _ => Ok(BTreeMap::new()),
    }
}

fn credential(secret: &str, entry: Entry) -> Result<Credential, BadSecret> {
    if entry.auth.is_empty() {
        return Ok(Credential { username: entry.username, password: entry.password });
    }
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decoded = GeneralPurpose::new(&alphabet::STANDARD, lenient).decode(entry.auth.trim());
    let text = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = text.as_deref().and_then(|text| text.split_once(':'));
    let (username, password) = pair.ok_or_else(|| BadSecret::Auth(secret.to_owned()))?;
    Ok(Credential { username: username.to_owned(), password: password.to_owned() })
}

/// The place without scheme and API version, as in `registry.example:5000/team`.
fn key(place: &str) -> String {
    let bare = place.strip_prefix("https://").or_else(|| place.strip_prefix("http://")).unwrap_or(place);
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let path = path.strip_prefix("v1/").or_else(|| path.strip_prefix("v2/")).unwrap_or(path);
    if path.is_empty() { host.to_owned() } else { format!("{host}/{path}") }
}

/// Whether a key is for the repository: same port, as many domain labels, each fitting its
/// pattern, and a path that the repository's begins with.
fn matches(key: &str, repository: &str) -> bool {
    let (key_host, key_path) = key.split_once('/').unwrap_or((key, ""));
    let (host, path) = repository.split_once('/').unwrap_or((repository, ""));
    let (key_name, key_port) = key_host.rsplit_once(':').unwrap_or((key_host, ""));
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    let patterns: Vec<_> = key_name.split('.').collect();
    let labels: Vec<_> = name.split('.').collect();
    key_port == port
        && path.starts_with(key_path)
        && patterns.len() == labels.len()
        && patterns.iter().zip(&labels).all(|(pattern, label)| fits(pattern.as_bytes(), label.as_bytes()))
}

/// `*` and `?` within one domain label.
fn fits(pattern: &[u8], label: &[u8]) -> bool {
    match (pattern.split_first(), label.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            fits(rest, label) || label.split_first().is_some_and(|(_, shorter)| fits(pattern, shorter))
        }
        (Some((b'?', rest)), Some((_, shorter))) => fits(rest, shorter),
        (Some((wanted, rest)), Some((given, shorter))) => wanted == given && fits(rest, shorter),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    fn secret(kind: &str, key: &str, json: &str) -> Secret {
        let mut secret = Secret { type_: Some(kind.to_owned()), ..Secret::default() };
        secret.metadata.name = Some("pull".to_owned());
        secret.data = Some([(key.to_owned(), ByteString(json.as_bytes().to_vec()))].into());
        secret
    }

    fn keyring(auths: &str) -> Keyring {
        let json = format!("{{\"auths\":{auths}}}");
        Keyring::of([&secret("kubernetes.io/dockerconfigjson", ".dockerconfigjson", &json)]).unwrap()
    }

    fn users(keyring: &Keyring, repository: &str) -> Vec<String> {
        keyring.for_repository(repository).iter().map(|c| c.username.clone()).collect()
    }

    #[test]
    fn credentials_are_chosen_by_the_image() {
        let keyring = keyring(
            r#"{"https://r.example/v1/": {"username": "all", "password": "p"},
                "r.example/team": {"username": "team", "password": "p"},
                "r.example:5000": {"username": "port", "password": "p"},
                "*.cloud.example": {"username": "glob", "password": "p"},
                "https://index.docker.io/v1/": {"username": "hub", "password": "p"}}"#,
        );
        let cases: [(&str, &str, &[&str]); 7] = [
            ("the most specific first, then the registry's", "r.example/team/app", &["team", "all"]),
            ("a scheme and API version do not count", "r.example/other", &["all"]),
            ("another port is another registry", "r.example:5000/team/app", &["port"]),
            ("a pattern fits one label", "eu.cloud.example/a", &["glob"]),
            ("and not two", "a.eu.cloud.example/a", &[]),
            ("Docker Hub goes by its old name", "docker.io/library/busybox", &["hub"]),
            ("a stranger gets none", "else.example/a", &[]),
        ];
        for (sentence, repository, want) in cases {
            assert_eq!(users(&keyring, repository), want, "{sentence}");
        }
    }

    #[test]
    fn an_auth_field_wins_and_may_lack_its_padding() {
        let keyring = keyring(r#"{"r.example": {"username": "x", "auth": "dXNlcjpwYTpzcw"}}"#);
        let found = keyring.for_repository("r.example/a");
        assert_eq!((found[0].username.as_str(), found[0].password.as_str()), ("user", "pa:ss"));
    }

    #[test]
    fn the_old_format_is_read_and_other_secrets_are_passed_over() {
        let old = secret("kubernetes.io/dockercfg", ".dockercfg", r#"{"r.example": {"username": "u"}}"#);
        let other = secret("Opaque", ".dockercfg", "whatever");
        let keyring = Keyring::of([&old, &other]).unwrap();
        assert_eq!(users(&keyring, "r.example/a"), ["u"]);
    }

    #[test]
    fn a_bad_secret_is_named_and_not_shown() {
        let cases = [
            ("no JSON", "hunter2", BadSecret::Shape("pull".into())),
            ("no base64", r#"{"auths":{"r":{"auth":"§hunter2"}}}"#, BadSecret::Auth("pull".into())),
            ("no colon", r#"{"auths":{"r":{"auth":"aHVudGVyMg=="}}}"#, BadSecret::Auth("pull".into())),
        ];
        for (sentence, json, want) in cases {
            let secret = secret("kubernetes.io/dockerconfigjson", ".dockerconfigjson", json);
            let refused = Keyring::of([&secret]).unwrap_err();
            assert_eq!(refused, want, "{sentence}");
            assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{sentence}");
        }
    }
}
