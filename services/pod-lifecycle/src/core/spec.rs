//! A pod's spec as the rules want to look at it: one row of containers, each with its kind.

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, Container, EphemeralContainer, Pod, PodSpec, Probe, Volume, VolumeProjection,
};
use messages::{pod_lifecycle::ContainerKind, prober::ProbeKind};
use std::{borrow::Cow, sync::LazyLock};

/// Annotation with the source of a pod: `file`, `http` or `api`.
pub const CONFIG_SOURCE: &str = "kubernetes.io/config.source";
/// Annotation with the hash of a static pod; equals its UID unless its manifest names one.
pub const CONFIG_HASH: &str = "kubernetes.io/config.hash";
/// Annotation with the time at which the node first saw the pod.
pub const CONFIG_SEEN: &str = "kubernetes.io/config.seen";
/// Annotation that marks a mirror pod; holds the static pod's hash.
pub const CONFIG_MIRROR: &str = "kubernetes.io/config.mirror";

/// The ConfigMap that the control plane itself puts into every namespace (`kube-controller-manager`'s root CA
/// publisher).
const ROOT_CA: &str = "kube-root-ca.crt";

/// Grace for a pod whose spec names none, as the API server defaults it.
pub const DEFAULT_GRACE_SECONDS: i64 = 30;

/// One container of a spec.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// Which list it stands in.
    pub kind: ContainerKind,
    /// The container. Owned for ephemeral ones, whose type differs in the API.
    pub container: Cow<'a, Container>,
}

impl Part<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.container.name
    }

    /// Its image, as the spec writes it.
    pub fn image(&self) -> &str {
        self.container.image.as_deref().unwrap_or_default()
    }

    /// Its probe of this kind. Only containers that keep running are probed.
    pub fn probe(&self, kind: ProbeKind) -> Option<&Probe> {
        if !matches!(self.kind, ContainerKind::Regular | ContainerKind::Sidecar) {
            return None;
        }
        match kind {
            ProbeKind::Startup => self.container.startup_probe.as_ref(),
            ProbeKind::Liveness => self.container.liveness_probe.as_ref(),
            ProbeKind::Readiness => self.container.readiness_probe.as_ref(),
        }
    }

    /// Whether its start waits for a hook.
    pub fn has_post_start(&self) -> bool {
        self.container.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.post_start.is_some())
    }
}

/// Init containers and sidecars, in the spec's order.
pub fn init_parts(spec: &PodSpec) -> Vec<Part<'_>> {
    let containers = spec.init_containers.iter().flatten();
    containers
        .map(|container| Part { kind: init_kind(container), container: Cow::Borrowed(container) })
        .collect()
}

/// Regular containers, in the spec's order.
pub fn regular_parts(spec: &PodSpec) -> Vec<Part<'_>> {
    let part = |container| Part { kind: ContainerKind::Regular, container: Cow::Borrowed(container) };
    spec.containers.iter().map(part).collect()
}

/// Ephemeral containers, in the spec's order.
pub fn ephemeral_parts(spec: &PodSpec) -> Vec<Part<'_>> {
    let containers = spec.ephemeral_containers.iter().flatten();
    let part = |container| Part { kind: ContainerKind::Ephemeral, container: Cow::Owned(plain(container)) };
    containers.map(part).collect()
}

/// All of them: init, regular, ephemeral.
pub fn parts(spec: &PodSpec) -> Vec<Part<'_>> {
    let mut all = init_parts(spec);
    all.extend(regular_parts(spec));
    all.extend(ephemeral_parts(spec));
    all
}

/// The pod's spec; an empty one where there is none, as for orphans.
pub fn of(pod: &Pod) -> &PodSpec {
    static EMPTY: LazyLock<PodSpec> = LazyLock::new(PodSpec::default);
    pod.spec.as_ref().unwrap_or(&EMPTY)
}

/// Whether an init container keeps running beside the others (KEP 753).
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Whether the pod shares the node's network.
pub fn is_host_network(spec: &PodSpec) -> bool {
    spec.host_network == Some(true)
}

