//! The conditions that the node owns, and when their times move.

use super::phase::{FAILED, SUCCEEDED};
use crate::core::{moment::Moment, spec};
use k8s_openapi::api::core::v1::{Container, ContainerStatus, PodCondition, PodSpec, PodStatus};

/// What conditions are made of.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The spec.
    pub spec: &'a PodSpec,
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// The phase as the containers have it, also while a terminal one is held back.
    pub phase: &'a str,
    /// The new statuses of init containers, sidecars and regular containers.
    pub statuses: &'a [ContainerStatus],
    /// The newest sandbox serves.
    pub has_sandbox: bool,
    /// Conditions of the API object: readiness gates look at others' there.
    pub foreign: &'a [PodCondition],
    /// The status before, whose times stay while a condition's status does.
    pub last: &'a PodStatus,
    /// The pod was failed for the node's sake, with this message.
    pub disruption: Option<&'a str>,
    /// Now.
    pub now: Moment,
}

/// All conditions of the node, in the order in which the stock kubelet writes them.
pub fn conditions(question: &Question<'_>) -> Vec<PodCondition> {
    let containers = containers_ready(question);
    let ready = gates(question, &containers).unwrap_or_else(|| containers.clone());
    let mut all = vec![
        ("PodReadyToStartContainers", Finding::plain(question.has_sandbox)),
        ("Initialized", initialized(question)),
        ("Ready", ready),
        ("ContainersReady", containers),
        ("PodScheduled", Finding::plain(true)),
    ];
    if let Some(message) = question.disruption {
        let finding = Finding { holds: true, reason: "TerminationByKubelet".into(), message: message.into() };
        all.insert(0, ("DisruptionTarget", finding));
    }
    all.into_iter().map(|(kind, finding)| finding.into_condition(kind, question)).collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    holds: bool,
    reason: String,
    message: String,
}

impl Finding {
    fn plain(holds: bool) -> Self {
        Self { holds, reason: String::new(), message: String::new() }
    }

    fn not(reason: &str, message: String) -> Self {
        Self { holds: false, reason: reason.into(), message }
    }

    fn into_condition(self, kind: &str, question: &Question<'_>) -> PodCondition {
        let status = if self.holds { "True" } else { "False" };
        let mut before = question.last.conditions.iter().flatten();
        let same = before.find(|condition| condition.type_ == kind && condition.status == status);
        let since = same.and_then(|condition| condition.last_transition_time.clone());
        PodCondition {
            type_: kind.into(),
            status: status.into(),
            reason: Some(self.reason).filter(|reason| !reason.is_empty()),
            message: Some(self.message).filter(|message| !message.is_empty()),
            last_transition_time: Some(since.unwrap_or_else(|| question.now.to_time())),
            observed_generation: question.generation,
            ..PodCondition::default()
        }
    }
}

/// Sidecars and regular containers are ready. A pod that has ended is not.
fn containers_ready(question: &Question<'_>) -> Finding {
    let sidecars = question.spec.init_containers.iter().flatten().filter(|it| spec::is_sidecar(it));
    let watched = sidecars.chain(&question.spec.containers);
    let (unknown, unready) = split(question, watched, |_, status| status.ready);
    match question.phase {
        SUCCEEDED if unknown.is_empty() => Finding::not("PodCompleted", String::new()),
        FAILED => Finding::not("PodFailed", String::new()),
        _ => verdict("ContainersNotReady", &unknown, "unready", &unready),
    }
}

/// All init containers have succeeded and sidecars have started; once a regular container has, that
/// cannot be undone.
fn initialized(question: &Question<'_>) -> Finding {
    let watched = question.spec.init_containers.iter().flatten();
    let (unknown, incomplete) = split(question, watched, |container, status| {
        if spec::is_sidecar(container) { status.started == Some(true) } else { status.ready }
    });
    if question.phase == SUCCEEDED && unknown.is_empty() {
        return Finding { holds: true, reason: "PodCompleted".into(), message: String::new() };
    }
    if has_regular_started(question) {
        return Finding::plain(true);
    }
    verdict("ContainersNotInitialized", &unknown, "incomplete", &incomplete)
}

