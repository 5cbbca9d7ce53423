//! What an HTTP request asks the API server for: verb, group, resource and subresource, as the API server
//! itself reads them (`staging/src/k8s.io/apiserver/pkg/endpoints/request/requestinfo.go`).
//!
//! Stricter than the API server: a path that could be read in two ways (percent signs, empty or dotted
//! segments, the old `/watch/` and `/proxy/` prefixes) is not read at all. Whether an asker may have
//! what it asks for is `rules`' business.

use http::{Method, Uri};

/// One of RBAC's verbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    /// Read one object.
    Get,
    /// Read a collection.
    List,
    /// Follow a collection.
    Watch,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH.
    Patch,
    /// Delete one object.
    Delete,
    /// Delete a collection.
    DeleteCollection,
}

impl Verb {
    /// The verb as RBAC and the catalog write it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiRequest {
    /// What is to be done.
    pub(crate) verb: Verb,
    /// API group; empty for core.
    pub(crate) group: String,
    /// `resource` or `resource/subresource`, as the catalog writes it.
    pub(crate) resource: String,
    /// Absent for what belongs to no namespace, and for a collection over all of them.
    pub(crate) namespace: Option<String>,
    /// Absent for a collection.
    pub(crate) name: Option<String>,
}

/// Why a request cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Not below `/api/v1` or `/apis/<group>/<version>`.
    #[error("the path names no resource of the API")]
    NoResource,
    /// Something that two readers might understand in two ways.
    #[error("the path or a parameter's name could be read in two ways")]
    Ambiguous,
    /// A method that stands for no verb.
    #[error("the method {0} stands for no verb")]
    Method(Method),
}

/// Reads a request by its method and URI.
pub(crate) fn read(method: &Method, uri: &Uri) -> Result<ApiRequest, Unreadable> {
    let segments = segments(uri.path())?;
    let (group, rest) = match segments.as_slice() {
        ["api", "v1", rest @ ..] => ("", rest),
        ["apis", group, _version, rest @ ..] => (*group, rest),
        _ => return Err(Unreadable::NoResource),
    };
    let place = place(rest).ok_or(Unreadable::NoResource)?;
    let verb = verb(method, place.name.is_some(), watches(uri)?)?;
    let resource = match place.subresource {
        Some(subresource) => format!("{}/{subresource}", place.resource),
        None => place.resource.to_owned(),
    };
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Ok(ApiRequest {
        verb,
        group: group.to_owned(),
        resource,
        namespace: owned(place.namespace),
        name: owned(place.name),
    })
}

/// Prefixes that once meant something else than a resource.
const OLD_PREFIXES: [&str; 2] = ["watch", "proxy"];

fn segments(path: &str) -> Result<Vec<&str>, Unreadable> {
    let is_plain = |segment: &&str| !segment.is_empty() && !matches!(*segment, "." | "..");
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    if path.contains('%') || path.contains(';') || !segments.iter().all(is_plain) {
        return Err(Unreadable::Ambiguous);
    }
    Ok(segments)
}

#[derive(Default)]
struct Place<'a> {
    namespace: Option<&'a str>,
    resource: &'a str,
    name: Option<&'a str>,
    subresource: Option<&'a str>,
}

/// Reads what follows the version. `namespaces/<ns>/<resource>` is a resource in a namespace, but
/// `namespaces/<ns>` and its `status` and `finalize` are the namespace itself.
fn place<'a>(rest: &[&'a str]) -> Option<Place<'a>> {
    match *rest {
        [first, ..] if OLD_PREFIXES.contains(&first) => None,
        ["namespaces", name, subresource @ ("status" | "finalize")] => Some(Place {
            resource: "namespaces",
            name: Some(name),
            subresource: Some(subresource),
            ..Place::default()
        }),
        ["namespaces", namespace, resource, ref rest @ ..] => {
            Some(Place { namespace: Some(namespace), ..object(resource, rest)? })
        }
        [resource, ref rest @ ..] => object(resource, rest),
        [] => None,
    }
}

