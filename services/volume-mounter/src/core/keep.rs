//! What this service keeps of a pod: identity, volumes, and what decides their size and owners. Commands,
//! environment and probes are let go at once; they are many, and none of its business.

use k8s_openapi::api::core::v1 as core;

/// A pod without what volumes do not need.
pub fn kept(mut pod: core::Pod) -> core::Pod {
    pod.metadata.managed_fields = None;
    pod.status = None;
    if let Some(spec) = &mut pod.spec {
        for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
            *container = kept_container(container);
        }
        for container in spec.ephemeral_containers.iter_mut().flatten() {
            *container = core::EphemeralContainer {
                name: std::mem::take(&mut container.name),
                volume_mounts: container.volume_mounts.take(),
                security_context: container.security_context.take(),
                ..Default::default()
            };
        }
    }
    pod
}

fn kept_container(container: &mut core::Container) -> core::Container {
    core::Container {
        name: std::mem::take(&mut container.name),
        volume_mounts: container.volume_mounts.take(),
        resources: container.resources.take(),
        restart_policy: container.restart_policy.take(),
        security_context: container.security_context.take(),
        ..Default::default()
    }
}

/// The name of the volume that a container's mount is of.
pub fn mounted_volume<'a>(pod: &'a core::Pod, container: &str, mount: u32) -> Option<&'a str> {
    let spec = pod.spec.as_ref()?;
    let regular = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let regular = regular.map(|container| (&container.name, &container.volume_mounts));
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    let mut all = regular.chain(ephemeral.map(|container| (&container.name, &container.volume_mounts)));
    let (_, mounts) = all.find(|(name, _)| *name == container)?;
    let mount = mounts.as_ref()?.get(usize::try_from(mount).ok()?)?;
    Some(&mount.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> core::Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": { "name": "web" },
            "spec": {
                "containers": [{
                    "name": "app", "env": [{ "name": "PASSWORD", "value": "hunter2" }],
                    "volumeMounts": [{ "name": "a", "mountPath": "/a" }, { "name": "b", "mountPath": "/b" }],
                }],
                "volumes": [{ "name": "a" }, { "name": "b" }],
            },
        }))
        .unwrap()
    }

    #[test]
    fn environment_is_let_go_and_volumes_are_kept() {
        let kept = kept(pod());
        let text = serde_json::to_string(&kept).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(kept.spec.unwrap().volumes.unwrap().len(), 2);
    }

    #[test]
    fn mounts_are_found_by_container_and_index() {
        let pod = pod();
        let cases = [("app", 1, Some("b")), ("app", 2, None), ("other", 0, None)];
        for (container, mount, want) in cases {
            assert_eq!(mounted_volume(&pod, container, mount), want, "{container} {mount}");
        }
    }
}
