//! The downward API: a pod's own fields and resources as text (`pkg/fieldpath`, `pkg/api/v1/resource`).

use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::api::resource::Quantity};
use messages::{Amount, BadAmount};
use std::{collections::BTreeMap, fmt::Write};

/// `node.status.allocatable`: what a container without a limit may use at most.
pub type Allocatable = BTreeMap<String, Quantity>;

/// Why a field has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoValue {
    /// Not a field that volumes can show.
    #[error("unsupported fieldPath: {0}")]
    Field(String),
    /// Not a resource that volumes can show.
    #[error("unsupported container resource: {0}")]
    Resource(String),
    /// No such container.
    #[error("container {0:?} not found")]
    Container(String),
    /// A quantity in the way is none.
    #[error("could not read {0}")]
    Quantity(String, #[source] BadAmount),
}

/// The value of `fieldRef.fieldPath`.
///
/// # Errors
/// When volumes can't show it.
pub fn field(pod: &core::Pod, path: &str) -> Result<String, NoValue> {
    let meta = &pod.metadata;
    let text = |value: &Option<String>| Ok(value.clone().unwrap_or_default());
    match path {
        "metadata.name" => text(&meta.name),
        "metadata.namespace" => text(&meta.namespace),
        "metadata.uid" => text(&meta.uid),
        "metadata.labels" => Ok(lines(meta.labels.as_ref())),
        "metadata.annotations" => Ok(lines(meta.annotations.as_ref())),
        _ => subscript(pod, path).ok_or_else(|| NoValue::Field(path.to_owned())),
    }
}

/// `metadata.labels['<key>']` and `metadata.annotations['<key>']`; empty when there is none.
fn subscript(pod: &core::Pod, path: &str) -> Option<String> {
    let (map, rest) = if let Some(rest) = path.strip_prefix("metadata.labels['") {
        (&pod.metadata.labels, rest)
    } else {
        (&pod.metadata.annotations, path.strip_prefix("metadata.annotations['")?)
    };
    let key = rest.strip_suffix("']")?;
    Some(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default())
}

/// One `key="value"` per line, sorted by key.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<String> =
        map.into_iter().flatten().map(|(key, value)| format!("{key}={}", quoted(value))).collect();
    lines.join("\n")
}

/// A text in quotes with Go's escapes (`%q`), which is what readers of these files expect.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        push_escaped(&mut out, c);
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, c: char) {
    let short = match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{b}' => "\\v",
        _ => return push_unescaped(out, c),
    };
    out.push_str(short);
}

fn push_unescaped(out: &mut String, c: char) {
    let code = u32::from(c);
    let written = match code {
        _ if is_printable(c) => write!(out, "{c}"),
        0..0x80 => write!(out, "\\x{code:02x}"),
        0x80..0x1_0000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    written.expect("writing to a string does not fail");
}

/// Whether Go would print a character as it is. The standard library's own quoting knows; a letter
/// before it keeps combining marks, which Go prints, from being taken for strays.
fn is_printable(c: char) -> bool {
    c == '\'' || !format!("a{c}").escape_debug().any(|c| c == '\\')
}

/// The value of `resourceFieldRef` for a container.
///
/// # Errors
/// When there is no such container or resource, or a quantity can't be read.
pub fn resource(
    pod: &core::Pod,
    allocatable: &Allocatable,
    selector: &core::ResourceFieldSelector,
) -> Result<String, NoValue> {
    let name = selector.container_name.as_deref().unwrap_or_default();
    let container = container(pod, name).ok_or_else(|| NoValue::Container(name.to_owned()))?;
    let unknown = || NoValue::Resource(selector.resource.clone());
    let (list, resource) = selector.resource.split_once('.').ok_or_else(unknown)?;
    if !is_shown(resource) {
        return Err(unknown());
    }
    let amount = match list {
        "limits" => limit(container, allocatable, resource)?,
        "requests" => amount(requests(container), resource)?,
        _ => return Err(unknown()),
    };
    let divisor = match &selector.divisor {
        Some(divisor) => read(divisor, "the divisor")?,
        None => Amount::whole(1),
    };
    let quotient = match resource {
        "cpu" => divided(amount.milli_value(), divisor.milli_value(), 1000),
        _ => divided(amount.value(), divisor.value(), 1),
    };
    Ok(quotient.to_string())
}

/// How often the divisor goes into a number, rounded up; a divisor of nothing counts as `one`.
fn divided(number: i64, divisor: i64, one: i64) -> i64 {
    let divisor = if divisor > 0 { divisor } else { one };
    number / divisor + i64::from(number % divisor > 0)
}

fn is_shown(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory" | "ephemeral-storage") || resource.starts_with("hugepages-")
}

fn container<'a>(pod: &'a core::Pod, name: &str) -> Option<&'a core::Container> {
    let spec = pod.spec.as_ref()?;
    let mut all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    all.find(|container| container.name == name)
}

