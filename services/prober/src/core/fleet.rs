//! Which workers a pod needs, from what pod-lifecycle says of it.

use super::{check::Surroundings, facts::View};
use k8s_openapi::api::core::v1 as core;
use messages::{
    ContainerName,
    pod_lifecycle::{ContainerKind, ProbedContainer, Probes},
    prober::ProbeKind,
};
use std::collections::BTreeMap;

/// Which of a pod's probes.
pub type Place = (ContainerName, ProbeKind);

/// A probe that is wanted, and what it looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// The container's place in the spec, as events name it: `spec.containers{app}`.
    pub field_path: String,
    /// The probe as in the spec.
    pub probe: core::Probe,
    /// Address and ports.
    pub around: Surroundings,
    /// The container.
    pub view: View,
}

/// Every probe that a pod wants.
pub fn wanted(probes: &Probes) -> BTreeMap<Place, Wanted> {
    probes.containers.iter().flat_map(|container| of_container(probes, container)).collect()
}

fn of_container<'a>(
    pod: &'a Probes,
    container: &'a ProbedContainer,
) -> impl Iterator<Item = (Place, Wanted)> + 'a {
    container.probes.iter().map(move |(kind, probe)| {
        let around = Surroundings { ip: pod.ip.clone(), ports: container.ports.clone() };
        let (field_path, view) = (field_path(container), view(pod, container));
        let wanted = Wanted { field_path, probe: probe.clone(), around, view };
        ((container.name.clone(), *kind), wanted)
    })
}

fn field_path(container: &ProbedContainer) -> String {
    let list = match container.kind {
        ContainerKind::Regular => "containers",
        ContainerKind::Init | ContainerKind::Sidecar => "initContainers",
        ContainerKind::Ephemeral => "ephemeralContainers",
    };
    format!("spec.{list}{{{}}}", container.name)
}

fn view(pod: &Probes, container: &ProbedContainer) -> View {
    View {
        container_id: container.container_id.clone(),
        running: container.running,
        started_at: container.started_at,
        started: container.started,
        terminating: pod.terminating,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_each_container_is_a_place_of_its_own() {
        let container = |name: &str, kind: ContainerKind, kinds: &[ProbeKind]| ProbedContainer {
            name: name.parse().unwrap(),
            kind,
            container_id: Some(format!("id-{name}")),
            running: true,
            started_at: 5,
            started: false,
            probes: kinds.iter().map(|kind| (*kind, core::Probe::default())).collect(),
            ports: BTreeMap::from([("web".into(), 80)]),
        };
        let probes = Probes {
            pod: "u-1".parse().unwrap(),
            namespace: "default".into(),
            name: "web".into(),
            ip: Some("10.0.0.7".into()),
            terminating: true,
            containers: vec![
                container("a", ContainerKind::Regular, &ProbeKind::ALL),
                container("b", ContainerKind::Sidecar, &[ProbeKind::Liveness]),
            ],
        };
        let wanted = wanted(&probes);
        assert_eq!(wanted.len(), 4);
        let b = &wanted[&("b".parse().unwrap(), ProbeKind::Liveness)];
        assert_eq!(b.view.container_id.as_deref(), Some("id-b"));
        assert!(b.view.terminating && !b.view.started);
        assert_eq!(b.around.ports["web"], 80);
        assert_eq!(b.field_path, "spec.initContainers{b}");
    }
}
