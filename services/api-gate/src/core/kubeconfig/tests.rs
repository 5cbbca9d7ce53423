//! What is made of a kubeconfig, row by row.

use super::*;

/// A kubeconfig whose cluster and user hold these lines.
fn config(cluster: &str, user: &str) -> Kubeconfig {
    let text = format!(
        "current-context: node\n\
         contexts: [{{name: node, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{{cluster}}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    );
    serde_yaml_ng::from_str(&text).unwrap()
}

fn read(cluster: &str, user: &str) -> Result<Access, String> {
    access(&config(cluster, user), Path::new("/etc/kubernetes")).map_err(|bad| bad.to_string())
}

const SERVER: &str = "server: 'https://10.0.0.1:6443'";

#[test]
fn a_field_that_cannot_be_used_is_named() {
    let bad = |cluster: &str, user: &str| read(cluster, user).map(|_| ()).unwrap_err();
    let cases = [
        ("no server", "", "", "clusters[c].cluster.server is missing"),
        (
            "no scheme",
            "server: '10.0.0.1:6443'",
            "",
            "clusters[c].cluster.server is not of the form https://host[:port]",
        ),
        (
            "an odd scheme",
            "server: 'ftp://a'",
            "",
            "clusters[c].cluster.server is not of the form https://host[:port]",
        ),
        (
            "a proxy",
            "server: 'https://a', proxy-url: 'http://p'",
            "",
            "clusters[c].cluster.proxy-url is not supported",
        ),
        ("a program for credentials", SERVER, "exec: {command: aws}", "users[u].user.exec is not supported"),
        ("a password", SERVER, "username: a, password: b", "users[u].user.username is not supported"),
        ("somebody else's name", SERVER, "as: admin", "users[u].user.as is not supported"),
        ("no base64", SERVER, "client-key-data: '***'", "users[u].user.client-key-data is not base64"),
        (
            "half a pair",
            SERVER,
            "client-certificate: a.pem",
            "users[u].user.client-key is missing beside client-certificate",
        ),
        (
            "the other half",
            SERVER,
            "client-key: a.pem",
            "users[u].user.client-certificate is missing beside client-key",
        ),
    ];
    for (name, cluster, user, want) in cases {
        assert_eq!(bad(cluster, user), want, "{name}");
    }
}

#[test]
fn what_the_current_context_names_must_be_there() {
    let cases = [
        ("nothing at all", "{}", "current-context is missing"),
        ("an unknown context", "current-context: x", "contexts[x] is missing"),
        (
            "an unknown cluster",
            "{current-context: x, contexts: [{name: x, context: {cluster: c}}]}",
            "clusters[c] is missing",
        ),
        (
            "an unknown user",
            "{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], clusters: [{name: c, cluster: {}}]}",
            "users[u] is missing",
        ),
    ];
    for (name, text, want) in cases {
        let config: Kubeconfig = serde_yaml_ng::from_str(text).unwrap();
        assert_eq!(access(&config, Path::new("/")).map(|_| ()).unwrap_err().to_string(), want, "{name}");
    }
}

/// A value as `field=path` or `field:bytes`.
fn told(value: &Value) -> String {
    match &value.place {
        Place::File(path) => format!("{}={}", value.field, path.display()),
        Place::Inline(bytes) => format!("{}:{}", value.field, String::from_utf8_lossy(bytes.expose_secret())),
    }
}

#[test]
fn values_stand_inline_or_in_files() {
    let cases = [
        (
            "a path is relative to the kubeconfig",
            "tokenFile: token",
            "users[u].user.tokenFile=/etc/kubernetes/token",
        ),
        ("an absolute one is not", "tokenFile: /run/token", "users[u].user.tokenFile=/run/token"),
        ("a token stands inline", "token: abc", "users[u].user.token:abc"),
        ("the file goes first", "token: abc, tokenFile: /t", "users[u].user.tokenFile=/t"),
    ];
    for (name, user, want) in cases {
        let access = read(SERVER, user).unwrap();
        assert_eq!(access.token.as_ref().map(told).as_deref(), Some(want), "{name}");
    }
}

#[test]
fn inline_data_goes_before_a_file() {
    let access =
        read(SERVER, "client-certificate-data: 'YQ==', client-certificate: a.pem, client-key: k.pem")
            .unwrap();
    let (certificate, key) = access.certificate.unwrap();
    assert_eq!(told(&certificate), "users[u].user.client-certificate-data:a");
    assert_eq!(told(&key), "users[u].user.client-key=/etc/kubernetes/k.pem");
}

#[test]
fn the_cluster_is_read_whole() {
    let access = read(
        "server: 'https://lb/clusters/a', certificate-authority: ca.pem, tls-server-name: api, insecure-skip-tls-verify: false",
        "",
    )
    .unwrap();
    assert_eq!(access.server, "https://lb/clusters/a");
    assert_eq!(access.tls_server_name.as_deref(), Some("api"));
    assert_eq!(
        access.authority.as_ref().map(told).unwrap(),
        "clusters[c].cluster.certificate-authority=/etc/kubernetes/ca.pem"
    );
    assert!(!access.insecure);
    assert!(access.certificate.is_none() && access.token.is_none());
}

#[test]
fn secrets_do_not_show_when_printed() {
    let access = read(SERVER, "token: hush").unwrap();
    assert!(!format!("{access:?}").contains("hush"));
}
