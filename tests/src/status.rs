//! Reading what an object's status says.

use serde_json::Value;

/// The status of a pod's container of any kind; null where there is none yet.
pub fn container(pod: &Value, name: &str) -> Value {
    let kinds = ["initContainerStatuses", "containerStatuses"];
    let all = kinds.iter().filter_map(|kind| pod["status"][kind].as_array()).flatten();
    all.into_iter().find(|status| status["name"] == name).cloned().unwrap_or_default()
}

/// The condition `kind` of a pod or a node; null where there is none yet.
pub fn condition(object: &Value, kind: &str) -> Value {
    let all = object["status"]["conditions"].as_array();
    all.into_iter().flatten().find(|each| each["type"] == kind).cloned().unwrap_or_default()
}
