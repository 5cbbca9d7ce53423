//! One status out of two: ours, as pod-lifecycle composed it, over the API server's, in which others
//! write too (`pkg/kubelet/status/status_manager.go`).

use k8s_openapi::api::core::v1::{PodCondition, PodStatus};
use serde_json::{Map, Value, json};

/// Conditions that are ours alone: one of these that we do not say is taken back
/// (`pkg/kubelet/types/pod_status.go`).
const OURS: [&str; 8] = [
    "AllContainersRestarting",
    "ContainersReady",
    "Initialized",
    "PodReadyToStartContainers",
    "PodResizeInProgress",
    "PodResizePending",
    "PodScheduled",
    "Ready",
];

/// Fields of the status that are ours alone, as the API names them: one that we do not say is taken back.
/// The others (`nominatedNodeName`, `resourceClaimStatuses`, …) are left alone.
const FIELDS: [&str; 16] = [
    "allocatedResources",
    "containerStatuses",
    "ephemeralContainerStatuses",
    "hostIP",
    "hostIPs",
    "initContainerStatuses",
    "message",
    "observedGeneration",
    "phase",
    "podIP",
    "podIPs",
    "qosClass",
    "reason",
    "resources",
    "startTime",
    "conditions",
];

/// Lists that a strategic merge would add to; ours are whole.
const WHOLE_LISTS: [&str; 2] = ["hostIPs", "podIPs"];

/// Whether a phase is one that a pod never leaves.
pub(crate) fn is_terminal(phase: Option<&str>) -> bool {
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether a condition holds.
pub(crate) fn holds(status: &PodStatus, kind: &str) -> bool {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

/// Our status as it should be written over the API server's. A terminal phase stays, a start time stays,
/// and a transition time moves only with its condition's status.
pub(crate) fn over(known: Option<&PodStatus>, ours: &PodStatus) -> PodStatus {
    let mut merged = ours.clone();
    let Some(known) = known else { return merged };
    if is_terminal(known.phase.as_deref()) && !is_terminal(ours.phase.as_deref()) {
        merged.phase.clone_from(&known.phase);
        merged.reason.clone_from(&known.reason);
        merged.message.clone_from(&known.message);
    }
    merged.start_time = known.start_time.clone().or(merged.start_time);
    merged.qos_class = merged.qos_class.or_else(|| known.qos_class.clone());
    let known = known.conditions.as_deref().unwrap_or_default();
    for condition in merged.conditions.iter_mut().flatten() {
        keep_transition(condition, known);
    }
    merged
}

fn keep_transition(condition: &mut PodCondition, known: &[PodCondition]) {
    let same = known.iter().find(|known| known.type_ == condition.type_ && known.status == condition.status);
    if let Some(time) = same.and_then(|same| same.last_transition_time.clone()) {
        condition.last_transition_time = Some(time);
    }
}

/// Whether the API server's status says all that ours does, and nothing of ours that we no longer say.
pub(crate) fn is_said(ours: &PodStatus, known: &PodStatus) -> bool {
    let (merged, known) = (canonical(&over(Some(known), ours)), canonical(known));
    let (merged_conditions, known_conditions) = (by_kind(&merged), by_kind(&known));
    let fields = FIELDS.iter().filter(|field| **field != "conditions");
    let shared = merged_conditions.keys().filter(|kind| !OURS.contains(&kind.as_str()));
    fields.into_iter().all(|field| merged.get(*field) == known.get(*field))
        && OURS.iter().all(|kind| merged_conditions.get(*kind) == known_conditions.get(*kind))
        && shared.into_iter().all(|kind| merged_conditions.get(kind) == known_conditions.get(kind))
}

/// The strategic merge patch that writes our status over the API server's, for the pod of this UID only.
pub(crate) fn patch(uid: &str, ours: &PodStatus, known: Option<&PodStatus>) -> Value {
    let mut status = match json!(over(known, ours)) {
        Value::Object(status) => status,
        _ => Map::new(),
    };
    for field in FIELDS {
        status.entry(field).or_insert(Value::Null);
    }
    for list in WHOLE_LISTS {
        if let Some(Value::Array(items)) = status.get_mut(list) {
            items.push(json!({ "$patch": "replace" }));
        }
    }
    status.insert("conditions".to_owned(), conditions(ours, known));
    json!({ "metadata": { "uid": uid }, "status": status })
}

/// Ours, each merged by its type, and the removal of those that we said before.
fn conditions(ours: &PodStatus, known: Option<&PodStatus>) -> Value {
    let merged = over(known, ours).conditions.unwrap_or_default();
    let says = |kind: &str| merged.iter().any(|condition| condition.type_ == kind);
    let known = known.and_then(|known| known.conditions.as_deref()).unwrap_or_default();
    let over =
        known.iter().filter(|condition| OURS.contains(&condition.type_.as_str()) && !says(&condition.type_));
    let removals = over.map(|condition| json!({ "$patch": "delete", "type": condition.type_ }));
    merged.iter().map(whole).chain(removals).collect()
}

/// A condition that takes back the reason and message that it does not have any more: merging by type
/// would leave the old ones standing.
fn whole(condition: &PodCondition) -> Value {
    let mut fields = match json!(condition) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    for field in ["reason", "message"] {
        fields.entry(field).or_insert(Value::Null);
    }
    fields.into()
}

/// A status as the API server would write it: without nulls and without what is empty.
fn canonical(status: &PodStatus) -> Map<String, Value> {
    match pruned(json!(status)) {
        Some(Value::Object(status)) => status,
        _ => Map::new(),
    }
}

fn pruned(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(items) => {
            let items: Vec<Value> = items.into_iter().map(|item| pruned(item).unwrap_or_default()).collect();
            (!items.is_empty()).then_some(items.into())
        }
        Value::Object(fields) => {
            let fields: Map<_, _> =
                fields.into_iter().filter_map(|(name, value)| Some((name, pruned(value)?))).collect();
            (!fields.is_empty()).then_some(fields.into())
        }
        value => Some(value),
    }
}

/// Conditions by their type: their order means nothing.
fn by_kind(status: &Map<String, Value>) -> Map<String, Value> {
    let conditions =
        status.get("conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let named = |condition: &Value| Some((condition["type"].as_str()?.to_owned(), condition.clone()));
    conditions.iter().filter_map(named).collect()
}

#[cfg(test)]
mod tests;
