//! Files, drop-ins and flags together.

use super::*;
use crate::config::{AuthorizationMode, GoDuration};
use std::fs;

const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
const MACHINE: rules::Machine = rules::Machine { cgroup_v2: true };

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, fields: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("{HEAD}{fields}")).unwrap();
        path
    }
}

fn sources() -> Sources {
    Sources { base: Base::StockFlags, file: None, dir: None, flags: json!({}) }
}

fn problem(sources: &Sources) -> String {
    crate::error::chain(&load(sources, MACHINE).unwrap_err())
}

#[test]
fn a_later_layer_wins() {
    let files = Files::new();
    let file = files.write("config.yaml", "maxPods: 1\nclusterDomain: file\nsyncFrequency: 0s");
    files.write("d/20-b.conf", "maxPods: 3");
    files.write("d/10-a.conf", "maxPods: 2\nclusterDomain: drop-in\nfeatureGates: {MemoryQoS: true}");
    files.write("d/90-c.yaml", "maxPods: 4");
    let flags = json!({"clusterDomain": "flag", "featureGates": {"NodeSwap": true}});
    let dir = Some(files.0.path().join("d"));
    let loaded = load(&Sources { file: Some(file), dir, flags, ..sources() }, MACHINE).unwrap();
    assert_eq!(loaded.max_pods, 3, "the last of the .conf files, and only those");
    assert_eq!(loaded.cluster_domain, "flag");
    assert_eq!(loaded.sync_frequency, GoDuration::seconds(60), "zero is not set");
    assert_eq!(loaded.feature_gates.len(), 2, "gates are merged");
}

#[test]
fn without_a_file_the_kubelet_is_open_and_up_is_not() {
    let stock = load(&sources(), MACHINE).unwrap();
    assert!(stock.authentication.anonymous.enabled && stock.read_only_port == 10255);
    assert_eq!(stock.authorization.mode, AuthorizationMode::AlwaysAllow);
    let ours = load(&Sources { base: Base::AnyMachine, ..sources() }, MACHINE).unwrap();
    assert!(!ours.authentication.anonymous.enabled && ours.read_only_port == 0);
    assert_eq!(ours.authorization.mode, AuthorizationMode::Webhook);
}

#[test]
fn relative_paths_of_the_file_start_at_its_folder() {
    let files = Files::new();
    let file = files
        .write("config.yaml", "staticPodPath: manifests\nauthentication: {x509: {clientCAFile: ca.crt}}");
    let loaded = load(&Sources { file: Some(file), ..sources() }, MACHINE).unwrap();
    assert_eq!(loaded.static_pod_path, Some(files.0.path().join("manifests")));
    assert_eq!(loaded.authentication.x509.client_ca_file, Some(files.0.path().join("ca.crt")));
}

#[test]
fn flags_cover_whole_maps_but_not_gates() {
    let files = Files::new();
    let file = files
        .write("config.yaml", "systemReserved: {cpu: 1, memory: 1Gi}".replace("cpu: 1", "cpu: '1'").as_str());
    let flags = json!({"systemReserved": {"cpu": "2"}, "maxPods": 0});
    let loaded = load(&Sources { file: Some(file), flags, ..sources() }, MACHINE).unwrap();
    assert_eq!(loaded.system_reserved.len(), 1);
    assert_eq!(loaded.max_pods, 0, "a flag's zero is a zero");
}

#[test]
fn faults_say_where_they_stand() {
    let files = Files::new();
    let file = files.write("config.yaml", "maxPodz: 1\nport: http");
    let path = file.display().to_string();
    let problem_of = problem(&Sources { file: Some(file), ..sources() });
    assert!(problem_of.contains(&path) && problem_of.contains("maxPodz: unknown field"), "{problem_of}");
    assert!(problem_of.contains("port: invalid type"), "{problem_of}");
    let flags = json!({"maxPods": "many"});
    assert!(problem(&Sources { flags, ..sources() }).contains("maxPods"), "a flag at fault is named");
    let missing = Some(PathBuf::from("/nowhere/config.yaml"));
    assert!(
        problem(&Sources { file: missing, ..sources() }).starts_with("could not read /nowhere/config.yaml")
    );
}
