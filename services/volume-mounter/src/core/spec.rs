//! Reads volumes from a pod's spec.
//!
//! Only volumes that a container mounts are made, as the kubelet does. What is not made yet
//! (claims, CSI, nfs, iscsi, fc, …) is told per volume, so that the pod says why it waits.

use super::{
    path::{BadPath, RelativePath, VolumeName},
    volume::{
        Content, DownwardFile, EmptyDir, HostPathType, Keys, Part, Plugin, Source, Token, Volume, file_mode,
    },
};
use k8s_openapi::api::core::v1 as core;
use std::collections::BTreeSet;

/// `defaultMode` where the API server did not fill it in.
const DEFAULT_MODE: u32 = 0o644;
/// `expirationSeconds` where the API server did not fill it in.
const DEFAULT_LIFETIME: i64 = 3600;

/// A spec that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadVolume {
    /// The name is none.
    #[error("spec.volumes has a bad name")]
    Name(#[source] BadPath),
    /// A path in it is none.
    #[error("volume {0} has a bad path")]
    Path(VolumeName, #[source] BadPath),
    /// Its type is unknown.
    #[error("volume {0} has an unknown host path type {1:?}")]
    HostPathType(VolumeName, String),
    /// Its medium is unknown.
    #[error("volume {0} has an unknown medium {1:?}")]
    Medium(VolumeName, String),
}

/// The volumes of a pod that some container mounts.
///
/// # Errors
/// When one of them can't be read; nothing of the pod is made then.
pub fn of_pod(pod: &core::Pod) -> Result<Vec<Volume>, BadVolume> {
    let Some(spec) = &pod.spec else { return Ok(vec![]) };
    let used = mounted_names(spec);
    let volumes = spec.volumes.iter().flatten().filter(|volume| used.contains(volume.name.as_str()));
    volumes.map(read).collect()
}

fn mounted_names(spec: &core::PodSpec) -> BTreeSet<&str> {
    let regular = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let mounts = regular.flat_map(|container| container.volume_mounts.iter().flatten());
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    let more = ephemeral.flat_map(|container| container.volume_mounts.iter().flatten());
    mounts.chain(more).map(|mount| mount.name.as_str()).collect()
}

fn read(volume: &core::Volume) -> Result<Volume, BadVolume> {
    let name = VolumeName::parse(&volume.name).map_err(BadVolume::Name)?;
    let source = source(&name, volume)?;
    Ok(Volume { name, source })
}

fn source(name: &VolumeName, volume: &core::Volume) -> Result<Source, BadVolume> {
    if let Some(host) = &volume.host_path {
        let path = checked_host_path(&host.path).map_err(|bad| BadVolume::Path(name.clone(), bad))?;
        return Ok(Source::HostPath { path, kind: host_path_type(name, host.type_.as_deref())? });
    }
    if let Some(content) = content(name, volume)? {
        return Ok(Source::Content(content));
    }
    if volume.image.is_some() {
        return Ok(Source::Image);
    }
    match unsupported(volume) {
        Some(what) => Ok(Source::Unsupported { what }),
        None => empty_dir(name, volume.empty_dir.as_ref()).map(Source::EmptyDir),
    }
}

fn checked_host_path(path: &str) -> Result<String, BadPath> {
    if !path.starts_with('/') {
        return Err(BadPath::new(path, "a host path must be absolute"));
    }
    let below = RelativePath::below(path.trim_start_matches('/'))?;
    Ok(format!("/{}", below.as_str()))
}

fn host_path_type(name: &VolumeName, given: Option<&str>) -> Result<HostPathType, BadVolume> {
    Ok(match given.unwrap_or_default() {
        "" => HostPathType::Any,
        "DirectoryOrCreate" => HostPathType::DirectoryOrCreate,
        "Directory" => HostPathType::Directory,
        "FileOrCreate" => HostPathType::FileOrCreate,
        "File" => HostPathType::File,
        "Socket" => HostPathType::Socket,
        "CharDevice" => HostPathType::CharDevice,
        "BlockDevice" => HostPathType::BlockDevice,
        other => return Err(BadVolume::HostPathType(name.clone(), other.to_owned())),
    })
}

fn empty_dir(name: &VolumeName, given: Option<&core::EmptyDirVolumeSource>) -> Result<EmptyDir, BadVolume> {
    let medium = given.and_then(|dir| dir.medium.as_deref()).unwrap_or_default();
    Ok(match medium {
        "" => EmptyDir::Disk,
        "Memory" => EmptyDir::Memory { limit: given.and_then(|dir| dir.size_limit.clone()) },
        "HugePages" => EmptyDir::HugePages { page: None },
        other => match other.strip_prefix("HugePages-") {
            Some(page) => EmptyDir::HugePages { page: Some(page.to_owned()) },
            None => return Err(BadVolume::Medium(name.clone(), other.to_owned())),
        },
    })
}

/// The first field of a volume that this service can't make.
fn unsupported(volume: &core::Volume) -> Option<&'static str> {
    let fields = [
        ("persistentVolumeClaim", volume.persistent_volume_claim.is_some()),
        ("ephemeral", volume.ephemeral.is_some()),
        ("csi", volume.csi.is_some()),
        ("nfs", volume.nfs.is_some()),
        ("iscsi", volume.iscsi.is_some()),
        ("fc", volume.fc.is_some()),
        ("flexVolume", volume.flex_volume.is_some()),
        ("gitRepo", volume.git_repo.is_some()),
        ("cephfs", volume.cephfs.is_some()),
        ("rbd", volume.rbd.is_some()),
        ("glusterfs", volume.glusterfs.is_some()),
        ("cinder", volume.cinder.is_some()),
        ("azureDisk", volume.azure_disk.is_some()),
        ("azureFile", volume.azure_file.is_some()),
        ("awsElasticBlockStore", volume.aws_elastic_block_store.is_some()),
        ("gcePersistentDisk", volume.gce_persistent_disk.is_some()),
        ("vsphereVolume", volume.vsphere_volume.is_some()),
        ("flocker", volume.flocker.is_some()),
        ("photonPersistentDisk", volume.photon_persistent_disk.is_some()),
        ("portworxVolume", volume.portworx_volume.is_some()),
        ("quobyte", volume.quobyte.is_some()),
        ("scaleIO", volume.scale_io.is_some()),
        ("storageos", volume.storageos.is_some()),
    ];
    fields.into_iter().find_map(|(what, is_given)| is_given.then_some(what))
}