fn object<'a>(resource: &'a str, rest: &[&'a str]) -> Option<Place<'a>> {
    let (name, subresource) = match *rest {
        [] => (None, None),
        [name] => (Some(name), None),
        [name, subresource] => (Some(name), Some(subresource)),
        _ => return None,
    };
    Some(Place { resource, name, subresource, ..Place::default() })
}

fn verb(method: &Method, named: bool, watches: bool) -> Result<Verb, Unreadable> {
    match *method {
        Method::GET | Method::HEAD if named => Ok(Verb::Get),
        Method::GET if watches => Ok(Verb::Watch),
        Method::GET | Method::HEAD => Ok(Verb::List),
        Method::POST => Ok(Verb::Create),
        Method::PUT => Ok(Verb::Update),
        Method::PATCH => Ok(Verb::Patch),
        Method::DELETE if named => Ok(Verb::Delete),
        Method::DELETE => Ok(Verb::DeleteCollection),
        ref other => Err(Unreadable::Method(other.clone())),
    }
}

/// Whether the query asks to watch. Any value but `0` and `false` asks for it; so does none, as in `?watch`.
/// Of several the API server reads the first; here one that asks is enough.
fn watches(uri: &Uri) -> Result<bool, Unreadable> {
    let mut watches = false;
    for parameter in uri.query().unwrap_or_default().split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name.contains('%') {
            return Err(Unreadable::Ambiguous);
        }
        watches |= name == "watch" && value != "0" && !value.eq_ignore_ascii_case("false");
    }
    Ok(watches)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The request as `verb group resource namespace name`, or why it is none.
    fn told(method: &str, uri: &str) -> Result<String, Unreadable> {
        let request = read(&method.parse().unwrap(), &uri.parse().unwrap())?;
        let or_dash = |text: Option<String>| text.unwrap_or("-".to_owned());
        let ApiRequest { verb, group, resource, namespace, name } = request;
        Ok(format!("{} {group:?} {resource} {} {}", verb.name(), or_dash(namespace), or_dash(name)))
    }

    #[test]
    fn requests_are_read_as_the_api_server_reads_them() {
        let cases = [
            ("one object", "GET", "/api/v1/namespaces/a/pods/web", "get \"\" pods a web"),
            ("a collection in a namespace", "GET", "/api/v1/namespaces/a/pods", "list \"\" pods a -"),
            ("a collection over all", "GET", "/api/v1/pods?limit=5", "list \"\" pods - -"),
            ("a watch", "GET", "/api/v1/pods?fieldSelector=a%3Db&watch=1", "watch \"\" pods - -"),
            ("a watch spelled out", "GET", "/api/v1/pods?watch=true", "watch \"\" pods - -"),
            ("a watch without a value", "GET", "/api/v1/pods?watch", "watch \"\" pods - -"),
            ("a watch that is none", "GET", "/api/v1/pods?watch=false", "list \"\" pods - -"),
            ("a named object is not watched", "GET", "/api/v1/nodes/n?watch=1", "get \"\" nodes - n"),
            ("a parameter that only begins so", "GET", "/api/v1/pods?watcher=1", "list \"\" pods - -"),
            ("headers only", "HEAD", "/api/v1/nodes/n", "get \"\" nodes - n"),
            ("a subresource", "PATCH", "/api/v1/namespaces/a/pods/w/status", "patch \"\" pods/status a w"),
            ("of what is in no namespace", "PATCH", "/api/v1/nodes/n/status", "patch \"\" nodes/status - n"),
            ("a namespace itself", "GET", "/api/v1/namespaces/a", "get \"\" namespaces - a"),
            ("its status", "PUT", "/api/v1/namespaces/a/status", "update \"\" namespaces/status - a"),
            ("its end", "PUT", "/api/v1/namespaces/a/finalize", "update \"\" namespaces/finalize - a"),
            ("all namespaces", "GET", "/api/v1/namespaces", "list \"\" namespaces - -"),
            (
                "another group",
                "PUT",
                "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n",
                "update \"coordination.k8s.io\" leases kube-node-lease n",
            ),
            (
                "a review, which has no name",
                "POST",
                "/apis/authentication.k8s.io/v1/tokenreviews",
                "create \"authentication.k8s.io\" tokenreviews - -",
            ),
            (
                "a token",
                "POST",
                "/api/v1/namespaces/a/serviceaccounts/default/token",
                "create \"\" serviceaccounts/token a default",
            ),
            ("a deletion", "DELETE", "/api/v1/namespaces/a/pods/w", "delete \"\" pods a w"),
            ("of everything", "DELETE", "/api/v1/namespaces/a/pods", "deletecollection \"\" pods a -"),
        ];
        for (name, method, uri, want) in cases {
            assert_eq!(told(method, uri).as_deref(), Ok(want), "{name}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        let cases = [
            ("no API path", "GET", "/version", Unreadable::NoResource),
            ("a list of resources", "GET", "/api/v1", Unreadable::NoResource),
            ("a list of groups", "GET", "/apis", Unreadable::NoResource),
            ("another version of core", "GET", "/api/v2/pods", Unreadable::NoResource),
            ("the old watch", "GET", "/api/v1/watch/pods", Unreadable::NoResource),
            ("the old proxy", "GET", "/api/v1/proxy/nodes/n", Unreadable::NoResource),
            ("what a proxy subresource hides", "GET", "/api/v1/nodes/n/proxy/exec", Unreadable::NoResource),
            ("a path upwards", "GET", "/api/v1/pods/../secrets", Unreadable::Ambiguous),
            ("an encoded one", "GET", "/api/v1/pods/%2e%2e/secrets", Unreadable::Ambiguous),
            ("an empty segment", "GET", "/api/v1//secrets", Unreadable::Ambiguous),
            ("a slash at the end", "GET", "/api/v1/pods/", Unreadable::Ambiguous),
            ("a path parameter", "GET", "/api/v1/pods;a=b", Unreadable::Ambiguous),
            ("an encoded parameter", "GET", "/api/v1/pods?w%61tch=1", Unreadable::Ambiguous),
            ("nothing", "GET", "/", Unreadable::Ambiguous),
            ("an odd method", "TRACE", "/api/v1/pods", Unreadable::Method(Method::TRACE)),
            ("a tunnel", "CONNECT", "/api/v1/pods", Unreadable::Method(Method::CONNECT)),
        ];
        for (name, method, uri, want) in cases {
            assert_eq!(told(method, uri), Err(want), "{name}");
        }
    }
}
