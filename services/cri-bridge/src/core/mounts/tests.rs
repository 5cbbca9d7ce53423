//! Tables for mounts.

use super::*;
use serde_json::{Value, json};

fn container(mounts: Value) -> core::Container {
    let container =
        json!({"name": "app", "terminationMessagePath": "/dev/termination-log", "volumeMounts": mounts});
    serde_json::from_value(container).unwrap()
}

fn volumes() -> Vec<ReadyVolume> {
    let volume = |name: &str, path: Option<&str>, read_only| ReadyVolume {
        name: name.into(),
        host_path: path.map(Into::into),
        read_only,
        selinux_relabel: false,
    };
    vec![
        volume("data", Some("/v/data"), false),
        volume("ro", Some("/v/ro"), true),
        volume("image", None, true),
    ]
}

fn mounted(mounts: Value) -> Result<Vec<Mount>, MountError> {
    let bound = [(0, "/bound".to_owned())].into();
    let at_hand = AtHand {
        volumes: &volumes(),
        bound: &bound,
        supports_rro: true,
        selinux: false,
        hosts: Some(Path::new("/pod/etc-hosts")),
        termination_log: Some(Path::new("/pod/containers/app/0a1b2c3d")),
    };
    of(&container(mounts), at_hand)
}

fn line(mount: &Mount) -> String {
    let flags = [(mount.readonly, " ro"), (mount.recursive_read_only, " rro")];
    let flags: String = flags.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag).collect();
    format!("{}->{}{flags}", mount.host_path, mount.container_path)
}

#[test]
fn volumes_hosts_file_and_termination_log_are_mounted() {
    let hosts = "/pod/etc-hosts->/etc/hosts";
    let log = "/pod/containers/app/0a1b2c3d->/dev/termination-log";
    let cases = [
        ("nothing of its own", json!([]), vec![hosts, log]),
        ("a volume", json!([{"name": "data", "mountPath": "/data"}]), vec!["/v/data->/data", hosts, log]),
        (
            "a relative path is one from the root",
            json!([{"name": "data", "mountPath": "data"}]),
            vec!["/v/data->/data", hosts, log],
        ),
        (
            "read-only by the mount",
            json!([{"name": "data", "mountPath": "/d", "readOnly": true}]),
            vec!["/v/data->/d ro", hosts, log],
        ),
        (
            "read-only by the volume",
            json!([{"name": "ro", "mountPath": "/d"}]),
            vec!["/v/ro->/d ro", hosts, log],
        ),
        (
            "read-only all the way down",
            json!([{"name": "data", "mountPath": "/d", "readOnly": true, "recursiveReadOnly": "Enabled"}]),
            vec!["/v/data->/d ro rro", hosts, log],
        ),
        (
            "a sub-path comes from where it was bound",
            json!([{"name": "data", "mountPath": "/d", "subPath": "a"}]),
            vec!["/bound->/d", hosts, log],
        ),
        (
            "a hosts file of its own",
            json!([{"name": "data", "mountPath": "/etc/hosts"}]),
            vec!["/v/data->/etc/hosts", log],
        ),
    ];
    for (sentence, mounts, want) in cases {
        let got: Vec<_> = mounted(mounts).unwrap().iter().map(line).collect();
        assert_eq!(got, want, "{sentence}");
    }
}

#[test]
fn propagation_is_passed_on() {
    let cases = [
        ("None", MountPropagation::PropagationPrivate),
        ("HostToContainer", MountPropagation::PropagationHostToContainer),
        ("Bidirectional", MountPropagation::PropagationBidirectional),
    ];
    for (mode, want) in cases {
        let mounts = mounted(json!([{"name": "data", "mountPath": "/d", "mountPropagation": mode}])).unwrap();
        assert_eq!(mounts[0].propagation(), want);
    }
}

#[test]
fn what_cannot_be_mounted_is_named() {
    let cases = [
        (
            json!([{"name": "no", "mountPath": "/d"}]),
            "cannot find volume \"no\" to mount into container \"app\"",
        ),
        (
            json!([{"name": "image", "mountPath": "/d"}]),
            "volume \"image\" is of a type that this node does not mount yet",
        ),
        (
            json!([{"name": "data", "mountPath": "/d", "mountPropagation": "Up"}]),
            "invalid MountPropagation mode: \"Up\"",
        ),
        (
            json!([{"name": "data", "mountPath": "/d", "recursiveReadOnly": "Enabled"}]),
            "failed to resolve recursive read-only mode: volume \"data\" requested recursive read-only mode, but it \
             is not read-only",
        ),
        (
            json!([{"name": "data", "mountPath": "/a"}, {"name": "data", "mountPath": "/d", "subPath": "x"}]),
            "subPath of volumeMount \"data\" of container \"app\" is not bound",
        ),
    ];
    for (mounts, want) in cases {
        assert_eq!(mounted(mounts).unwrap_err().to_string(), want);
    }
}

#[test]
fn sub_paths_are_expanded_and_stay_inside() {
    let env = [("POD".to_owned(), "web".to_owned()), ("EMPTY".to_owned(), String::new())].into();
    let paths = |mount: Value| sub_paths(&container(json!([{"name": "x", "mountPath": "/x"}, mount])), &env);
    let mount = |key: &str, path: &str| json!({"name": "data", "mountPath": "/d", key: path});
    let cases = [
        ("none", mount("subPath", ""), Ok(None)),
        ("a plain one is not expanded", mount("subPath", "a/$(POD)"), Ok(Some("a/$(POD)"))),
        ("an expression is", mount("subPathExpr", "a/$(POD)"), Ok(Some("a/web"))),
        ("dots within a name are harmless", mount("subPath", "a/..b"), Ok(Some("a/..b"))),
        ("an absolute path", mount("subPath", "/a"), Err("error SubPath `/a` must not be an absolute path")),
        (
            "a way up",
            mount("subPath", "a/../../b"),
            Err("unable to provision SubPath `a/../../b`: must not contain '..'"),
        ),
        (
            "unset and empty variables",
            mount("subPathExpr", "$(NO)/$(EMPTY)"),
            Err("missing value for EMPTY, NO"),
        ),
    ];
    for (sentence, mount, want) in cases {
        let got = paths(mount).map(|paths| paths.into_iter().next()).map_err(|e| e.to_string());
        let want =
            want.map(|path| path.map(|path| SubPath { mount: 1, path: path.into() })).map_err(str::to_owned);
        assert_eq!(got, want, "{sentence}");
    }
}
