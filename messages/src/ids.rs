//! Identifiers, parsed once at the edge and trusted afterwards.
//!
//! Every id that can end up in a subject or in a path is one of these types. Parsing is the
//! only way to make one, so that no subject injection and no path traversal can be spelled.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} is not valid: {rule}")]
pub struct BadId {
    what: &'static str,
    text: String,
    rule: &'static str,
}

/// The longest part of a refused text that an error repeats, in bytes.
const SHOWN: usize = 80;

impl BadId {
    fn new(what: &'static str, text: &str, rule: &'static str) -> Self {
        let text = text.chars().take(SHOWN).collect();
        Self { what, text, rule }
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                if $valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(BadId::new($what, text, $rule))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// A pod's `metadata.uid`. A pod whose UID does not fit is refused at its source.
    PodUid, "pod UID", "1 to 64 of [A-Za-z0-9-]", is_uid
}
id! {
    /// A container's name: a DNS label (RFC 1123), at most 63 bytes.
    ContainerName, "container name", "a DNS label of at most 63 characters", is_dns_label
}
id! {
    /// The node's name: a DNS subdomain (RFC 1123), at most 253 bytes.
    NodeName, "node name", "a DNS subdomain of at most 253 characters", is_dns_subdomain
}
id! {
    /// One token of a subject's key. Never begins with `_`, which the contract keeps for itself.
    Token, "subject token", "1 to 253 of [A-Za-z0-9_-], not beginning with _", is_token
}

impl From<&PodUid> for Token {
    fn from(pod: &PodUid) -> Self {
        Self(pod.0.clone())
    }
}

impl From<&ContainerName> for Token {
    fn from(container: &ContainerName) -> Self {
        Self(container.0.clone())
    }
}

impl NodeName {
    /// The node as a subject token: a dot becomes `_`, which no node name contains.
    pub fn to_token(&self) -> String {
        self.0.replace('.', "_")
    }

    /// The node that a subject token stands for.
    ///
    /// # Errors
    /// When the token is not a node name's.
    pub fn from_token(token: &str) -> Result<Self, BadId> {
        token.replace('_', ".").parse()
    }
}

fn is_uid(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_token(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && !text.starts_with('_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn is_dns_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_ids_can_be_made() {
        let cases = [
            ("a UUID", "0b2c6f1e-7a3d-4d52-9a2b-2f6f0f5b1a11", true),
            ("32 hex digits, as static pods have", "7f0e2d9c4b1a48d39e6a5f4c3b2a1908", true),
            ("empty", "", false),
            ("a path upwards", "../../etc", false),
            ("a subject wildcard", "*", false),
            ("a dot, which would split a subject", "a.b", false),
            ("longer than 64", &"a".repeat(65), false),
        ];
        for (name, text, valid) in cases {
            assert_eq!(text.parse::<PodUid>().is_ok(), valid, "{name}");
        }
    }

    #[test]
    fn a_container_name_is_a_dns_label() {
        let cases = [
            ("app", true),
            ("a-1", true),
            ("-a", false),
            ("a-", false),
            ("A", false),
            ("a/b", false),
            ("", false),
        ];
        for (text, valid) in cases {
            assert_eq!(text.parse::<ContainerName>().is_ok(), valid, "{text:?}");
        }
    }

    #[test]
    fn a_node_name_survives_the_way_through_a_token() {
        let node: NodeName = "ip-10-0-0-1.eu-west.example".parse().unwrap();
        assert_eq!(node.to_token(), "ip-10-0-0-1_eu-west_example");
        assert_eq!(NodeName::from_token(&node.to_token()).unwrap(), node);
    }
}