fn content(name: &VolumeName, volume: &core::Volume) -> Result<Option<Content>, BadVolume> {
    let one = |plugin, mode: Option<i32>, part| Content {
        plugin,
        default_mode: mode.map_or(DEFAULT_MODE, file_mode),
        parts: vec![part],
    };
    Ok(if let Some(map) = &volume.config_map {
        let keys = keys(&map.name, map.optional, map.items.as_ref());
        Some(one(Plugin::ConfigMap, map.default_mode, Part::ConfigMap(keys)))
    } else if let Some(secret) = &volume.secret {
        let object = secret.secret_name.as_deref().unwrap_or_default();
        let keys = keys(object, secret.optional, secret.items.as_ref());
        Some(one(Plugin::Secret, secret.default_mode, Part::Secret(keys)))
    } else if let Some(downward) = &volume.downward_api {
        let files = downward_files(name, downward.items.as_deref())?;
        Some(one(Plugin::DownwardApi, downward.default_mode, Part::DownwardApi(files)))
    } else if let Some(projected) = &volume.projected {
        let parts = projected.sources.iter().flatten().map(|source| projection(name, source));
        let default_mode = projected.default_mode.map_or(DEFAULT_MODE, file_mode);
        Some(Content { plugin: Plugin::Projected, default_mode, parts: parts.collect::<Result<_, _>>()? })
    } else {
        None
    })
}

fn projection(name: &VolumeName, source: &core::VolumeProjection) -> Result<Part, BadVolume> {
    Ok(if let Some(map) = &source.config_map {
        Part::ConfigMap(keys(&map.name, map.optional, map.items.as_ref()))
    } else if let Some(secret) = &source.secret {
        Part::Secret(keys(&secret.name, secret.optional, secret.items.as_ref()))
    } else if let Some(downward) = &source.downward_api {
        Part::DownwardApi(downward_files(name, downward.items.as_deref())?)
    } else if let Some(token) = &source.service_account_token {
        Part::Token(Token {
            path: file_path(name, &token.path)?,
            audience: token.audience.clone().unwrap_or_default(),
            lifetime: token.expiration_seconds.unwrap_or(DEFAULT_LIFETIME),
        })
    } else if source.cluster_trust_bundle.is_some() {
        Part::Unsupported { what: "clusterTrustBundle" }
    } else if source.pod_certificate.is_some() {
        Part::Unsupported { what: "podCertificate" }
    } else {
        Part::Unsupported { what: "an empty source" }
    })
}

fn keys(object: &str, optional: Option<bool>, items: Option<&Vec<core::KeyToPath>>) -> Keys {
    let items = items.filter(|items| !items.is_empty()).cloned();
    Keys { object: object.to_owned(), optional: optional.unwrap_or(false), items }
}

fn downward_files(
    name: &VolumeName,
    items: Option<&[core::DownwardAPIVolumeFile]>,
) -> Result<Vec<DownwardFile>, BadVolume> {
    let file = |item: &core::DownwardAPIVolumeFile| {
        Ok(DownwardFile {
            path: file_path(name, &item.path)?,
            mode: item.mode.map(file_mode),
            field: item.field_ref.as_ref().map(|field| field.field_path.clone()),
            resource: item.resource_field_ref.clone(),
        })
    };
    items.unwrap_or_default().iter().map(file).collect()
}