/// A container without a limit may use what the node has.
fn limit(container: &core::Container, allocatable: &Allocatable, name: &str) -> Result<Amount, NoValue> {
    let own = amount(limits(container), name)?;
    let has_default = !name.starts_with("hugepages-");
    if own.is_zero() && has_default { amount(Some(allocatable), name) } else { Ok(own) }
}

fn limits(container: &core::Container) -> Option<&BTreeMap<String, Quantity>> {
    container.resources.as_ref()?.limits.as_ref()
}

fn requests(container: &core::Container) -> Option<&BTreeMap<String, Quantity>> {
    container.resources.as_ref()?.requests.as_ref()
}

/// An amount in a list; nothing when it is absent.
pub fn amount(list: Option<&BTreeMap<String, Quantity>>, name: &str) -> Result<Amount, NoValue> {
    list.and_then(|list| list.get(name))
        .map_or_else(|| Ok(Amount::default()), |quantity| read(quantity, name))
}

fn read(quantity: &Quantity, what: &str) -> Result<Amount, NoValue> {
    Amount::try_from(quantity).map_err(|bad| NoValue::Quantity(what.to_owned(), bad))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> core::Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "u-1",
                "labels": { "b": "2", "a": "say \"hi\"" },
                "annotations": { "note": "line\nline" },
            },
            "spec": { "containers": [
                { "name": "app", "resources": {
                    "limits": { "cpu": "1250m", "memory": "64Mi" }, "requests": { "cpu": "250m" } } },
                { "name": "bare" },
            ] },
        }))
        .unwrap()
    }

    #[test]
    fn fields_are_shown_as_the_kubelet_shows_them() {
        let unsupported = |path: &str| Err(NoValue::Field(path.into()));
        let cases = [
            ("metadata.name", Ok("web")),
            ("metadata.namespace", Ok("shop")),
            ("metadata.uid", Ok("u-1")),
            ("metadata.labels", Ok("a=\"say \\\"hi\\\"\"\nb=\"2\"")),
            ("metadata.annotations", Ok("note=\"line\\nline\"")),
            ("metadata.labels['b']", Ok("2")),
            ("metadata.labels['none']", Ok("")),
            ("metadata.annotations['note']", Ok("line\nline")),
            ("spec.nodeName", unsupported("spec.nodeName")),
            ("metadata.labels['b", unsupported("metadata.labels['b")),
        ];
        for (path, want) in cases {
            assert_eq!(field(&pod(), path), want.map(str::to_owned), "{path}");
        }
    }

    #[test]
    fn quoting_is_gos() {
        let cases = [
            ("plain", "\"plain\""),
            ("it's", "\"it's\""),
            ("tab\tback\\", "\"tab\\tback\\\\\""),
            ("bell\u{7}del\u{7f}", "\"bell\\adel\\x7f\""),
            ("grün e\u{301}", "\"grün e\u{301}\""),
            ("no\u{a0}break", "\"no\\u00a0break\""),
            ("private\u{f0000}", "\"private\\U000f0000\""),
        ];
        for (text, want) in cases {
            assert_eq!(quoted(text), want, "{text:?}");
        }
    }

    #[test]
    fn resources_are_divided_and_default_to_the_node() {
        let allocatable = Allocatable::from([
            ("cpu".into(), Quantity("4".into())),
            ("memory".into(), Quantity("8Gi".into())),
        ]);
        let cases = [
            ("a limit, rounded up", "app", "limits.cpu", None, Ok("2")),
            ("in milli-CPUs", "app", "limits.cpu", Some("1m"), Ok("1250")),
            ("a divisor of nothing is one", "app", "limits.cpu", Some("0"), Ok("2")),
            ("memory in MiB", "app", "limits.memory", Some("1Mi"), Ok("64")),
            ("a request", "app", "requests.cpu", Some("1m"), Ok("250")),
            ("a request that is absent", "app", "requests.memory", None, Ok("0")),
            ("no limit: the node's CPUs", "bare", "limits.cpu", None, Ok("4")),
            ("no limit: the node's memory", "bare", "limits.memory", Some("1Gi"), Ok("8")),
            ("huge pages have no default", "bare", "limits.hugepages-2Mi", None, Ok("0")),
            ("no such container", "x", "limits.cpu", None, Err(NoValue::Container("x".into()))),
            ("no such list", "app", "wants.cpu", None, Err(NoValue::Resource("wants.cpu".into()))),
            ("no such resource", "app", "limits.pods", None, Err(NoValue::Resource("limits.pods".into()))),
        ];
        for (name, container, resource_name, divisor, want) in cases {
            let selector = core::ResourceFieldSelector {
                container_name: Some(container.into()),
                resource: resource_name.into(),
                divisor: divisor.map(|divisor| Quantity(divisor.into())),
            };
            let got = resource(&pod(), &allocatable, &selector);
            assert_eq!(got, want.map(str::to_owned), "{name}");
        }
    }
}