/// Readiness gates that keep a pod unready whose containers are ready.
fn gates(question: &Question<'_>, containers: &Finding) -> Option<Finding> {
    let gates = question.spec.readiness_gates.iter().flatten().filter(|_| containers.holds);
    let complaints: Vec<String> =
        gates.filter_map(|gate| complaint(question, &gate.condition_type)).collect();
    (!complaints.is_empty()).then(|| Finding::not("ReadinessGatesNotReady", complaints.join(", ")))
}

fn complaint(question: &Question<'_>, kind: &str) -> Option<String> {
    match question.foreign.iter().find(|condition| condition.type_ == kind) {
        None => Some(format!("corresponding condition of pod readiness gate \"{kind}\" does not exist.")),
        Some(condition) if condition.status == "True" => None,
        Some(condition) => {
            let status = &condition.status;
            Some(format!("the status of pod readiness gate \"{kind}\" is not \"True\", but {status}"))
        }
    }
}

fn split<'a>(
    question: &Question<'a>,
    watched: impl Iterator<Item = &'a Container>,
    is_well: impl Fn(&Container, &ContainerStatus) -> bool,
) -> (Vec<&'a str>, Vec<&'a str>) {
    let (mut unknown, mut unwell) = (Vec::new(), Vec::new());
    for container in watched {
        match question.statuses.iter().find(|status| status.name == container.name) {
            None => unknown.push(container.name.as_str()),
            Some(status) if !is_well(container, status) => unwell.push(container.name.as_str()),
            Some(_) => {}
        }
    }
    (unknown, unwell)
}

fn verdict(reason: &str, unknown: &[&str], word: &str, unwell: &[&str]) -> Finding {
    let lists = [("unknown", unknown), (word, unwell)];
    let named = lists.iter().filter(|(_, names)| !names.is_empty());
    let texts: Vec<_> =
        named.map(|(word, names)| format!("containers with {word} status: [{}]", names.join(" "))).collect();
    if texts.is_empty() { Finding::plain(true) } else { Finding::not(reason, texts.join(", ")) }
}

fn has_regular_started(question: &Question<'_>) -> bool {
    let is_regular = |name: &str| question.spec.containers.iter().any(|container| container.name == name);
    let has_started = |status: &&ContainerStatus| {
        status.state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    };
    question.statuses.iter().filter(has_started).any(|status| is_regular(&status.name))
}

#[cfg(test)]
mod tests {
    use super::super::phase::{PENDING, RUNNING};
    use super::*;
    use crate::core::testing::{PodBuilder, SECOND};
    use k8s_openapi::api::core::v1::{ContainerState, ContainerStateRunning};

    fn status(name: &str, running: bool, ready: bool) -> ContainerStatus {
        let running = running.then(ContainerStateRunning::default);
        let state = Some(ContainerState { running, ..ContainerState::default() });
        ContainerStatus {
            name: name.into(),
            ready,
            started: Some(ready),
            state,
            ..ContainerStatus::default()
        }
    }

    fn foreign(kind: &str, status: &str) -> PodCondition {
        PodCondition { type_: kind.into(), status: status.into(), ..PodCondition::default() }
    }

    fn line(conditions: &[PodCondition], kind: &str) -> String {
        let found = conditions.iter().find(|condition| condition.type_ == kind).unwrap();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("{} {} {}", found.status, text(&found.reason), text(&found.message)).trim_end().to_owned()
    }

    fn made(
        pod: PodBuilder,
        phase: &str,
        statuses: &[ContainerStatus],
        others: &[PodCondition],
    ) -> Vec<PodCondition> {
        let pod = pod.build();
        conditions(&Question {
            spec: pod.spec.as_ref().unwrap(),
            generation: Some(4),
            phase,
            statuses,
            has_sandbox: true,
            foreign: others,
            last: &PodStatus::default(),
            disruption: None,
            now: Moment(SECOND),
        })
    }

