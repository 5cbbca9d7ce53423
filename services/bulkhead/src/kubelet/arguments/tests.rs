//! Command lines as suites and unit files pass them.

use super::*;
use serde_json::json;

fn parse(line: &str) -> Result<Arguments, String> {
    let words = line.split_whitespace().map(str::to_owned).map(with_dashes);
    let matches = command("kubelet").try_get_matches_from(words).map_err(|wrong| wrong.to_string())?;
    read(&matches).map_err(|wrong| wrong.to_string())
}

#[test]
fn flags_become_fields() {
    let cases = [
        ("a value after a space", "--max-pods 5", json!({"maxPods": 5})),
        ("a value after a sign", "--max-pods=5", json!({"maxPods": 5})),
        ("a negative value", "--oom-score-adj -5", json!({"oomScoreAdj": -5})),
        ("a flag alone is true", "--register-node", json!({"registerNode": true})),
        ("or what it says", "--register-node=false", json!({"registerNode": false})),
        ("underscores", "--cgroup_driver=systemd", json!({"cgroupDriver": "systemd"})),
        ("a field inside", "--authorization-mode=Webhook", json!({"authorization": {"mode": "Webhook"}})),
        ("-v with a space", "-v 4", json!({"logging": {"verbosity": 4}})),
        ("-v with a sign", "-v=4", json!({"logging": {"verbosity": 4}})),
        ("--v", "--v=4", json!({"logging": {"verbosity": 4}})),
        ("the last one counts", "--max-pods 5 --max-pods 6", json!({"maxPods": 6})),
        (
            "two fields of one structure",
            "--anonymous-auth=false --client-ca-file /ca",
            json!({"authentication": {"anonymous": {"enabled": false}, "x509": {"clientCAFile": "/ca"}}}),
        ),
    ];
    for (name, line, fields) in cases {
        assert_eq!(parse(line).unwrap().fields, fields, "{name}");
    }
}

#[test]
fn what_is_said_of_the_node_is_kept_apart() {
    let line = "--kubeconfig /k --root-dir /r --hostname-override n1 --node-ip 10.0.0.1 \
                --node-labels a=b,c=d --lock-file /l --exit-on-lock-contention";
    let arguments = parse(line).unwrap();
    assert_eq!(arguments.fields, json!({}));
    let expected = NodeArguments {
        kubeconfig: Some("/k".into()),
        root_dir: Some("/r".into()),
        hostname_override: Some("n1".into()),
        node_ip: Some("10.0.0.1".into()),
        node_labels: [("a", "b"), ("c", "d")].map(|(key, value)| (key.into(), value.into())).into(),
        lock_file: Some("/l".into()),
        exit_on_lock_contention: true,
        ..NodeArguments::default()
    };
    assert_eq!(arguments.node, expected);
}

#[test]
fn flags_without_effect_are_named() {
    let arguments = parse("--containerd /x --streaming-connection-idle-timeout 4h").unwrap();
    let names: Vec<&str> = arguments.idle.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["containerd", "streaming-connection-idle-timeout"]);
    assert_eq!(arguments.fields, json!({"streamingConnectionIdleTimeout": "4h"}));
}

#[test]
fn what_the_stock_kubelet_refuses_is_refused_by_name() {
    let cases = [
        ("an unknown flag", "--network-plugin=cni", "--network-plugin"),
        ("a word that is no flag", "now", "now"),
        ("a flag without its value", "--max-pods", "--max-pods"),
        ("a value of another kind", "--max-pods=many", "invalid value for --max-pods"),
    ];
    for (name, line, named) in cases {
        let told = parse(line).err().unwrap_or_default();
        assert!(told.contains(named), "{name}: {told}");
    }
}

#[test]
fn a_stock_unit_file_is_understood() {
    let kubeadm = "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
                   --kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml \
                   --container-runtime-endpoint=unix:///var/run/containerd/containerd.sock";
    assert_eq!(parse(kubeadm).unwrap().node.config, Some("/var/lib/kubelet/config.yaml".into()));
    let e2e_node = "--kubeconfig /k --root-dir /var/lib/kubelet --v 4 --feature-gates AllAlpha=false,AllBeta=true \
                    --config-dir /d --hostname-override h --container-runtime-endpoint unix:///r.sock \
                    --image-service-endpoint unix:///r.sock --config /c";
    assert_eq!(parse(e2e_node).unwrap().fields["featureGates"], json!({"AllAlpha": false, "AllBeta": true}));
}
