//! A configuration file's text as a JSON tree, and a tree as `KubeletConfiguration`, with everything
//! that is wrong with either.
//!
//! Stricter than the stock kubelet in nothing, laxer in nothing: unknown and repeated fields are
//! refused by name. Reads nothing itself; [`super::load`] does.

use super::{
    KubeletConfiguration,
    faults::{Fault, Faults},
};
use serde_json::Value;
use serde_path_to_error as path_to_error;

const API_VERSION: &str = "kubelet.config.k8s.io/v1beta1";
const KIND: &str = "KubeletConfiguration";

/// The tree of a YAML or JSON document of the right kind, without `apiVersion` and `kind`.
///
/// # Errors
/// When it cannot be parsed, repeats a field, or is something else than a `KubeletConfiguration`.
pub(super) fn parse(text: &str) -> Result<Value, Faults> {
    if text.trim().is_empty() {
        return Err(Faults(vec![Fault::new("", "the file is empty")]));
    }
    let yaml: serde_yaml_ng::Value =
        path_to_error::deserialize(serde_yaml_ng::Deserializer::from_str(text)).map_err(located)?;
    let mut tree = serde_json::to_value(yaml).map_err(|error| one("", error.to_string()))?;
    let fields = tree.as_object_mut().ok_or_else(|| one("", "the file holds no fields".into()))?;
    let mut wrong = Vec::new();
    for (name, expected) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        match fields.remove(name) {
            Some(Value::String(given)) if given == expected => {}
            Some(other) => wrong.push(Fault::new(name, format!("{other} is not \"{expected}\""))),
            None => wrong.push(Fault::new(name, format!("missing, must be \"{expected}\""))),
        }
    }
    Faults(wrong).into_result().map(|()| tree)
}

/// The configuration that a tree spells; fields that it leaves out have their defaults.
///
/// # Errors
/// Every field that is unknown or holds what it cannot.
pub(super) fn read(tree: &Value) -> Result<KubeletConfiguration, Faults> {
    let mut tree = tree.clone();
    let mut faults = Vec::new();
    loop {
        let mut unknown = Vec::new();
        let mut track = path_to_error::Track::new();
        let tracked = path_to_error::Deserializer::new(&tree, &mut track);
        let outcome = serde_ignored::deserialize(tracked, |path| unknown.push(path.to_string()));
        match outcome {
            Ok(configuration) => {
                faults.extend(unknown.into_iter().map(|field| Fault::new(plain(&field), "unknown field")));
                return Faults(faults).into_result().map(|()| configuration);
            }
            Err(error) => {
                let path = track.path();
                faults.push(misread(path.to_string(), &error.to_string()));
                if !forget(&mut tree, &path) {
                    return Err(Faults(faults));
                }
            }
        }
    }
}

