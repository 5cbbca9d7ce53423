//! The forms of names: DNS labels and subdomains, labels, annotations, variables, port names.

use super::{Refusal, hold, refuse};
use std::{collections::BTreeMap, fmt::Display};

/// The longest annotations together, as the API server has it.
const ANNOTATIONS_MOST: usize = 256 * 1024;

type Texts = BTreeMap<String, String>;

/// A DNS label: at most 63 of `[a-z0-9-]`, `-` not at an end.
pub(super) fn label(text: &str, field: impl Display) -> Result<(), Refusal> {
    if is_label(text) {
        Ok(())
    } else {
        refuse(field, not_valid(text, "a DNS label of at most 63 characters"))
    }
}

/// A DNS subdomain: labels joined by dots, at most 253 characters.
pub(super) fn subdomain(text: &str, field: impl Display) -> Result<(), Refusal> {
    let valid = text.len() <= 253 && text.split('.').all(is_label);
    if valid { Ok(()) } else { refuse(field, not_valid(text, "a DNS subdomain of at most 253 characters")) }
}

fn not_valid(text: &str, rule: &str) -> String {
    format!("{text:.80?} is not valid: it must be {rule}")
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let dashed = text.starts_with('-') || text.ends_with('-');
    (1..=63).contains(&text.len()) && !dashed && text.bytes().all(inner)
}

/// Labels, or a selector of labels.
pub(super) fn labels(labels: Option<&Texts>, field: &str) -> Result<(), Refusal> {
    for (key, value) in labels.into_iter().flatten() {
        hold(is_qualified(key), field, &not_valid(key, "a label's key"))?;
        hold(value.is_empty() || is_name_part(value), field, &not_valid(value, "a label's value"))?;
    }
    Ok(())
}

/// Annotations: keys as of labels, values as one likes, within a bound.
pub(super) fn annotations(annotations: Option<&Texts>, field: &str) -> Result<(), Refusal> {
    let mut size = 0;
    for (key, value) in annotations.into_iter().flatten() {
        hold(is_qualified(&key.to_lowercase()), field, &not_valid(key, "an annotation's key"))?;
        size += key.len() + value.len();
    }
    hold(size <= ANNOTATIONS_MOST, field, "all annotations together are longer than 256 KiB")
}

/// A variable's name: printable ASCII without `=`.
pub(super) fn variable(text: &str, field: impl Display) -> Result<(), Refusal> {
    let valid = !text.is_empty() && text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=');
    if valid { Ok(()) } else { refuse(field, not_valid(text, "printable ASCII without =")) }
}

/// A port's name: at most 15 of `[a-z0-9-]` with a letter, single dashes inside.
pub(super) fn port(text: &str, field: impl Display) -> Result<(), Refusal> {
    let lettered = text.bytes().any(|b| b.is_ascii_lowercase());
    let valid = is_label(text) && text.len() <= 15 && lettered && !text.contains("--");
    if valid { Ok(()) } else { refuse(field, not_valid(text, "a port name of at most 15 characters")) }
}

/// `prefix/name` or `name`.
fn is_qualified(key: &str) -> bool {
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_label)) && is_name_part(name)
}

/// At most 63 of `[A-Za-z0-9._-]`, alphanumeric at both ends.
fn is_name_part(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let ends = [text.bytes().next(), text.bytes().last()];
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && ends.into_iter().flatten().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_labels_are_read_with_their_prefix() {
        let cases = [
            ("app", true),
            ("kubernetes.io/os", true),
            ("a_b.c", true),
            ("", false),
            ("/a", false),
            ("a/", false),
            ("a/b/c", false),
            ("-a", false),
            ("Prefix.io/a", false),
        ];
        for (key, valid) in cases {
            assert_eq!(is_qualified(key), valid, "{key:?}");
        }
    }

    #[test]
    fn port_names_are_short_and_have_a_letter() {
        for (name, valid) in
            [("http", true), ("a-1", true), ("80", false), ("a--b", false), ("abcdefghijklmnop", false)]
        {
            assert_eq!(port(name, "").is_ok(), valid, "{name:?}");
        }
    }
}
