//! The headers of an HTTP probe (`pkg/probe/http/request.go`).

/// What probes call themselves: the kubelet's name and the version of Kubernetes that this node
/// stands for.
pub const USER_AGENT: &str = "kube-probe/1.36";

/// Headers that the request makes for itself, whatever the spec says.
const OWN: [&str; 6] = ["host", "user-agent", "accept", "content-length", "transfer-encoding", "trailer"];

/// A request's headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// The `Host` header, where the spec has one.
    pub host: Option<String>,
    /// The others, in order; names as the spec has them.
    pub others: Vec<(String, String)>,
}

impl Headers {
    /// What the spec gives, with the defaults of a probe. `User-Agent` or `Accept` given as an empty
    /// value is left out.
    pub fn of(given: &[(String, String)]) -> Self {
        let first = |name: &str| {
            given.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
        };
        let agent = first("user-agent").unwrap_or(USER_AGENT);
        let mut others = vec![("User-Agent".to_owned(), agent.to_owned())];
        match first("accept") {
            None => others.push(("Accept".to_owned(), "*/*".to_owned())),
            Some("") => {}
            Some(_) => others.extend(all(given, "accept")),
        }
        others.retain(|(name, value)| name != "User-Agent" || !value.is_empty());
        let is_own = |name: &str| OWN.iter().any(|own| name.eq_ignore_ascii_case(own));
        others.extend(given.iter().filter(|(name, _)| !is_own(name)).cloned());
        Self { host: first("host").filter(|host| !host.is_empty()).map(str::to_owned), others }
    }
}

fn all(given: &[(String, String)], name: &str) -> Vec<(String, String)> {
    given.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: (&str, &str) = ("User-Agent", USER_AGENT);
    const ACCEPT: (&str, &str) = ("Accept", "*/*");
    type Pairs = &'static [(&'static str, &'static str)];

    #[test]
    fn the_agents_version_is_the_nodes() {
        let version = USER_AGENT.strip_prefix("kube-probe/").unwrap();
        assert!(chassis::config::KUBELET_VERSION.starts_with(&format!("v{version}.")));
    }

    #[test]
    fn defaults_are_filled_in_and_can_be_taken_out() {
        let cases: &[(&str, Pairs, Option<&str>, Pairs)] = &[
            ("nothing given", &[], None, &[AGENT, ACCEPT]),
            ("one more", &[("X-A", "1")], None, &[AGENT, ACCEPT, ("X-A", "1")]),
            ("a host", &[("host", "web.example")], Some("web.example"), &[AGENT, ACCEPT]),
            ("an empty host is none", &[("Host", "")], None, &[AGENT, ACCEPT]),
            ("an agent of its own", &[("user-agent", "me")], None, &[("User-Agent", "me"), ACCEPT]),
            ("no agent", &[("User-Agent", "")], None, &[ACCEPT]),
            ("no accept", &[("Accept", "")], None, &[AGENT]),
            (
                "two accepts",
                &[("accept", "a"), ("Accept", "b")],
                None,
                &[AGENT, ("accept", "a"), ("Accept", "b")],
            ),
            ("what only the request knows", &[("Content-Length", "9")], None, &[AGENT, ACCEPT]),
        ];
        for (name, given, host, want) in cases {
            let own = |pairs: Pairs| -> Vec<(String, String)> {
                pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
            };
            let want = Headers { host: host.map(str::to_owned), others: own(want) };
            assert_eq!(Headers::of(&own(given)), want, "{name}");
        }
    }
}
