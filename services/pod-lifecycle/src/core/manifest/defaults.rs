//! What the API server would have filled in (`pkg/apis/core/v1/defaults.go`), for pods that it never
//! saw.

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, DownwardAPIVolumeFile, EmptyDirVolumeSource, HTTPGetAction, LifecycleHandler,
    ObjectFieldSelector, Pod, PodSecurityContext, PodSpec, Probe, ResourceRequirements, Volume,
};

/// `0644`, for files of volumes.
const FILE_MODE: i32 = 0o644;

/// Applies all defaults.
pub(super) fn apply(pod: &mut Pod) {
    let spec = pod.spec.get_or_insert_default();
    pod_spec(spec);
    let host_network = spec.host_network == Some(true);
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        self::container(container);
        for port in container.ports.iter_mut().flatten() {
            self::port(port, host_network);
        }
    }
    for volume in spec.volumes.iter_mut().flatten() {
        self::volume(volume);
    }
}

fn pod_spec(spec: &mut PodSpec) {
    set(&mut spec.restart_policy, "Always");
    set(&mut spec.dns_policy, "ClusterFirst");
    set(&mut spec.scheduler_name, "default-scheduler");
    spec.termination_grace_period_seconds.get_or_insert(30);
    spec.enable_service_links.get_or_insert(true);
    spec.security_context.get_or_insert_with(PodSecurityContext::default);
}

fn container(container: &mut Container) {
    let policy = pull_policy(container.image.as_deref().unwrap_or_default());
    set(&mut container.image_pull_policy, policy);
    set(&mut container.termination_message_path, "/dev/termination-log");
    set(&mut container.termination_message_policy, "File");
    if let Some(resources) = &mut container.resources {
        requests(resources);
    }
    let probes =
        [&mut container.startup_probe, &mut container.liveness_probe, &mut container.readiness_probe];
    probes.into_iter().flatten().for_each(probe);
    if let Some(lifecycle) = &mut container.lifecycle {
        [&mut lifecycle.post_start, &mut lifecycle.pre_stop].into_iter().flatten().for_each(hook);
    }
    let sources = container.env.iter_mut().flatten().filter_map(|env| env.value_from.as_mut());
    sources.filter_map(|source| source.field_ref.as_mut()).for_each(field_ref);
}

/// `Always` for `latest`, which is also what an image without tag means; a digest never changes.
fn pull_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or_default();
    let tag = name.split_once(':').map(|(_, tag)| tag);
    let pinned = image.contains('@') || tag.is_some_and(|tag| tag != "latest");
    if pinned { "IfNotPresent" } else { "Always" }
}

/// A limit is a request where there is none.
fn requests(resources: &mut ResourceRequirements) {
    let limits = resources.limits.clone().unwrap_or_default();
    if limits.is_empty() {
        return;
    }
    let requests = resources.requests.get_or_insert_default();
    for (name, limit) in limits {
        requests.entry(name).or_insert(limit);
    }
}

fn port(port: &mut ContainerPort, host_network: bool) {
    set(&mut port.protocol, "TCP");
    if host_network && port.host_port.is_none_or(|port| port == 0) {
        port.host_port = Some(port.container_port);
    }
}

fn probe(probe: &mut Probe) {
    let counts = [
        (&mut probe.timeout_seconds, 1),
        (&mut probe.period_seconds, 10),
        (&mut probe.success_threshold, 1),
        (&mut probe.failure_threshold, 3),
    ];
    for (count, default) in counts {
        if count.is_none_or(|count| count == 0) {
            *count = Some(default);
        }
    }
    if let Some(get) = &mut probe.http_get {
        http_get(get);
    }
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
}

fn hook(hook: &mut LifecycleHandler) {
    if let Some(get) = &mut hook.http_get {
        http_get(get);
    }
}

fn http_get(get: &mut HTTPGetAction) {
    set(&mut get.path, "/");
    set(&mut get.scheme, "HTTP");
}

fn field_ref(field: &mut ObjectFieldSelector) {
    set(&mut field.api_version, "v1");
}

fn volume(volume: &mut Volume) {
    if !super::validate::has_source(volume) {
        volume.empty_dir = Some(EmptyDirVolumeSource::default());
    }
    if let Some(path) = &mut volume.host_path {
        path.type_.get_or_insert_default();
    }
    if let Some(downward) = &mut volume.downward_api {
        downward.default_mode.get_or_insert(FILE_MODE);
        downward.items.iter_mut().flatten().for_each(downward_file);
    }
    if let Some(projected) = &mut volume.projected {
        projected.default_mode.get_or_insert(FILE_MODE);
        let sources =
            projected.sources.iter_mut().flatten().filter_map(|source| source.downward_api.as_mut());
        sources.flat_map(|downward| downward.items.iter_mut().flatten()).for_each(downward_file);
    }
}

fn downward_file(file: &mut DownwardAPIVolumeFile) {
    if let Some(field) = &mut file.field_ref {
        field_ref(field);
    }
}

fn set(field: &mut Option<String>, default: &str) {
    if field.as_deref().is_none_or(str::is_empty) {
        *field = Some(default.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::{PodBuilder, probe as exec_probe};

    #[test]
    fn the_pull_policy_follows_the_tag() {
        let cases = [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.25", "IfNotPresent"),
            ("registry.test:5000/nginx", "Always"),
            ("registry.test:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:0123", "IfNotPresent"),
            ("nginx:latest@sha256:0123", "IfNotPresent"),
        ];
        for (image, policy) in cases {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn a_spec_is_filled_in_as_the_api_server_does() {
        let mut pod = PodBuilder::new()
            .container_with("app", |app| {
                app.image_pull_policy = None;
                app.liveness_probe = exec_probe();
                app.ports = Some(vec![ContainerPort { container_port: 80, ..Default::default() }]);
            })
            .spec(|spec| {
                (spec.restart_policy, spec.termination_grace_period_seconds) = (None, None);
                spec.volumes = Some(vec![Volume { name: "v".into(), ..Default::default() }]);
                spec.host_network = Some(true);
            })
            .build();
        apply(&mut pod);
        let spec = pod.spec.unwrap();
        let app = &spec.containers[0];
        let probe = app.liveness_probe.as_ref().unwrap();
        let port = &app.ports.as_ref().unwrap()[0];
        assert_eq!(spec.restart_policy.as_deref(), Some("Always"));
        assert_eq!(spec.dns_policy.as_deref(), Some("ClusterFirst"));
        assert_eq!(spec.scheduler_name.as_deref(), Some("default-scheduler"));
        assert_eq!(
            (spec.termination_grace_period_seconds, spec.enable_service_links),
            (Some(30), Some(true))
        );
        assert!(spec.security_context.is_some() && spec.volumes.unwrap()[0].empty_dir.is_some());
        assert_eq!(app.termination_message_path.as_deref(), Some("/dev/termination-log"));
        assert_eq!(app.termination_message_policy.as_deref(), Some("File"));
        let counts =
            (probe.timeout_seconds, probe.period_seconds, probe.success_threshold, probe.failure_threshold);
        assert_eq!(counts, (Some(1), Some(10), Some(1), Some(3)));
        assert_eq!((port.protocol.as_deref(), port.host_port), (Some("TCP"), Some(80)));
    }
}
