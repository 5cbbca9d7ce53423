//! Names and paths that come from outside, parsed once so that no traversal can be spelled.

use std::{borrow::Borrow, fmt};

/// Limits of Linux file systems, which upstream's atomic writer has too.
const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 4096;

/// Why a text may not name a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid path {text:?}: {rule}")]
pub struct BadPath {
    text: String,
    rule: &'static str,
}

impl BadPath {
    /// A text that breaks a rule; the text is cut to what an error can show.
    pub fn new(text: &str, rule: &'static str) -> Self {
        Self { text: text.chars().take(80).collect(), rule }
    }
}

/// A path below a volume's root: relative, without `.`, `..` or empty elements.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelativePath(String);

impl RelativePath {
    /// Reads the path of a projected file. Redundant slashes and dots are dropped.
    ///
    /// # Errors
    /// When it is empty, absolute, too long, leads upwards, or begins with `..`, which the atomic
    /// writer keeps for itself.
    pub fn of_file(text: &str) -> Result<Self, BadPath> {
        let path = Self::below(text)?;
        if path.0.starts_with("..") {
            return Err(BadPath::new(text, "must not start with '..'"));
        }
        if path.0.is_empty() { Err(BadPath::new(text, "must not be empty")) } else { Ok(path) }
    }

    /// Reads a path that leads nowhere but down; it may be empty, which is the root itself.
    ///
    /// # Errors
    /// When it is absolute, too long, or leads upwards.
    pub fn below(text: &str) -> Result<Self, BadPath> {
        if text.starts_with('/') {
            return Err(BadPath::new(text, "must be relative"));
        }
        if text.len() > LONGEST_PATH {
            return Err(BadPath::new(text, "must be no longer than 4096 characters"));
        }
        if text.contains('\0') {
            return Err(BadPath::new(text, "must not contain NUL"));
        }
        let elements: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if elements.contains(&"..") {
            return Err(BadPath::new(text, "must not contain '..'"));
        }
        if elements.iter().any(|part| part.len() > LONGEST_NAME) {
            return Err(BadPath::new(text, "file names must be no longer than 255 characters"));
        }
        Ok(Self(elements.join("/")))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The elements from the top down.
    pub fn elements(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// The first element: what stands in the volume's root.
    pub fn top(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

/// A volume's name: a DNS label, and therefore one harmless path element.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeName(String);

impl VolumeName {
    /// Reads a volume's name.
    ///
    /// # Errors
    /// When it is no DNS label.
    pub fn parse(text: &str) -> Result<Self, BadPath> {
        if text.len() <= 63 && is_dns(text) && !text.contains('.') {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadPath::new(text, "a volume's name must be a DNS label"))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for VolumeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Whether a text can be the name of an API object: it becomes part of a URL.
pub fn is_object_name(text: &str) -> bool {
    text.len() <= 253 && is_dns(text)
}

fn is_dns(text: &str) -> bool {
    let is_alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.split('.').all(|label| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(is_alphanumeric)
            && bytes.last().is_some_and(is_alphanumeric)
            && bytes.iter().all(|b| is_alphanumeric(b) || *b == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projected_file_stays_below_its_volume() {
        let long_name = "n".repeat(256);
        let long_path = "p/".repeat(2049);
        let cases = [
            ("a name", "token", Some("token")),
            ("a nested path", "a/b/c", Some("a/b/c")),
            ("slashes and dots that mean nothing", "./a//b/.", Some("a/b")),
            ("dots within a name", "a..b", Some("a..b")),
            ("empty", "", None),
            ("only dots", "./.", None),
            ("absolute", "/etc/passwd", None),
            ("upwards", "../x", None),
            ("upwards in the middle", "a/../../x", None),
            ("upwards at the end", "a/..", None),
            ("the atomic writer's own names", "..data", None),
            ("behind a dot", "./..data/x", None),
            ("NUL", "a\0b", None),
            ("a name that is too long", long_name.as_str(), None),
            ("a path that is too long", long_path.as_str(), None),
        ];
        for (name, text, want) in cases {
            let got = RelativePath::of_file(text).ok();
            assert_eq!(got.as_ref().map(RelativePath::as_str), want, "{name}");
        }
    }

    #[test]
    fn a_sub_path_may_be_the_root_and_may_not_lead_out() {
        let cases = [("", Some("")), ("a/b", Some("a/b")), ("..data/x", Some("..data/x")), ("a/..", None)];
        for (text, want) in cases {
            let got = RelativePath::below(text).ok();
            assert_eq!(got.as_ref().map(RelativePath::as_str), want, "{text:?}");
        }
    }

    #[test]
    fn names_are_harmless() {
        for text in ["", ".", "..", "a/b", "a.b", "A", "-a", "a\0", &"a".repeat(64)] {
            assert!(VolumeName::parse(text).is_err(), "{text:?}");
        }
        assert!(VolumeName::parse("kube-api-access-x1").is_ok());
        for text in ["", "..", "a..b", "a/b", "a?b", "a%2fb", "Ü"] {
            assert!(!is_object_name(text), "{text:?}");
        }
        assert!(is_object_name("kube-root-ca.crt"));
    }
}
