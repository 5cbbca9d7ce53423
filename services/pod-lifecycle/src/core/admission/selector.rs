//! `nodeSelector` and required node affinity against the node's labels and name.

use k8s_openapi::api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

/// Whether the node is one that the pod may run on.
pub(super) fn matches(spec: &PodSpec, node: &Node) -> bool {
    let label =
        |key: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    let selected = spec.node_selector.iter().flatten().all(|(key, value)| label(key) == Some(value));
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required =
        affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    let name = node.metadata.name.as_deref();
    let field = |key: &str| name.filter(|_| key == "metadata.name");
    selected
        && required.is_none_or(|required| {
            required.node_selector_terms.iter().any(|term| term_holds(term, &label, &field))
        })
}

type Lookup<'a> = dyn Fn(&str) -> Option<&'a str> + 'a;

/// All requirements of a term hold. A term without any selects nothing.
fn term_holds<'a>(term: &NodeSelectorTerm, label: &Lookup<'a>, field: &Lookup<'a>) -> bool {
    let labels = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let empty = labels.is_empty() && fields.is_empty();
    !empty
        && labels.iter().all(|it| holds(it, label(&it.key)))
        && fields.iter().all(|it| holds(it, field(&it.key)))
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = value.is_some_and(|value| values.iter().any(|it| it == value));
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let numbers = (number(value), number(values.first().map(String::as_str)));
    match requirement.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => matches!(numbers, (Some(value), Some(bound)) if value > bound),
        "Lt" => matches!(numbers, (Some(value), Some(bound)) if value < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn selects(spec: Value) -> bool {
        let node = json!({"metadata": {"name": "node-1", "labels": {"disk": "ssd", "cores": "8"}}});
        let mut spec = spec;
        spec.as_object_mut().unwrap().insert("containers".into(), json!([]));
        matches(&serde_json::from_value(spec).unwrap(), &serde_json::from_value(node).unwrap())
    }

    fn term(term: Value) -> Value {
        let required = json!({"nodeSelectorTerms": [term]});
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}})
    }

    fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
        term(json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]}))
    }

    #[test]
    fn selectors_and_affinity_look_at_labels_and_name() {
        let cases = [
            ("nothing asked", json!({}), true),
            ("a matching selector", json!({"nodeSelector": {"disk": "ssd"}}), true),
            ("another value", json!({"nodeSelector": {"disk": "hdd"}}), false),
            ("a missing label", json!({"nodeSelector": {"zone": "a"}}), false),
            ("In", expression("disk", "In", &["hdd", "ssd"]), true),
            ("NotIn", expression("disk", "NotIn", &["ssd"]), false),
            ("NotIn of a missing label", expression("zone", "NotIn", &["a"]), true),
            ("Exists", expression("zone", "Exists", &[]), false),
            ("DoesNotExist", expression("zone", "DoesNotExist", &[]), true),
            ("Gt", expression("cores", "Gt", &["4"]), true),
            ("Lt", expression("cores", "Lt", &["4"]), false),
            ("Gt of what is no number", expression("disk", "Gt", &["4"]), false),
            ("an unknown operator", expression("disk", "Near", &["ssd"]), false),
            (
                "the name",
                term(
                    json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}),
                ),
                true,
            ),
            ("an empty term selects nothing", term(json!({})), false),
        ];
        for (sentence, spec, want) in cases {
            assert_eq!(selects(spec), want, "{sentence}");
        }
    }
}