/// Seconds between SIGTERM and SIGKILL when the pod is stopped; at least one.
pub fn grace_seconds(pod: &Pod) -> u64 {
    let asked = pod.metadata.deletion_grace_period_seconds;
    let spec = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    let grace = asked.or(spec).unwrap_or(DEFAULT_GRACE_SECONDS);
    u64::try_from(grace).unwrap_or(0).max(1)
}

/// `name_namespace(uid)`, as the kubelet's messages name a pod.
pub fn title(pod: &Pod) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    let meta = &pod.metadata;
    format!("{}_{}({})", part(&meta.name), part(&meta.namespace), part(&meta.uid))
}

/// Whether all volumes are made out of what the node and every namespace have: none waits for an object
/// that somebody may still have to make, or for a device.
pub fn volumes_are_at_hand(spec: &PodSpec) -> bool {
    spec.volumes.iter().flatten().all(is_at_hand)
}

fn is_at_hand(volume: &Volume) -> bool {
    let projected = volume.projected.as_ref();
    volume.empty_dir.is_some()
        || volume.downward_api.is_some()
        || projected.is_some_and(|projected| projected.sources.iter().flatten().all(is_projected_at_hand))
}

fn is_projected_at_hand(source: &VolumeProjection) -> bool {
    let is_root_ca = |config_map: &ConfigMapProjection| config_map.name == ROOT_CA;
    source.downward_api.is_some()
        || source.service_account_token.is_some()
        || source.config_map.as_ref().is_some_and(is_root_ca)
}

fn init_kind(container: &Container) -> ContainerKind {
    if is_sidecar(container) { ContainerKind::Sidecar } else { ContainerKind::Init }
}

/// An ephemeral container in the type of all others; it has neither probes nor hooks nor ports.
fn plain(container: &EphemeralContainer) -> Container {
    Container {
        name: container.name.clone(),
        image: container.image.clone(),
        image_pull_policy: container.image_pull_policy.clone(),
        volume_mounts: container.volume_mounts.clone(),
        resources: container.resources.clone(),
        ..Container::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn grace_is_what_deletion_asks_else_the_specs_and_never_nothing() {
        let cases = [
            ("deletion's grace wins", Some(5), Some(60), 5),
            ("else the spec's", None, Some(60), 60),
            ("else half a minute", None, None, 30),
            ("a forced deletion leaves a second", Some(0), Some(60), 1),
            ("a negative one too", None, Some(-1), 1),
        ];
        for (sentence, deletion, spec, want) in cases {
            let mut pod = Pod::default();
            pod.metadata.deletion_grace_period_seconds = deletion;
            pod.spec = Some(PodSpec { termination_grace_period_seconds: spec, ..PodSpec::default() });
            assert_eq!(grace_seconds(&pod), want, "{sentence}");
        }
    }

    #[test]
    fn volumes_are_at_hand_unless_somebody_else_must_make_something() {
        let token = json!({ "serviceAccountToken": { "path": "token" } });
        let cases = [
            ("none", json!([]), true),
            ("a folder of the pod's own", json!([{ "name": "a", "emptyDir": {} }]), true),
            ("the pod's own fields", json!([{ "name": "a", "downwardAPI": {} }]), true),
            (
                "what every pod gets",
                json!([{ "name": "a", "projected": { "sources": [
                    token, { "configMap": { "name": "kube-root-ca.crt" } }, { "downwardAPI": {} },
                ] } }]),
                true,
            ),
            (
                "any other object in it",
                json!([{ "name": "a", "projected": { "sources": [token, { "secret": { "name": "b" } }] } }]),
                false,
            ),
            (
                "a ConfigMap",
                json!([{ "name": "a", "emptyDir": {} }, { "name": "b", "configMap": { "name": "c" } }]),
                false,
            ),
            ("a path of the host", json!([{ "name": "a", "hostPath": { "path": "/a" } }]), false),
        ];
        for (sentence, volumes, want) in cases {
            let spec = serde_json::from_value(json!({ "containers": [], "volumes": volumes })).unwrap();
            assert_eq!(volumes_are_at_hand(&spec), want, "{sentence}");
        }
    }
}
