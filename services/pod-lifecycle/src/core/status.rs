//! A pod's whole status, composed from everything that is known. No other place writes one.

pub mod addresses;
pub mod conditions;
pub mod containers;
pub mod phase;
mod states;

use super::{plan::Plan, qos, sandbox, situation::Situation, spec, stage::Stage};
use containers::Shown;
use k8s_openapi::api::core::v1::{ContainerStatus, HostIP, PodIP, PodStatus};

/// What a status is composed of besides the situation.
#[derive(Debug, Clone, Copy)]
pub struct Telling<'a> {
    /// What is planned: empty for pods that are ending.
    pub plan: &'a Plan,
    /// The pod comes from a file or URL: it has no terminal phase of its own making while ending.
    pub is_static: bool,
}

/// Composes the status.
pub fn compose(situation: &Situation<'_>, telling: Telling<'_>) -> PodStatus {
    let Statuses { mut init, mut regular, ephemeral } = statuses(situation, telling.plan);
    if situation.memory.stage == Stage::Terminated {
        settle(&mut init, &mut regular);
    }
    let (phase, reason, message) = told_phase(situation, telling, &init, &regular);
    let mut status = PodStatus {
        conditions: Some(conditions_of(situation, &phase, &init, &regular)),
        start_time: Some(start_time(situation)),
        qos_class: Some(qos::class(situation.spec).into()),
        observed_generation: situation.pod.metadata.generation,
        init_container_statuses: filled(init),
        container_statuses: filled(sorted(regular)),
        ephemeral_container_statuses: filled(sorted(ephemeral)),
        ..PodStatus::default()
    };
    (status.phase, status.reason, status.message) = held(situation, phase, reason, message);
    set_addresses(situation, &mut status);
    status
}

struct Statuses {
    init: Vec<ContainerStatus>,
    regular: Vec<ContainerStatus>,
    ephemeral: Vec<ContainerStatus>,
}

fn statuses(situation: &Situation<'_>, plan: &Plan) -> Statuses {
    let shown = Shown { waiting: &plan.waiting, starting: &plan.starting };
    Statuses {
        init: containers::statuses(situation, &spec::init_parts(situation.spec), shown),
        regular: containers::statuses(situation, &spec::regular_parts(situation.spec), shown),
        ephemeral: containers::statuses(situation, &spec::ephemeral_parts(situation.spec), shown),
    }
}

/// The phase as the containers have it, or as the node or the API has decided.
fn told_phase(
    situation: &Situation<'_>,
    telling: Telling<'_>,
    init: &[ContainerStatus],
    regular: &[ContainerStatus],
) -> (String, Option<String>, Option<String>) {
    if let Some(ended) = &situation.memory.ended {
        return (phase::FAILED.into(), Some(ended.reason.clone()), Some(ended.message.clone()));
    }
    let is_ending = situation.memory.stage != Stage::Running && !telling.is_static;
    let question =
        phase::Question { spec: situation.spec, init, regular, has_begun: has_begun(situation), is_ending };
    let mut now = phase::phase(&question);
    if is_ending && situation.memory.stage == Stage::Terminated && !phase::is_terminal(Some(now)) {
        now = phase::FAILED;
    }
    let api = situation.pod.status.as_ref();
    let before = [Some(&situation.memory.status), api].into_iter().flatten();
    let mut decided = before.clone().filter(|status| phase::is_terminal(status.phase.as_deref()));
    let phase = decided.next().and_then(|status| status.phase.clone()).unwrap_or_else(|| now.into());
    let same = before.filter(|status| status.phase.as_deref() == Some(&phase));
    let (reason, message) = same.fold((None, None), |(reason, message), status| {
        (reason.or_else(|| status.reason.clone()), message.or_else(|| status.message.clone()))
    });
    (phase, reason, message)
}

