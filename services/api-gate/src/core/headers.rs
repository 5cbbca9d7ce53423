//! Which headers pass the gate. Into it an allow-list: no peer can name a user, impersonate one, or
//! smuggle a hop-by-hop header. Out of it all but what belongs to the connection or to the credentials.

use chassis::config::KUBELET_VERSION;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, TE,
        TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT, WWW_AUTHENTICATE,
    },
};
use messages::Owner;

/// What a peer may send along. The trace context is passed on, so that the API server's own spans join
/// the pod's trace.
const PASSED_ON: [HeaderName; 7] = [
    ACCEPT,
    ACCEPT_ENCODING,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// What an answer must not bring back: hop-by-hop headers (RFC 9110, 7.6.1), and what is between the
/// gate and the API server alone.
const KEPT_BACK: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    SET_COOKIE,
    WWW_AUTHENTICATE,
];

/// The headers to send for a peer's request.
///
/// The agent begins with `kubelet`, because the API server takes the field manager from it: what the node
/// writes stays under the name that it had. The comment tells an audit log which process asked.
pub(crate) fn inwards(from: &HeaderMap, owner: Owner) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(PASSED_ON.len() + 1);
    for name in PASSED_ON {
        for value in from.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers.insert(USER_AGENT, agent(owner));
    headers
}

/// Takes out of an answer's headers what is not for the peer, also what its `connection` header names.
pub(crate) fn outwards(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in KEPT_BACK.iter().chain(&listed) {
        headers.remove(name);
    }
}

fn agent(owner: Owner) -> HeaderValue {
    let text = format!("kubelet/{KUBELET_VERSION} (linux; bulkhead {owner})");
    HeaderValue::try_from(text).expect("versions and process names are printable ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn nobody_brings_an_identity_in() {
        let cases = [
            ("a token", "authorization", "Bearer x", false),
            ("a user that the front proxy vouches for", "x-remote-user", "admin", false),
            ("an impersonation", "impersonate-user", "admin", false),
            ("a hop's header", "connection", "upgrade", false),
            ("an upgrade", "upgrade", "SPDY/3.1", false),
            ("another host", "host", "elsewhere", false),
            ("the kind of patch", "content-type", "application/merge-patch+json", true),
            ("the form of the answer", "accept", "application/json", true),
            ("the trace", "traceparent", "00-1-2-01", true),
        ];
        for (what, name, value, passes) in cases {
            let passed = inwards(&headers(&[(name, value)]), Owner::NodeApi);
            assert_eq!(passed.contains_key(name), passes, "{what}");
        }
    }

    #[test]
    fn the_api_server_sees_a_kubelet_and_an_audit_sees_the_process() {
        let passed = inwards(&headers(&[("user-agent", "curl/8")]), Owner::CriBridge);
        let agent = passed[USER_AGENT].to_str().unwrap();
        assert!(agent.starts_with("kubelet/") && agent.contains("cri-bridge"), "{agent}");
    }

    #[test]
    fn an_answer_brings_nothing_back_that_is_between_gate_and_server() {
        let mut answer = headers(&[
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("set-cookie", "a=b"),
            ("www-authenticate", "Basic"),
            ("content-type", "application/json"),
            ("retry-after", "3"),
            ("audit-id", "u"),
        ]);
        outwards(&mut answer);
        let mut left: Vec<_> = answer.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["audit-id", "content-type", "retry-after"]);
    }
}
