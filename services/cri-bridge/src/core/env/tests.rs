//! Tables for the environment.

use super::*;
use crate::core::resources::Amounts;
use serde_json::{Value, json};

fn object(kind: ObjectKind, name: &str, data: &[(&str, &str)]) -> (Object, Fetched) {
    let data = data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    (Object { kind, name: name.to_owned() }, Fetched::Data(data))
}

/// Resolves a container of this `env` and `envFrom` in a world with a few objects.
fn resolved(env: Value, env_from: Value) -> Result<Variables, EnvError> {
    let pod: core::Pod = serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"enableServiceLinks": true, "containers": [{"name": "app", "env": env, "envFrom": env_from}]},
    }))
    .unwrap();
    let container = &pod.spec.as_ref().unwrap().containers[0];
    let allocatable = Amounts::new();
    let sources = Sources {
        objects: [
            object(ObjectKind::ConfigMap, "settings", &[("COLOUR", "blue"), ("SIZE", "5")]),
            object(ObjectKind::Secret, "keys", &[("PASSWORD", "hunter2"), ("COLOUR", "red")]),
            (
                Object { kind: ObjectKind::Secret, name: "locked".into() },
                Fetched::Unreadable { why: "forbidden".into(), passing: false },
            ),
        ]
        .into(),
        files: [
            (VolumeFile { volume: "v".into(), path: "a.env".into() }, FileRead::Text("A='from file'".into())),
            (VolumeFile { volume: "v".into(), path: "gone".into() }, FileRead::Unreadable),
        ]
        .into(),
        services: [("DB_SERVICE_HOST".to_owned(), "10.0.0.7".to_owned())].into(),
        facts: Facts { pod_ips: &[], node_ips: &[], allocatable: &allocatable },
    };
    resolve(&pod, container, &sources)
}

/// The container's own variables as `NAME=value`, without the service's.
fn own(env: Value, env_from: Value) -> Vec<String> {
    let variables = resolved(env, env_from).unwrap();
    let own = variables.iter().filter(|(name, _)| *name != "DB_SERVICE_HOST");
    own.map(|(name, value)| format!("{name}={value}")).collect()
}

#[test]
fn values_come_from_every_source_and_later_ones_win() {
    let cases = [
        ("a literal", json!([{"name": "A", "value": "1"}]), json!([]), vec!["A=1"]),
        ("no value is an empty one", json!([{"name": "A"}]), json!([]), vec!["A="]),
        (
            "a whole configmap, prefixed",
            json!([]),
            json!([{"prefix": "P_", "configMapRef": {"name": "settings"}}]),
            vec!["P_COLOUR=blue", "P_SIZE=5"],
        ),
        (
            "a later envFrom overrides an earlier one, and env overrides both",
            json!([{"name": "SIZE", "value": "6"}]),
            json!([{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}}]),
            vec!["COLOUR=red", "PASSWORD=hunter2", "SIZE=6"],
        ),
        (
            "single keys",
            json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "SIZE"}}},
                   {"name": "B", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "PASSWORD"}}}]),
            json!([]),
            vec!["A=5", "B=hunter2"],
        ),
        (
            "a field of the pod",
            json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]),
            json!([]),
            vec!["A=web"],
        ),
        (
            "a file in a volume",
            json!([{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "a.env", "key": "A"}}}]),
            json!([]),
            vec!["A=from file"],
        ),
        (
            "references see what stands before, services and envFrom, and nothing that follows",
            json!([{"name": "A", "value": "$(SIZE)-$(B)-$(DB_SERVICE_HOST)"}, {"name": "B", "value": "$(A)"}]),
            json!([{"configMapRef": {"name": "settings"}}]),
            vec!["A=5-$(B)-10.0.0.7", "B=5-$(B)-10.0.0.7", "COLOUR=blue", "SIZE=5"],
        ),
        (
            "what is optional and missing is left out",
            json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k", "optional": true}}},
                   {"name": "B", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "none", "optional": true}}}]),
            json!([{"secretRef": {"name": "none", "optional": true}}]),
            vec![],
        ),
    ];
    for (sentence, env, env_from, want) in cases {
        assert_eq!(own(env, env_from), want, "{sentence}");
    }
}

#[test]
fn services_are_told_unless_the_container_says_otherwise() {
    let variables = resolved(json!([{"name": "DB_SERVICE_HOST", "value": "mine"}]), json!([])).unwrap();
    assert_eq!(variables["DB_SERVICE_HOST"], "mine");
    assert_eq!(resolved(json!([]), json!([])).unwrap()["DB_SERVICE_HOST"], "10.0.0.7");
}

#[test]
fn what_is_missing_is_named_as_the_kubelet_names_it() {
    let from = |source: Value| json!([{"name": "A", "valueFrom": source}]);
    let cases = [
        (
            from(json!({"configMapKeyRef": {"name": "none", "key": "k"}})),
            json!([]),
            "configmap \"none\" not found",
        ),
        (json!([]), json!([{"secretRef": {"name": "none"}}]), "secret \"none\" not found"),
        (
            from(json!({"configMapKeyRef": {"name": "settings", "key": "k"}})),
            json!([]),
            "couldn't find key k in ConfigMap shop/settings",
        ),
        (
            from(json!({"secretKeyRef": {"name": "keys", "key": "k"}})),
            json!([]),
            "couldn't find key k in Secret shop/keys",
        ),
        (
            from(json!({"secretKeyRef": {"name": "locked", "key": "k", "optional": true}})),
            json!([]),
            "secret \"locked\": forbidden",
        ),
        (
            from(json!({"fileKeyRef": {"volumeName": "w", "path": "a", "key": "A"}})),
            json!([]),
            "cannot find the volume \"w\" referenced by FileKeyRef",
        ),
        (
            from(json!({"fileKeyRef": {"volumeName": "v", "path": "gone", "key": "A", "optional": true}})),
            json!([]),
            "couldn't parse env file",
        ),
        (
            from(json!({"fileKeyRef": {"volumeName": "v", "path": "a.env", "key": "B"}})),
            json!([]),
            "environment variable key \"B\" not found in file \"a.env\"",
        ),
    ];
    for (env, env_from, want) in cases {
        assert_eq!(resolved(env, env_from).unwrap_err().to_string(), want);
    }
}

#[test]
fn a_container_tells_what_it_needs() {
    let container: core::Container = serde_json::from_value(json!({
        "name": "app",
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "env": [
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}},
            {"name": "B", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "p", "key": "k"}}},
            {"name": "C", "value": "literal"},
        ],
    }))
    .unwrap();
    let needs = needs(&container);
    let names: Vec<_> = needs.objects.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["configmap \"settings\"", "secret \"keys\""]);
    assert_eq!(needs.files.len(), 1);
}

#[test]
fn without_service_links_decided_there_is_no_environment() {
    let pod = core::Pod { spec: Some(core::PodSpec::default()), ..core::Pod::default() };
    let allocatable = Amounts::new();
    let sources = Sources {
        objects: BTreeMap::new(),
        files: BTreeMap::new(),
        services: Variables::new(),
        facts: Facts { pod_ips: &[], node_ips: &[], allocatable: &allocatable },
    };
    assert_eq!(resolve(&pod, &core::Container::default(), &sources), Err(EnvError::NoServiceLinks));
}