    #[test]
    fn containers_ready_names_who_is_not() {
        let pod = || PodBuilder::new().init("one").sidecar("side").container("a").container("b");
        let all = |a, b| {
            vec![
                status("one", false, true),
                status("side", true, true),
                status("a", true, a),
                status("b", true, b),
            ]
        };
        let cases = [
            ("all are ready", RUNNING, all(true, true), "True"),
            (
                "two are not",
                RUNNING,
                all(false, false),
                "False ContainersNotReady containers with unready status: [a b]",
            ),
            (
                "one is not known",
                RUNNING,
                all(true, true)[..3].to_vec(),
                "False ContainersNotReady containers with unknown status: [b]",
            ),
            ("all succeeded", SUCCEEDED, all(false, false), "False PodCompleted"),
            ("failed", FAILED, all(true, true), "False PodFailed"),
        ];
        for (sentence, phase, statuses, want) in cases {
            let made = made(pod(), phase, &statuses, &[]);
            assert_eq!(line(&made, "ContainersReady"), want, "{sentence}");
            assert_eq!(line(&made, "Ready"), want, "{sentence}");
        }
    }

    #[test]
    fn readiness_gates_look_at_conditions_of_others() {
        let cases = [
            (
                "it is missing",
                vec![],
                "False ReadinessGatesNotReady corresponding condition of pod readiness gate \"load-balancer\" does not exist.",
            ),
            (
                "it is false",
                vec![foreign("load-balancer", "False")],
                "False ReadinessGatesNotReady the status of pod readiness gate \"load-balancer\" is not \"True\", but False",
            ),
            ("it is true", vec![foreign("load-balancer", "True")], "True"),
        ];
        for (sentence, others, want) in cases {
            let pod = PodBuilder::new().container("a").readiness_gate("load-balancer");
            let made = made(pod, RUNNING, &[status("a", true, true)], &others);
            assert_eq!(line(&made, "Ready"), want, "{sentence}");
            assert_eq!(line(&made, "ContainersReady"), "True", "{sentence}");
        }
    }

    #[test]
    fn initialized_holds_once_init_is_over_and_is_not_undone() {
        let pod = || PodBuilder::new().init("one").sidecar("side").container("a");
        let list = |one, side, app| {
            vec![status("one", false, one), status("side", true, side), status("a", app, false)]
        };
        let cases = [
            (
                "both are open",
                list(false, false, false),
                "False ContainersNotInitialized containers with incomplete status: [one side]",
            ),
            (
                "the sidecar is open",
                list(true, false, false),
                "False ContainersNotInitialized containers with incomplete status: [side]",
            ),
            ("both are done", list(true, true, false), "True"),
            ("a sidecar restarts beside the app", list(true, false, true), "True"),
        ];
        for (sentence, statuses, want) in cases {
            assert_eq!(line(&made(pod(), PENDING, &statuses, &[]), "Initialized"), want, "{sentence}");
        }
    }

    #[test]
    fn a_time_moves_only_with_the_status() {
        let pod = PodBuilder::new().container("a").build();
        let ask = |ready: bool, last: &PodStatus, second: i64| {
            conditions(&Question {
                spec: pod.spec.as_ref().unwrap(),
                generation: Some(1),
                phase: RUNNING,
                statuses: &[status("a", true, ready)],
                has_sandbox: true,
                foreign: &[],
                last,
                disruption: None,
                now: Moment(second * SECOND),
            })
        };
        let since = |all: &[PodCondition]| {
            let ready = all.iter().find(|it| it.type_ == "Ready").unwrap();
            ready.last_transition_time.clone().unwrap().0.as_second()
        };
        let keep = |all: Vec<PodCondition>| PodStatus { conditions: Some(all), ..PodStatus::default() };
        let first = keep(ask(false, &PodStatus::default(), 1));
        let second = keep(ask(false, &first, 2));
        assert_eq!(since(second.conditions.as_ref().unwrap()), 1, "nothing changed");
        assert_eq!(since(&ask(true, &second, 3)), 3, "it became ready");
    }

    #[test]
    fn each_condition_says_which_generation_it_saw() {
        let made = made(PodBuilder::new().container("a"), RUNNING, &[status("a", true, true)], &[]);
        assert!(made.iter().all(|condition| condition.observed_generation == Some(4)));
    }
}
