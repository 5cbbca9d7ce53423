//! The rules of filling as tables.

use super::*;
use crate::core::volume::{Plugin, Token};

fn pod() -> core::Pod {
    serde_json::from_value(serde_json::json!({
        "metadata": { "name": "web", "namespace": "shop" }, "spec": { "containers": [{ "name": "app" }] },
    }))
    .unwrap()
}

fn reference(name: &str) -> Reference {
    Reference { kind: Kind::ConfigMap, namespace: "shop".into(), name: name.into() }
}

fn settings() -> BTreeMap<Reference, Option<Arc<Object>>> {
    let data = [("a", "1"), ("b", "2")].map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()));
    let object = Object { data: data.into(), immutable: false };
    BTreeMap::from([(reference("settings"), Some(Arc::new(object))), (reference("gone"), None)])
}

fn keys(object: &str, optional: bool, items: Option<&[(&str, &str, Option<i32>)]>) -> Part {
    let item = |(key, path, mode): &(&str, &str, Option<i32>)| core::KeyToPath {
        key: (*key).into(),
        path: (*path).into(),
        mode: *mode,
    };
    let items = items.map(|items| items.iter().map(item).collect());
    Part::ConfigMap(Keys { object: object.into(), optional, items })
}

fn filled(parts: Vec<Part>, pod: &core::Pod) -> Result<Vec<(String, String, u32)>, Unfilled> {
    let content = Content { plugin: Plugin::Projected, default_mode: 0o644, parts };
    let tokens = BTreeMap::from([(RelativePath::of_file("token").unwrap(), b"t".to_vec())]);
    let allocatable = Allocatable::new();
    let material = Material { pod, allocatable: &allocatable, objects: &settings(), tokens: &tokens };
    let payload = assemble(&content, &material)?;
    let row = |(path, file): (RelativePath, File)| {
        (path.as_str().to_owned(), String::from_utf8(file.data).unwrap(), file.mode)
    };
    Ok(payload.into_iter().map(row).collect())
}

fn files(rows: &[(&str, &str, u32)]) -> Result<Vec<(String, String, u32)>, Unfilled> {
    Ok(rows.iter().map(|(path, data, mode)| ((*path).into(), (*data).into(), *mode)).collect())
}

#[test]
fn keys_become_files() {
    let missing = || Err(Unfilled::NoObject(reference("gone")));
    let cases = [
        ("all keys", keys("settings", false, None), files(&[("a", "1", 0o644), ("b", "2", 0o644)])),
        (
            "chosen keys, with paths and a mode",
            keys("settings", false, Some(&[("a", "deep/x", Some(0o400))])),
            files(&[("deep/x", "1", 0o400)]),
        ),
        (
            "a key that is not there",
            keys("settings", false, Some(&[("c", "c", None)])),
            Err(Unfilled::NoConfigKey("c".into())),
        ),
        ("the same, optional", keys("settings", true, Some(&[("c", "c", None)])), files(&[])),
        ("an object that is not there", keys("gone", false, None), missing()),
        ("the same, optional", keys("gone", true, None), files(&[])),
        (
            "an object's name that is a path",
            keys("../secrets/x", false, None),
            Err(Unfilled::BadName(Kind::ConfigMap, "../secrets/x".into())),
        ),
        (
            "a file that is a folder, too",
            keys("settings", false, Some(&[("a", "x", None), ("b", "x/y", None)])),
            Err(Unfilled::Conflict("x".into())),
        ),
    ];
    for (name, part, want) in cases {
        assert_eq!(filled(vec![part], &pod()), want, "{name}");
    }
}

#[test]
fn hostile_paths_are_refused() {
    for path in ["../x", "/etc/passwd", "a/../../x", "..data", "", "a\0b"] {
        let part = keys("settings", false, Some(&[("a", path, None)]));
        assert!(matches!(filled(vec![part], &pod()), Err(Unfilled::Path(_))), "{path:?}");
    }
    let data = BTreeMap::from([("../x".to_owned(), vec![])]);
    let all = all_keys(&Object { data, immutable: false }, 0o644);
    assert!(matches!(all, Err(Unfilled::Path(_))), "a key that is a path");
}

#[test]
fn a_later_source_wins() {
    let first = keys("settings", false, Some(&[("a", "x", None)]));
    let second = keys("settings", false, Some(&[("b", "x", None)]));
    assert_eq!(filled(vec![first, second], &pod()), files(&[("x", "2", 0o644)]));
}

#[test]
fn a_token_is_closed_once_it_has_an_owner() {
    let token = || {
        let path = RelativePath::of_file("token").unwrap();
        Part::Token(Token { path, audience: String::new(), lifetime: 3600 })
    };
    assert_eq!(filled(vec![token()], &pod()), files(&[("token", "t", 0o644)]));
    let mut grouped = pod();
    let context = core::PodSecurityContext { fs_group: Some(5), ..Default::default() };
    grouped.spec.as_mut().unwrap().security_context = Some(context);
    assert_eq!(filled(vec![token()], &grouped), files(&[("token", "t", 0o600)]));
}

#[test]
fn the_message_for_a_missing_object_is_the_kubelets() {
    assert_eq!(Unfilled::NoObject(reference("gone")).to_string(), "configmap \"gone\" not found");
}

#[test]
fn nothing_secret_is_printed() {
    let file = File { data: b"hunter2".to_vec(), mode: 0o600, owner: None };
    let object =
        Object { data: BTreeMap::from([("password".into(), b"hunter2".to_vec())]), immutable: false };
    for text in [format!("{file:?}"), format!("{object:?}")] {
        assert!(!text.contains("hunter2") && !text.contains("104"), "{text}");
    }
}
