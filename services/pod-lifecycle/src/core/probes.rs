//! What the prober needs to know of a pod: nothing of it but its probes, addresses and instances.

use super::{
    situation::Situation,
    spec::{self, Part},
    stage::Stage,
};
use messages::{
    PodUid,
    cri_bridge::ContainerState,
    pod_lifecycle::{ProbedContainer, Probes},
    prober::ProbeKind,
};
use std::collections::BTreeMap;

/// The message about a pod; `None` for one without probes, and for one that does not run any more.
pub fn compose(situation: &Situation<'_>, pod: &PodUid) -> Option<Probes> {
    if situation.memory.stage == Stage::Terminated {
        return None;
    }
    let parts = situation.parts();
    let containers: Vec<_> = parts.iter().filter_map(|part| probed(situation, part)).collect();
    let meta = &situation.pod.metadata;
    (!containers.is_empty()).then(|| Probes {
        pod: pod.clone(),
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        ip: ip(situation),
        terminating: situation.memory.stage != Stage::Running,
        containers,
    })
}

fn probed(situation: &Situation<'_>, part: &Part<'_>) -> Option<ProbedContainer> {
    let probe = |kind: ProbeKind| part.probe(kind).map(|probe| (kind, probe.clone()));
    let probes: BTreeMap<_, _> = ProbeKind::ALL.into_iter().filter_map(probe).collect();
    if probes.is_empty() {
        return None;
    }
    let newest = situation.runtime().newest(part.name());
    Some(ProbedContainer {
        name: part.name().parse().ok()?,
        kind: part.kind,
        container_id: newest.map(|it| it.id.clone()),
        running: newest.is_some_and(|it| it.state == ContainerState::Running && !it.hook_pending),
        started_at: newest.map_or(0, |it| it.started_at),
        started: newest.is_some_and(|it| situation.is_started(part, it)),
        probes,
        ports: ports(part),
    })
}

fn ports(part: &Part<'_>) -> BTreeMap<String, u16> {
    let ports = part.container.ports.iter().flatten();
    ports.filter_map(|port| Some((port.name.clone()?, u16::try_from(port.container_port).ok()?))).collect()
}

/// The pod's address; on the node's network, the node's.
fn ip(situation: &Situation<'_>) -> Option<String> {
    let node = situation.world.node.host_ips.first().filter(|_| spec::is_host_network(situation.spec));
    node.cloned().or_else(|| super::status::addresses::pod_ips(situation).into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        backoff::CrashLoop,
        moment::Moment,
        situation::{Known, Memory, World},
        testing::{PodBuilder, RuntimeBuilder, UID, probe},
    };

    #[test]
    fn only_containers_with_probes_are_told_and_sidecars_among_init() {
        let pod = PodBuilder::new()
            .init_with("init", |init| init.readiness_probe = probe())
            .init_with("side", |side| {
                side.restart_policy = Some("Always".into());
                side.startup_probe = probe();
            })
            .container_with("app", |app| app.liveness_probe = probe())
            .container("plain")
            .build();
        let runtime = RuntimeBuilder::ready().running("side", 0).running("app", 2).build();
        let world = World { runtime: Known::Present(runtime), ..World::default() };
        let memory = Memory::new(Moment(0));
        let (spec, crash_loop, now) = (pod.spec.as_ref().unwrap(), CrashLoop::default(), Moment(0));
        let situation = Situation { pod: &pod, spec, world: &world, memory: &memory, crash_loop, now };
        let told = compose(&situation, &UID.parse().unwrap()).unwrap();
        let rows: Vec<_> = told
            .containers
            .iter()
            .map(|it| (it.name.as_str(), it.container_id.as_deref(), it.started))
            .collect();
        assert_eq!(rows, [("side", Some("side-0"), false), ("app", Some("app-2"), true)]);
        assert_eq!((told.ip.as_deref(), told.terminating), (Some("10.0.0.1"), false));
    }

    #[test]
    fn a_pod_without_probes_or_without_life_is_not_told() {
        for (stage, container) in [(Stage::Running, "plain"), (Stage::Terminated, "probed")] {
            let probe = probe().filter(|_| container == "probed");
            let pod = PodBuilder::new().container_with(container, |it| it.liveness_probe = probe).build();
            let (world, mut memory) = (World::default(), Memory::new(Moment(0)));
            memory.stage = stage;
            let (spec, crash_loop, now) = (pod.spec.as_ref().unwrap(), CrashLoop::default(), Moment(0));
            let situation = Situation { pod: &pod, spec, world: &world, memory: &memory, crash_loop, now };
            assert_eq!(compose(&situation, &UID.parse().unwrap()), None);
        }
    }
}
