//! Who may ask for what: the column of `messages::catalog::API_RULES` that belongs to a peer.

use super::request::ApiRequest;
use messages::{Owner, catalog::ApiRule};

/// A request that no rule allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{owner} may not {verb} {resource:?} in API group {group:?}: the catalog has no such rule", verb = request.verb.name(), resource = request.resource, group = request.group)]
pub(crate) struct NoRule {
    /// Who asked.
    pub(crate) owner: Owner,
    /// For what.
    pub(crate) request: ApiRequest,
    /// It is the asker's own program that is wrong, and it should end. A subresource of what it may ask for
    /// is no proof of that: the name of an object, which a pod's author chose, may have held a slash.
    pub(crate) is_programs_fault: bool,
}

/// Whether a rule allows a peer's request.
pub(crate) fn judge(rules: &[ApiRule], owner: Owner, request: ApiRequest) -> Result<ApiRequest, NoRule> {
    let own = || rules.iter().filter(|rule| rule.owner == owner && rule.group == request.group);
    let is_resource = |rule: &&ApiRule| rule.resource == request.resource;
    if own().filter(is_resource).any(|rule| rule.verbs.contains(&request.verb.name())) {
        return Ok(request);
    }
    let is_of_resource = |rule: &ApiRule| whole(rule.resource) == whole(&request.resource);
    let is_programs_fault = own().any(|rule| is_resource(&rule)) || !own().any(is_of_resource);
    Err(NoRule { owner, request, is_programs_fault })
}

/// The resource of which something is a subresource, or itself.
fn whole(resource: &str) -> &str {
    resource.split_once('/').map_or(resource, |(whole, _)| whole)
}

/// The peers for which there is at least one rule: only they get a socket.
pub(crate) fn peers(rules: &[ApiRule]) -> Vec<Owner> {
    Owner::ALL.into_iter().filter(|owner| rules.iter().any(|rule| rule.owner == *owner)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::request;
    use http::Method;
    use messages::catalog::API_RULES;
    use std::collections::BTreeSet;

    /// Every verb with a request line for it, for a resource written as in the catalog.
    fn request_lines(group: &str, resource: &str) -> Vec<(&'static str, Method, String)> {
        let root = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
        let (resource, subresource) = match resource.split_once('/') {
            Some((resource, subresource)) => (resource, format!("/{subresource}")),
            None => (resource, String::new()),
        };
        let collection = format!("{root}/namespaces/a/{resource}");
        let named = format!("{collection}/x{subresource}");
        // A subresource exists only below a name: there is no collection of it, and it is created by POST to it.
        let created = if subresource.is_empty() { collection.clone() } else { named.clone() };
        let mut lines = vec![
            ("get", Method::GET, named.clone()),
            ("create", Method::POST, created),
            ("update", Method::PUT, named.clone()),
            ("patch", Method::PATCH, named.clone()),
            ("delete", Method::DELETE, named),
        ];
        if subresource.is_empty() {
            lines.push(("list", Method::GET, collection.clone()));
            lines.push(("watch", Method::GET, format!("{collection}?watch=1")));
            lines.push(("deletecollection", Method::DELETE, collection));
        }
        lines
    }

    #[test]
    fn every_owner_may_do_with_every_resource_what_the_catalog_says_and_nothing_else() {
        let mut resources: BTreeSet<_> = API_RULES.iter().map(|rule| (rule.group, rule.resource)).collect();
        resources.extend([
            ("", "pods/exec"),
            ("", "nodes/proxy"),
            ("certificates.k8s.io", "certificatesigningrequests"),
        ]);
        for owner in Owner::ALL {
            for (group, resource) in &resources {
                for (verb, method, line) in request_lines(group, resource) {
                    let mut rules = API_RULES.iter().filter(|rule| rule.owner == owner);
                    let told = rules
                        .any(|r| (r.group, r.resource) == (*group, *resource) && r.verbs.contains(&verb));
                    let request = request::read(&method, &line.parse().unwrap()).unwrap();
                    let judged = judge(API_RULES, owner, request);
                    assert_eq!(judged.is_ok(), told, "{owner} {method} {line}");
                }
            }
        }
    }

    #[test]
    fn a_refusal_names_the_peer_and_the_missing_rule() {
        let uri = "/apis/apps/v1/namespaces/a/deployments".parse().unwrap();
        let request = request::read(&Method::POST, &uri).unwrap();
        let refused = judge(API_RULES, Owner::Prober, request).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "prober may not create \"deployments\" in API group \"apps\": the catalog has no such rule"
        );
    }

    #[test]
    fn a_program_is_blamed_only_for_what_no_name_can_bring_about() {
        let cases = [
            ("a resource that it has no business with", Owner::NodeApi, Method::GET, "/api/v1/secrets", true),
            ("a verb", Owner::PodLifecycle, Method::DELETE, "/api/v1/namespaces/a/pods/web", true),
            ("a name with a slash", Owner::CriBridge, Method::GET, "/api/v1/namespaces/a/secrets/b/c", false),
        ];
        for (name, owner, method, uri, blamed) in cases {
            let request = request::read(&method, &uri.parse().unwrap()).unwrap();
            assert_eq!(judge(API_RULES, owner, request).unwrap_err().is_programs_fault, blamed, "{name}");
        }
    }

    #[test]
    fn who_may_ask_nothing_gets_no_socket() {
        let peers = peers(API_RULES);
        assert!(peers.contains(&Owner::StatusReporter));
        for owner in [Owner::Prober, Owner::TraceRecorder, Owner::Bulkhead, Owner::ApiGate] {
            assert!(!peers.contains(&owner), "{owner}");
        }
    }
}