/// Takes the field at fault out of the tree, so that the next fault shows. False when it is not there.
fn forget(tree: &mut Value, path: &path_to_error::Path) -> bool {
    use path_to_error::Segment;
    let segments: Vec<&Segment> = path.iter().collect();
    let Some((last, parents)) = segments.split_last() else { return false };
    let mut place = tree;
    for segment in parents {
        let inner = match segment {
            Segment::Map { key } => place.get_mut(key),
            Segment::Seq { index } => place.get_mut(index),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        let Some(inner) = inner else { return false };
        place = inner;
    }
    match (last, place) {
        (Segment::Map { key }, Value::Object(fields)) => fields.remove(key).is_some(),
        (Segment::Seq { index }, Value::Array(items)) if *index < items.len() => {
            items.remove(*index);
            true
        }
        _ => false,
    }
}

/// What serde says of a field. It repeats the value, which in one place may be a token.
fn misread(field: String, message: &str) -> Fault {
    if field.starts_with("staticPodURLHeader") {
        return Fault::new(field, "must map each header to a list of texts");
    }
    Fault::new(field, in_words(message))
}

fn one(field: &str, problem: String) -> Faults {
    Faults(vec![Fault::new(field, problem)])
}

fn located(error: path_to_error::Error<serde_yaml_ng::Error>) -> Faults {
    let path = error.path().to_string();
    one(if path == "." { "" } else { &path }, error.into_inner().to_string())
}

/// A path without the marks that `serde_ignored` sets for optional values.
fn plain(path: &str) -> String {
    path.replace(".?", "")
}

/// serde's message in an operator's words: number types become ranges.
fn in_words(message: &str) -> String {
    let ranges = [
        ("expected u16", "expected a whole number from 0 to 65535"),
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected u64", "expected a whole number from 0"),
        ("expected i32", "expected a whole number from -2147483648 to 2147483647"),
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a number"),
    ];
    ranges.iter().fold(message.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(fields: &str) -> String {
        format!("apiVersion: {API_VERSION}\nkind: {KIND}\n{fields}")
    }

    fn faults(fields: &str) -> String {
        match parse(&document(fields)).and_then(|tree| read(&tree)) {
            Ok(_) => String::new(),
            Err(faults) => faults.to_string(),
        }
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let cases = [
            ("nothing at all", "", "the file is empty"),
            ("a list", "- a", "the file holds no fields"),
            (
                "another kind and no version",
                "kind: KubeProxyConfiguration",
                "apiVersion: missing, must be \"kubelet.config.k8s.io/v1beta1\"; \
                 kind: \"KubeProxyConfiguration\" is not \"KubeletConfiguration\"",
            ),
        ];
        for (name, text, expected) in cases {
            assert_eq!(parse(text).unwrap_err().to_string(), expected, "{name}");
        }
    }

    #[test]
    fn what_a_field_cannot_hold_is_refused_with_its_path() {
        let cases = [
            ("an unknown field", "maxPodz: 3", "maxPodz: unknown field"),
            (
                "an unknown field inside",
                "authentication: {webhook: {cachettl: 1m}}",
                "authentication.webhook.cachettl: unknown field",
            ),
            (
                "an unknown field of an optional part",
                "tracing: {endpint: x}",
                "tracing.endpint: unknown field",
            ),
            (
                "a negative count",
                "maxPods: -1",
                "maxPods: invalid value: integer `-1`, expected a whole number from 0 to 4294967295",
            ),
            (
                "a word that is no choice",
                "cgroupDriver: openrc",
                "cgroupDriver: unknown variant `openrc`, expected `cgroupfs` or `systemd`",
            ),
            (
                "two faults are both named",
                "port: 70000\nregisterNode: maybe",
                "port: invalid value: integer `70000`, expected a whole number from 0 to 65535; \
                 registerNode: invalid type: string \"maybe\", expected a boolean",
            ),
            (
                "a header, which may be a token, is not repeated",
                "staticPodURLHeader: {Authorization: Bearer 123}",
                "staticPodURLHeader.Authorization: must map each header to a list of texts",
            ),
            (
                "a duration without a unit",
                "syncFrequency: \"10\"",
                "syncFrequency: \"10\" is no duration: expected numbers with units such as \"1m30s\" \
                 (h, m, s, ms, us, ns)",
            ),
        ];
        for (name, fields, expected) in cases {
            assert_eq!(faults(fields), expected, "{name}");
        }
    }

    #[test]
    fn a_field_that_stands_twice_is_refused() {
        let faults = faults("authentication:\n  x509: {}\n  x509: {}");
        assert!(faults.starts_with("authentication: ") && faults.contains("duplicate"), "{faults}");
    }
}

#[cfg(test)]
mod defaults {
    use super::*;

    #[test]
    fn an_empty_configuration_is_the_defaults() {
        let configuration = read(&Value::Object(serde_json::Map::new())).unwrap();
        assert_eq!(configuration, KubeletConfiguration::default());
    }

    #[test]
    fn a_configuration_is_read_as_it_is_written() {
        let written = serde_json::to_value(KubeletConfiguration::default()).unwrap();
        assert_eq!(read(&written).unwrap(), KubeletConfiguration::default());
    }
}
