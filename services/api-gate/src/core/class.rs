//! In which order requests go when there are more than the budget allows.

use super::request::{ApiRequest, Verb};

/// Classes of requests, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// What says that the node lives: its lease and its status. Never waits and costs nothing, as with the
    /// stock kubelet, whose heartbeat client has no rate limit: a busy node must not look like a dead one.
    Heartbeat,
    /// What others wait for: the pods' statuses and ends, and the node itself.
    Status,
    /// What the node needs for its work.
    Work,
    /// What nobody waits for.
    Event,
}

impl Class {
    /// Every class, the most urgent first.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 4] = [Self::Heartbeat, Self::Status, Self::Work, Self::Event];
}

/// The class of a request.
pub(crate) fn of(request: &ApiRequest) -> Class {
    let reads = matches!(request.verb, Verb::Get | Verb::List | Verb::Watch);
    match (request.group.as_str(), request.resource.as_str()) {
        ("coordination.k8s.io", "leases") | ("", "nodes/status") => Class::Heartbeat,
        ("", "pods" | "pods/status" | "nodes") if !reads => Class::Status,
        ("", "events") => Class::Event,
        _ => Class::Work,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::request;

    #[test]
    fn what_keeps_the_node_alive_goes_first_and_events_go_last() {
        let cases = [
            ("the lease", "PUT", "/apis/coordination.k8s.io/v1/namespaces/l/leases/n", Class::Heartbeat),
            ("reading it", "GET", "/apis/coordination.k8s.io/v1/namespaces/l/leases/n", Class::Heartbeat),
            ("the node's status", "PATCH", "/api/v1/nodes/n/status", Class::Heartbeat),
            ("registration", "POST", "/api/v1/nodes", Class::Status),
            ("a pod's status", "PATCH", "/api/v1/namespaces/a/pods/w/status", Class::Status),
            ("a pod's end", "DELETE", "/api/v1/namespaces/a/pods/w", Class::Status),
            ("the pods of this node", "GET", "/api/v1/pods?watch=1", Class::Work),
            ("a secret", "GET", "/api/v1/namespaces/a/secrets/s", Class::Work),
            ("an event", "POST", "/api/v1/namespaces/a/events", Class::Event),
        ];
        for (name, method, uri, want) in cases {
            let request = request::read(&method.parse().unwrap(), &uri.parse().unwrap()).unwrap();
            assert_eq!(of(&request), want, "{name}");
        }
    }
}
