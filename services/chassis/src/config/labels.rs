//! Kubernetes' rules for label keys and values, which taints and node labels share.

/// What a key must be.
pub(super) const KEY_RULE: &str = "must be a name of at most 63 characters of [A-Za-z0-9-_.] that begins and ends with a \
     letter or digit, after an optional DNS subdomain and a slash";

/// What a value must be.
pub(super) const VALUE_RULE: &str =
    "must be at most 63 characters of [A-Za-z0-9-_.] that begin and end with a letter or digit";

/// Whether a text is a qualified name.
pub(super) fn is_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    // A node name is a DNS subdomain, and its parser the one place where that is written down.
    prefix.is_none_or(|prefix| prefix.parse::<messages::NodeName>().is_ok()) && is_name(name)
}

/// Whether a text is a label value; the empty one is.
pub(super) fn is_value(value: &str) -> bool {
    value.is_empty() || is_name(value)
}

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// Prefixes (and their subdomains) in Kubernetes' own name space that a node may set on itself.
const NODE_PREFIXES: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

/// Single labels of that name space that a node may set on itself.
const NODE_LABELS: [&str; 11] = [
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];

/// Why a node may not carry this label from the start, if so.
pub(super) fn fault_of_node_label(key: &str, value: &str) -> Option<String> {
    if !is_key(key) {
        return Some(format!("{key:?}: {KEY_RULE}"));
    }
    if !is_value(value) {
        return Some(format!("value {value:?} of {key:?}: {VALUE_RULE}"));
    }
    let prefix = key.split_once('/').map_or("", |(prefix, _)| prefix);
    let within = |domain: &str| prefix == domain || prefix.ends_with(&format!(".{domain}"));
    let reserved = within("kubernetes.io") || within("k8s.io");
    let allowed = NODE_LABELS.contains(&key) || NODE_PREFIXES.iter().any(|domain| within(domain));
    (reserved && !allowed).then(|| {
        format!(
            "{key:?}: in the kubernetes.io and k8s.io name spaces a node sets only labels below {} and {}",
            NODE_PREFIXES.join(", "),
            NODE_LABELS.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_follow_kubernetes() {
        for (key, valid) in [
            ("a", true),
            ("example.com/a_b.c", true),
            ("", false),
            ("-a", false),
            ("a/b/c", false),
            ("A/b", false),
        ] {
            assert_eq!(is_key(key), valid, "{key:?}");
        }
        assert!(is_value("") && is_value("a-1") && !is_value("a b") && !is_value(&"a".repeat(64)));
    }

    #[test]
    fn a_node_labels_itself_only_within_bounds() {
        let cases = [
            ("one's own name space", "example.com/rack", "7", true),
            ("a subdomain that is the node's", "x.node.kubernetes.io/y", "", true),
            ("a single one that is allowed", "topology.kubernetes.io/zone", "a", true),
            ("another's role", "node-role.kubernetes.io/control-plane", "", false),
            ("another's name space", "k8s.io/x", "", false),
            ("a bad value", "example.com/rack", "a b", false),
        ];
        for (name, key, value, valid) in cases {
            assert_eq!(fault_of_node_label(key, value).is_none(), valid, "{name}");
        }
    }
}
