//! What a request asks for, in the words of the authorizer: a verb on a subresource of this node
//! (`pkg/kubelet/server/auth.go`, with KubeletFineGrainedAuthz as it is in 1.36).
//!
//! exec over GET needs `get` on `nodes/proxy` and no more. Upstream knows and keeps it; so is it here.

use super::user::User;

/// One question to the authorizer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Attributes {
    /// Who asks.
    pub(crate) user: User,
    /// `get`, `create`, …; empty for a method that has none.
    pub(crate) verb: &'static str,
    /// Of `nodes`.
    pub(crate) subresource: &'static str,
}

/// The questions for a request, in order: it is let through by the first yes.
pub(crate) fn questions(user: &User, method: &str, path: &str) -> Vec<Attributes> {
    let question = |subresource| Attributes { user: user.clone(), verb: verb(method), subresource };
    subresources(path).into_iter().map(question).collect()
}

/// What is said when all answers were no.
pub(crate) fn forbidden(questions: &[Attributes]) -> String {
    let Some(first) = questions.first() else {
        return "Authorization error: could not determine attributes for request".to_owned();
    };
    let subresources: Vec<_> = questions.iter().map(|question| question.subresource).collect();
    format!(
        "Forbidden (user={}, verb={}, resource=nodes, subresource(s)=[{}])\n",
        first.user.name,
        first.verb,
        subresources.join(" ")
    )
}

/// What is said when there was no answer.
pub(crate) fn failed(question: &Attributes) -> String {
    let Attributes { user, verb, subresource } = question;
    format!(
        "Authorization error (user={}, verb={verb}, resource=nodes, subresource={subresource})",
        user.name
    )
}

fn verb(method: &str) -> &'static str {
    match method {
        "POST" => "create",
        "GET" => "get",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "",
    }
}

/// The subresources of the node that a path belongs to, the narrowest first.
fn subresources(path: &str) -> Vec<&'static str> {
    const NARROW: &[(&str, &str)] =
        &[("/pods", "pods"), ("/healthz", "healthz"), ("/configz", "configz"), ("/runningpods", "pods")];
    const OWN: &[(&str, &str)] = &[
        ("/stats", "stats"),
        ("/metrics", "metrics"),
        ("/logs", "log"),
        ("/checkpoint", "checkpoint"),
        ("/statusz", "statusz"),
        ("/flagz", "configz"),
    ];
    let of = |table: &[(&str, &'static str)]| {
        table.iter().find(|(folder, _)| is_below(path, folder)).map(|(_, subresource)| *subresource)
    };
    let mut found: Vec<_> = of(NARROW).into_iter().collect();
    found.push(of(OWN).unwrap_or("proxy"));
    found
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_its_verb_and_subresources() {
        let cases: &[(&str, &str, &str, &[&str])] = &[
            ("GET", "/stats/summary", "get", &["stats"]),
            ("GET", "/stats", "get", &["stats"]),
            ("GET", "/statsx", "get", &["proxy"]),
            ("GET", "/metrics", "get", &["metrics"]),
            ("GET", "/metrics/cadvisor", "get", &["metrics"]),
            ("GET", "/logs/kubelet.log", "get", &["log"]),
            ("POST", "/checkpoint/ns/pod/c", "create", &["checkpoint"]),
            ("GET", "/statusz", "get", &["statusz"]),
            ("GET", "/flagz", "get", &["configz"]),
            ("GET", "/pods", "get", &["pods", "proxy"]),
            ("GET", "/podsecurity", "get", &["proxy"]),
            ("GET", "/runningpods/", "get", &["pods", "proxy"]),
            ("GET", "/healthz/syncloop", "get", &["healthz", "proxy"]),
            ("GET", "/configz", "get", &["configz", "proxy"]),
            ("POST", "/exec/ns/pod/c", "create", &["proxy"]),
            ("GET", "/exec/ns/pod/c", "get", &["proxy"]),
            ("GET", "/containerLogs/ns/pod/c", "get", &["proxy"]),
            ("PUT", "/debug/flags/v", "update", &["proxy"]),
            ("DELETE", "/x", "delete", &["proxy"]),
            ("PATCH", "/x", "patch", &["proxy"]),
            ("OPTIONS", "/x", "", &["proxy"]),
            ("GET", "/metrics%2F../exec/ns/pod/c", "get", &["proxy"]),
        ];
        for (method, path, verb, want) in cases {
            let asked = questions(&User::anonymous(), method, path);
            let subresources: Vec<_> = asked.iter().map(|question| question.subresource).collect();
            assert_eq!((asked[0].verb, subresources.as_slice()), (*verb, *want), "{method} {path}");
        }
    }

    #[test]
    fn a_no_names_everything_that_was_tried() {
        let user = User { name: "jane".into(), ..User::default() };
        let asked = questions(&user, "GET", "/pods");
        let want = "Forbidden (user=jane, verb=get, resource=nodes, subresource(s)=[pods proxy])\n";
        assert_eq!(forbidden(&asked), want);
    }
}
