//! Volumes, their paths, and that what is mounted exists.

use super::{Refusal, hold, names, one_of, refuse};
use k8s_openapi::api::core::v1::{Container, PodSpec, Volume, VolumeMount};
use std::collections::BTreeSet;

const HOST_PATH_TYPES: [&str; 8] =
    ["", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"];

/// Whether a volume names what it is.
pub(in crate::core::manifest) fn has_source(volume: &Volume) -> bool {
    sources(volume) > 0
}

/// How many kinds of source it names.
fn sources(volume: &Volume) -> usize {
    let fields = serde_json::to_value(volume).ok();
    fields.as_ref().and_then(|fields| fields.as_object()).map_or(0, |fields| fields.len().saturating_sub(1))
}

pub(super) fn check(spec: &PodSpec) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for (index, volume) in spec.volumes.iter().flatten().enumerate() {
        let at = format!("spec.volumes[{index}]");
        names::label(&volume.name, format!("{at}.name"))?;
        hold(seen.insert(&volume.name), format!("{at}.name"), "another volume has this name")?;
        hold(sources(volume) == 1, &at, "names more than one kind of source")?;
        source(volume, &at)?;
    }
    Ok(())
}

fn source(volume: &Volume, at: &str) -> Result<(), Refusal> {
    if let Some(host) = &volume.host_path {
        let field = format!("{at}.hostPath.path");
        hold(!host.path.is_empty(), &field, "must not be empty")?;
        hold(!climbs(&host.path), &field, "must not contain '..'")?;
        one_of(host.type_.as_deref(), &HOST_PATH_TYPES, format!("{at}.hostPath.type"))?;
    }
    if let Some(limit) = volume.empty_dir.as_ref().and_then(|dir| dir.size_limit.as_ref()) {
        super::amounts::amount(&limit.0, format!("{at}.emptyDir.sizeLimit"))?;
    }
    let projected = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    let projected =
        projected.filter_map(|source| source.downward_api.as_ref()).flat_map(|it| it.items.iter());
    let items = volume.downward_api.iter().flat_map(|downward| downward.items.iter());
    for item in items.chain(projected).flatten() {
        relative(&item.path, format!("{at}.items.path"))?;
    }
    Ok(())
}

/// The mounts of one container.
pub(super) fn mounts(container: &Container, spec: &PodSpec, at: &str) -> Result<(), Refusal> {
    let mut paths = BTreeSet::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let at = format!("{at}.volumeMounts[{index}]");
        self::mount(mount, container, &at)?;
        exists(&mount.name, spec, &format!("{at}.name"))?;
        hold(paths.insert(&mount.mount_path), format!("{at}.mountPath"), "is mounted twice")?;
    }
    for (index, device) in container.volume_devices.iter().flatten().enumerate() {
        exists(&device.name, spec, &format!("{at}.volumeDevices[{index}].name"))?;
    }
    Ok(())
}

fn mount(mount: &VolumeMount, container: &Container, at: &str) -> Result<(), Refusal> {
    let path = format!("{at}.mountPath");
    hold(!mount.mount_path.is_empty(), &path, "must not be empty")?;
    hold(!mount.mount_path.contains(':'), &path, "must not contain ':'")?;
    let sub_path = mount.sub_path.as_deref().filter(|path| !path.is_empty());
    let expression = mount.sub_path_expr.as_deref().filter(|path| !path.is_empty());
    sub_path.map_or(Ok(()), |path| relative(path, format!("{at}.subPath")))?;
    expression.map_or(Ok(()), |path| relative(path, format!("{at}.subPathExpr")))?;
    let both = sub_path.is_some() && expression.is_some();
    hold(!both, format!("{at}.subPathExpr"), "cannot be used beside subPath")?;
    propagation(mount, container, at)
}

fn propagation(mount: &VolumeMount, container: &Container, at: &str) -> Result<(), Refusal> {
    let field = format!("{at}.mountPropagation");
    let kind = mount.mount_propagation.as_deref();
    one_of(kind, &["None", "HostToContainer", "Bidirectional"], &field)?;
    let privileged = container.security_context.as_ref().and_then(|context| context.privileged) == Some(true);
    hold(kind != Some("Bidirectional") || privileged, &field, "Bidirectional needs a privileged container")?;
    let recursive = mount.recursive_read_only.as_deref();
    one_of(recursive, &["Disabled", "IfPossible", "Enabled"], format!("{at}.recursiveReadOnly"))?;
    let wanted = matches!(recursive, Some("IfPossible" | "Enabled"));
    let read_only = mount.read_only == Some(true);
    hold(!wanted || read_only, format!("{at}.recursiveReadOnly"), "needs readOnly")
}

