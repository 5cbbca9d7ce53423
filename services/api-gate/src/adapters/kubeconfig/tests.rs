//! Kubeconfigs as they are found on nodes, and broken ones.

use super::*;
use chassis::error;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::os::unix::fs::symlink;
use tempfile::TempDir;

/// A folder with `kubelet.conf`, `ca.pem`, `client.pem`, `client.key` and `both.pem`.
fn folder(user: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("ca.pem", &certificate);
    write("client.pem", &certificate);
    write("client.key", &key);
    write("both.pem", &format!("{certificate}{key}"));
    write("no.pem", "nothing");
    write(
        "kubelet.conf",
        &format!(
            "current-context: node\n\
             contexts: [{{name: node, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:6443', certificate-authority: ca.pem}}}}]\n\
             users: [{{name: u, user: {{{user}}}}}]\n"
        ),
    );
    folder
}

fn keys(folder: &TempDir) -> KubeconfigFile {
    KubeconfigFile::new(&folder.path().join("kubelet.conf"))
}

#[test]
fn credentials_of_every_kind_are_read() {
    let cases = [
        (
            "certificate and key in two files",
            "client-certificate: client.pem, client-key: client.key",
            true,
            None,
        ),
        ("both in one, as kubeadm has it", "client-certificate: both.pem, client-key: both.pem", true, None),
        ("a token", "token: ' abc '", false, Some("Bearer abc")),
        ("nobody in particular", "", false, None),
    ];
    for (name, user, has_certificate, authorization) in cases {
        let folder = folder(user);
        let read = keys(&folder).read().map_err(|failure| error::chain(&*failure));
        let Credentials { tls, authorization: header, .. } = read.unwrap();
        assert_eq!(tls.client_auth_cert_resolver.has_certs(), has_certificate, "{name}");
        assert_eq!(header.as_ref().map(|header| header.to_str().unwrap()), authorization, "{name}");
        assert!(header.is_none_or(|header| header.is_sensitive()), "{name}");
    }
}

#[test]
fn what_is_wrong_is_told_with_file_and_field_and_without_secrets() {
    let cases = [
        (
            "a missing file",
            "client-certificate: gone.pem, client-key: client.key",
            "gone.pem (users[u].user.client-certificate)",
        ),
        (
            "no certificate in it",
            "client-certificate: no.pem, client-key: client.key",
            "users[u].user.client-certificate holds no PEM certificate",
        ),
        (
            "no key in it",
            "client-certificate: client.pem, client-key: ca.pem",
            "users[u].user.client-key holds no PEM private key",
        ),
        ("an empty token", "tokenFile: /dev/null", "users[u].user.tokenFile holds no bearer token"),
        ("an endless file", "tokenFile: /dev/zero", "it is larger than 1 MiB"),
        ("a field of the wrong kind", "token: {hush: 1}", "is no kubeconfig: see line 4"),
    ];
    for (name, user, want) in cases {
        let folder = folder(user);
        let failure = keys(&folder).read().map(|_| ()).unwrap_err();
        let told = error::chain(&*failure);
        assert!(told.contains(want) && !told.contains("hush"), "{name}: {told}");
    }
}

#[test]
fn a_kubeconfig_that_is_not_there_is_named() {
    let failure = KubeconfigFile::new(Path::new("/nowhere/kubelet.conf")).read().map(|_| ()).unwrap_err();
    assert!(error::chain(&*failure).starts_with("could not read /nowhere/kubelet.conf: "));
}

#[test]
fn a_change_of_any_file_is_noticed() {
    let folder = folder("client-certificate: current.pem, client-key: current.pem");
    let at = |name: &str| folder.path().join(name);
    symlink("both.pem", at("current.pem")).unwrap();
    let mut keys = keys(&folder);
    keys.read().unwrap();
    assert!(!keys.have_changed());

    fs::write(at("newer.pem"), fs::read(at("both.pem")).unwrap()).unwrap();
    fs::remove_file(at("current.pem")).unwrap();
    assert!(keys.have_changed(), "the link is gone");
    symlink("newer.pem", at("current.pem")).unwrap();
    assert!(keys.have_changed(), "it leads elsewhere, as after the kubelet's rotation");
    keys.read().unwrap();
    assert!(!keys.have_changed());

    fs::write(at("kubelet.conf"), "{}").unwrap();
    assert!(keys.have_changed(), "the kubeconfig itself");
}