/// A terminal phase is held back while a container may still run.
fn held(
    situation: &Situation<'_>,
    phase: String,
    reason: Option<String>,
    message: Option<String>,
) -> (Option<String>, Option<String>, Option<String>) {
    let last = &situation.memory.status;
    let is_new = phase::is_terminal(Some(&phase)) && !phase::is_terminal(last.phase.as_deref());
    let api_has_it =
        situation.pod.status.as_ref().is_some_and(|api| phase::is_terminal(api.phase.as_deref()));
    if is_new && !api_has_it && situation.memory.stage != Stage::Terminated {
        let before = last.phase.clone().unwrap_or_else(|| phase::PENDING.into());
        return (Some(before), last.reason.clone(), last.message.clone());
    }
    (Some(phase), reason, message)
}

fn conditions_of(
    situation: &Situation<'_>,
    phase: &str,
    init: &[ContainerStatus],
    regular: &[ContainerStatus],
) -> Vec<k8s_openapi::api::core::v1::PodCondition> {
    let statuses: Vec<_> = init.iter().chain(regular).cloned().collect();
    let foreign =
        situation.pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or(&[]);
    let ended = situation.memory.ended.as_ref().filter(|ended| ended.disrupted);
    let disruption = ended.filter(|_| situation.memory.stage == Stage::Terminated);
    conditions::conditions(&conditions::Question {
        spec: situation.spec,
        generation: situation.pod.metadata.generation,
        phase,
        statuses: &statuses,
        has_sandbox: sandbox::missing_attempt(situation.spec, situation.runtime()).is_none(),
        foreign,
        last: &situation.memory.status,
        disruption: disruption.map(|ended| ended.message.as_str()),
        now: situation.now,
    })
}

/// Once nothing of a pod runs, no container waits any more: what may have been started and left no
/// trace has ended somehow. Init containers whose turn never came stay as they are.
fn settle(init: &mut [ContainerStatus], regular: &mut [ContainerStatus]) {
    let passed = init.iter().rposition(has_traces).map_or(1, |last| last + 1).min(init.len());
    let succeeded = |status: &ContainerStatus| status.ready;
    let initialised = init.last().is_none_or(succeeded) || regular.iter().any(has_traces);
    let regular = regular.iter_mut().filter(|_| initialised);
    for status in init.iter_mut().take(passed).chain(regular) {
        let state = status.state.get_or_insert_default();
        if state.terminated.is_none() {
            let message = "The container could not be located when the pod was terminated";
            *state = states::ended(states::lost(message));
        }
    }
}

/// Whether a container has ever left the waiting room.
fn has_traces(status: &ContainerStatus) -> bool {
    let ended_before = status.last_state.as_ref().is_some_and(|last| last.terminated.is_some());
    ended_before || status.state.as_ref().is_some_and(|state| state.waiting.is_none())
}

fn has_begun(situation: &Situation<'_>) -> bool {
    let Some(sandbox) = situation.runtime().sandboxes().first() else { return false };
    let made = |name: &str| situation.runtime().newest_in(&sandbox.id, name).is_some();
    situation.spec.containers.iter().any(|container| made(&container.name))
}

fn set_addresses(situation: &Situation<'_>, status: &mut PodStatus) {
    let node = &situation.world.node.host_ips;
    let last = &situation.memory.status;
    let ips = addresses::pod_ips(situation);
    status.host_ip = node.first().cloned().or_else(|| last.host_ip.clone());
    let host_ips: Vec<_> = node.iter().map(|ip| HostIP { ip: ip.clone() }).collect();
    status.host_ips = filled(host_ips).or_else(|| last.host_ips.clone());
    status.pod_ip = ips.first().cloned();
    status.pod_ips = filled(ips.into_iter().map(|ip| PodIP { ip }).collect());
}

/// When the node accepted the pod, as the API has it or as it was here.
fn start_time(situation: &Situation<'_>) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Time {
    let api = situation.pod.status.as_ref().and_then(|status| status.start_time.clone());
    let last = situation.memory.status.start_time.clone();
    last.or(api).unwrap_or_else(|| situation.memory.accepted_at.to_time())
}

fn sorted(mut statuses: Vec<ContainerStatus>) -> Vec<ContainerStatus> {
    statuses.sort_by(|a, b| a.name.cmp(&b.name));
    statuses
}

fn filled<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}