fn exists(name: &str, spec: &PodSpec, field: &str) -> Result<(), Refusal> {
    let known = spec.volumes.iter().flatten().any(|volume| volume.name == name);
    if known { Ok(()) } else { refuse(field, format!("there is no volume {name:.80?}")) }
}

/// A path that stays below where it begins.
fn relative(path: &str, field: String) -> Result<(), Refusal> {
    let below = !path.is_empty() && !path.starts_with('/') && !climbs(path);
    hold(below, field, "must be a relative path without '..'")
}

fn climbs(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::super::tests::refused;
    use serde_json::{Value, json};

    fn mounted(mount: Value) -> Value {
        json!({
            "volumes": [{"name": "data", "emptyDir": {}}],
            "containers": [{"name": "app", "image": "i", "volumeMounts": [mount]}],
        })
    }

    #[test]
    fn volumes_have_one_source_and_stay_where_they_are() {
        let volumes = |list: Value| json!({ "volumes": list });
        let cases = [
            (
                "the same name twice",
                json!([{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]),
                "spec.volumes[1].name",
            ),
            ("a path as a name", json!([{"name": "../a", "emptyDir": {}}]), "spec.volumes[0].name"),
            (
                "two sources",
                json!([{"name": "a", "emptyDir": {}, "hostPath": {"path": "/"}}]),
                "spec.volumes[0]",
            ),
            (
                "no host path",
                json!([{"name": "a", "hostPath": {"path": ""}}]),
                "spec.volumes[0].hostPath.path",
            ),
            (
                "a climbing host path",
                json!([{"name": "a", "hostPath": {"path": "/a/../b"}}]),
                "spec.volumes[0].hostPath.path",
            ),
            (
                "an unknown type",
                json!([{"name": "a", "hostPath": {"path": "/", "type": "Pipe"}}]),
                "spec.volumes[0].hostPath.type",
            ),
            (
                "a climbing item",
                json!([{"name": "a", "downwardAPI": {"items": [{"path": "../x"}]}}]),
                "spec.volumes[0].items.path",
            ),
            (
                "a size that is none",
                json!([{"name": "a", "emptyDir": {"sizeLimit": "big"}}]),
                "spec.volumes[0].emptyDir.sizeLimit",
            ),
        ];
        for (sentence, list, field) in cases {
            assert_eq!(refused(volumes(list)), field, "{sentence}");
        }
    }

    #[test]
    fn mounts_name_volumes_that_exist_and_do_not_climb() {
        let at = |rest: &str| format!("spec.containers[0].volumeMounts[0].{rest}");
        let cases = [
            ("fine", json!({"name": "data", "mountPath": "/d", "subPath": "a/b"}), String::new()),
            ("an unknown volume", json!({"name": "other", "mountPath": "/d"}), at("name")),
            ("no path", json!({"name": "data", "mountPath": ""}), at("mountPath")),
            ("a colon", json!({"name": "data", "mountPath": "/a:b"}), at("mountPath")),
            (
                "a climbing subPath",
                json!({"name": "data", "mountPath": "/d", "subPath": "../x"}),
                at("subPath"),
            ),
            (
                "an absolute subPath",
                json!({"name": "data", "mountPath": "/d", "subPath": "/x"}),
                at("subPath"),
            ),
            (
                "a climbing expression",
                json!({"name": "data", "mountPath": "/d", "subPathExpr": "$(A)/.."}),
                at("subPathExpr"),
            ),
            (
                "Bidirectional without privilege",
                json!({"name": "data", "mountPath": "/d", "mountPropagation": "Bidirectional"}),
                at("mountPropagation"),
            ),
            (
                "recursive but writable",
                json!({"name": "data", "mountPath": "/d", "recursiveReadOnly": "Enabled"}),
                at("recursiveReadOnly"),
            ),
        ];
        for (sentence, mount, field) in cases {
            assert_eq!(refused(mounted(mount)), field, "{sentence}");
        }
    }
}