fn file_path(name: &VolumeName, text: &str) -> Result<RelativePath, BadVolume> {
    RelativePath::of_file(text).map_err(|bad| BadVolume::Path(name.clone(), bad))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

    fn pod(volumes: serde_json::Value) -> core::Pod {
        let names: Vec<_> = volumes.as_array().unwrap().iter().map(|volume| volume["name"].clone()).collect();
        let mounts: Vec<_> =
            names.iter().map(|name| serde_json::json!({ "name": name, "mountPath": "/m" })).collect();
        let containers = [serde_json::json!({ "name": "app", "volumeMounts": mounts })];
        let pod =
            serde_json::json!({ "metadata": {}, "spec": { "containers": containers, "volumes": volumes } });
        serde_json::from_value(pod).unwrap()
    }

    fn only(volume: serde_json::Value) -> Result<Source, BadVolume> {
        let mut volumes = of_pod(&pod(serde_json::json!([volume])))?;
        Ok(volumes.pop().unwrap().source)
    }

    #[test]
    fn each_kind_of_volume_is_read() {
        let cases = [
            ("nothing given is an emptyDir", r#"{"name":"v"}"#, Source::EmptyDir(EmptyDir::Disk)),
            (
                "memory",
                r#"{"name":"v","emptyDir":{"medium":"Memory","sizeLimit":"1Mi"}}"#,
                Source::EmptyDir(EmptyDir::Memory { limit: Some(Quantity("1Mi".into())) }),
            ),
            (
                "huge pages of a size",
                r#"{"name":"v","emptyDir":{"medium":"HugePages-2Mi"}}"#,
                Source::EmptyDir(EmptyDir::HugePages { page: Some("2Mi".into()) }),
            ),
            (
                "a host path",
                r#"{"name":"v","hostPath":{"path":"/var//log/","type":"Directory"}}"#,
                Source::HostPath { path: "/var/log".into(), kind: HostPathType::Directory },
            ),
            ("an image", r#"{"name":"v","image":{"reference":"x"}}"#, Source::Image),
            (
                "a claim",
                r#"{"name":"v","persistentVolumeClaim":{"claimName":"c"}}"#,
                Source::Unsupported { what: "persistentVolumeClaim" },
            ),
            ("nfs", r#"{"name":"v","nfs":{"path":"/","server":"s"}}"#, Source::Unsupported { what: "nfs" }),
        ];
        for (name, json, want) in cases {
            assert_eq!(only(serde_json::from_str(json).unwrap()), Ok(want), "{name}");
        }
    }

    #[test]
    fn hostile_specs_are_refused() {
        let cases = [
            ("a name that leads upwards", r#"{"name":"../../etc","emptyDir":{}}"#),
            ("a name that is a path", r#"{"name":"a/b","emptyDir":{}}"#),
            ("a host path that leads upwards", r#"{"name":"v","hostPath":{"path":"/var/../etc"}}"#),
            ("a host path from nowhere", r#"{"name":"v","hostPath":{"path":"etc"}}"#),
            ("a host path type of its own", r#"{"name":"v","hostPath":{"path":"/","type":"Pipe"}}"#),
            ("a medium of its own", r#"{"name":"v","emptyDir":{"medium":"Tape"}}"#),
            (
                "a downward file that leads upwards",
                r#"{"name":"v","downwardAPI":{"items":[{"path":"../x","fieldRef":{"fieldPath":"metadata.name"}}]}}"#,
            ),
            (
                "a token that leads upwards",
                r#"{"name":"v","projected":{"sources":[{"serviceAccountToken":{"path":"/x"}}]}}"#,
            ),
        ];
        for (name, json) in cases {
            assert!(only(serde_json::from_str(json).unwrap()).is_err(), "{name}");
        }
    }

    #[test]
    fn volumes_that_nobody_mounts_are_not_made() {
        let mut pod = pod(serde_json::json!([{ "name": "a" }, { "name": "b" }]));
        let container = &mut pod.spec.as_mut().unwrap().containers[0];
        container.volume_mounts.as_mut().unwrap().remove(0);
        let names: Vec<_> = of_pod(&pod).unwrap().iter().map(|volume| volume.name.to_string()).collect();
        assert_eq!(names, ["b"]);
    }

    #[test]
    fn the_standard_token_volume_is_read_in_order() {
        let json = r#"{"name":"kube-api-access-x","projected":{"defaultMode":420,"sources":[
            {"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},
            {"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}},
            {"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"fieldPath":"metadata.namespace"}}]}}]}}"#;
        let Ok(Source::Content(content)) = only(serde_json::from_str(json).unwrap()) else {
            panic!("not content")
        };
        assert_eq!((content.plugin, content.default_mode), (Plugin::Projected, 0o644));
        let [Part::Token(token), Part::ConfigMap(keys), Part::DownwardApi(files)] = &content.parts[..] else {
            panic!("{:?}", content.parts)
        };
        assert_eq!((token.lifetime, token.audience.as_str(), token.path.as_str()), (3607, "", "token"));
        assert_eq!((keys.object.as_str(), keys.optional), ("kube-root-ca.crt", false));
        assert_eq!(files[0].field.as_deref(), Some("metadata.namespace"));
    }
}
