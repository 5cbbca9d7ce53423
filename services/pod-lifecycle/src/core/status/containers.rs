//! The status of each container: what the runtime shows, what was reported before, and what is
//! planned, put together as the API tells it.

use super::states::{
    assumed, cut_messages, ended, lost, running, terminated, user, waiting_by_default, waiting_for,
};
use crate::core::{situation::Situation, spec::Part, waiting::Waiting};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, VolumeMount, VolumeMountStatus};
use messages::{cri_bridge, pod_lifecycle::ContainerKind};
use std::collections::BTreeMap;

/// What to show besides what is.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// Containers that wait to be started, and why.
    pub waiting: &'a BTreeMap<String, Waiting>,
    /// Containers that are being started.
    pub starting: &'a [String],
}

/// The statuses of these containers, in their order.
pub fn statuses(situation: &Situation<'_>, parts: &[Part<'_>], shown: Shown<'_>) -> Vec<ContainerStatus> {
    parts.iter().map(|part| status(situation, part, shown)).collect()
}

fn status(situation: &Situation<'_>, part: &Part<'_>, shown: Shown<'_>) -> ContainerStatus {
    let last = situation.memory.container_status(part.name());
    let newest = situation.runtime().newest(part.name());
    let mut status = match newest {
        Some(newest) => present(situation, part, newest, last),
        None => absent(situation, part, last, shown),
    };
    overlay(&mut status, part, last, shown);
    flags(situation, part, newest, &mut status);
    status.volume_mounts = mounts(part, situation.world.node.recursive_read_only);
    cut_messages(&mut status, situation.parts().len());
    status
}

/// A container with an instance in the runtime.
fn present(
    situation: &Situation<'_>,
    part: &Part<'_>,
    newest: &cri_bridge::Container,
    last: Option<&ContainerStatus>,
) -> ContainerStatus {
    let runtime = &situation.world.node.runtime_name;
    let reported = last.map_or(0, |last| last.restart_count);
    ContainerStatus {
        name: part.name().to_owned(),
        image: newest.image.clone(),
        image_id: newest.image_ref.clone(),
        container_id: Some(format!("{runtime}://{}", newest.id)),
        restart_count: i32::try_from(newest.attempt).unwrap_or(i32::MAX).max(reported),
        state: Some(state(situation, newest, last)),
        last_state: last_state(situation, newest, last),
        allocated_resources: part
            .container
            .resources
            .as_ref()
            .and_then(|resources| resources.requests.clone()),
        resources: part.container.resources.clone(),
        user: newest.user.as_ref().map(user),
        ..ContainerStatus::default()
    }
}

fn state(
    situation: &Situation<'_>,
    it: &cri_bridge::Container,
    last: Option<&ContainerStatus>,
) -> ContainerState {
    match it.state {
        cri_bridge::ContainerState::Running if it.hook_pending => waiting_by_default(situation),
        cri_bridge::ContainerState::Running => running(it),
        cri_bridge::ContainerState::Exited => ended(terminated(situation, it)),
        cri_bridge::ContainerState::Unknown if was_running(last) => {
            ended(lost("The container could not be located when the pod was terminated"))
        }
        cri_bridge::ContainerState::Created | cri_bridge::ContainerState::Unknown => {
            waiting_by_default(situation)
        }
    }
}

/// How the run before the newest one ended: from the runtime, or as it was reported.
fn last_state(
    situation: &Situation<'_>,
    newest: &cri_bridge::Container,
    last: Option<&ContainerStatus>,
) -> Option<ContainerState> {
    let instances = situation.runtime().instances(newest.name.as_str());
    let before = instances.into_iter().skip(1).find(|it| it.state == cri_bridge::ContainerState::Exited);
    if let Some(before) = before {
        return Some(ended(terminated(situation, before)));
    }
    let last = last?;
    let is_newer = last.container_id.as_deref().is_none_or(|id| !id.ends_with(&newest.id));
    let state = last.state.as_ref().filter(|state| is_newer && state.terminated.is_some());
    state.or(last.last_state.as_ref()).cloned()
}

/// A container without any instance in the runtime.
fn absent(
    situation: &Situation<'_>,
    part: &Part<'_>,
    last: Option<&ContainerStatus>,
    shown: Shown<'_>,
) -> ContainerStatus {
    let fresh = ContainerStatus {
        name: part.name().to_owned(),
        image: part.image().to_owned(),
        state: Some(waiting_by_default(situation)),
        restart_count: last.map_or(0, |last| last.restart_count),
        last_state: last.and_then(|last| last.last_state.clone()),
        ..ContainerStatus::default()
    };
    let ends =
        |status: &ContainerStatus| status.state.as_ref().is_some_and(|state| state.terminated.is_some());
    let starts = shown.starting.iter().any(|name| name == part.name());
    match last {
        Some(last) if ends(last) && !starts => last.clone(),
        Some(last) if ends(last) => ContainerStatus { last_state: last.state.clone(), ..fresh },
        Some(last) if was_running(Some(last)) => vanished(situation, fresh),
        _ if was_passed(situation, part) => ContainerStatus { state: Some(ended(assumed())), ..fresh },
        _ => fresh,
    }
}

/// A container that ran and is not in the runtime any more: how it ended is not known.
fn vanished(situation: &Situation<'_>, fresh: ContainerStatus) -> ContainerStatus {
    let deleted = situation.pod.metadata.deletion_timestamp.is_some();
    let lost =
        lost("The container could not be located when the pod was deleted. The container used to be Running");
    ContainerStatus {
        restart_count: fresh.restart_count + i32::from(!deleted),
        last_state: Some(ended(lost)),
        ..fresh
    }
}

/// An init container that was collected, while a regular container shows that it had succeeded.
fn was_passed(situation: &Situation<'_>, part: &Part<'_>) -> bool {
    let created = |name: &str| situation.runtime().newest(name).is_some();
    part.kind == ContainerKind::Init && situation.spec.containers.iter().any(|it| created(&it.name))
}

/// What is planned shows over what is, unless it runs.
fn overlay(status: &mut ContainerStatus, part: &Part<'_>, last: Option<&ContainerStatus>, shown: Shown<'_>) {
    let runs = status.state.as_ref().is_some_and(|state| state.running.is_some());
    let before = last.and_then(|last| last.state.as_ref()?.waiting.clone());
    let state = match shown.waiting.get(part.name()) {
        _ if runs => return,
        Some(waiting) => waiting_for(&waiting.reason, &waiting.message),
        None if shown.starting.iter().any(|name| name == part.name()) && before.is_some() => {
            ContainerState { waiting: before, ..ContainerState::default() }
        }
        None => return,
    };
    let natural = status.state.replace(state);
    if let Some(end) = natural.filter(|natural| natural.terminated.is_some()) {
        status.last_state = Some(end);
    }
}

/// `started` and `ready`.
fn flags(
    situation: &Situation<'_>,
    part: &Part<'_>,
    newest: Option<&cri_bridge::Container>,
    status: &mut ContainerStatus,
) {
    let end = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    match part.kind {
        ContainerKind::Ephemeral => {}
        ContainerKind::Init => {
            let runs = newest.is_some_and(|it| it.state == cri_bridge::ContainerState::Running);
            status.started = Some(runs);
            status.ready = end.is_some_and(|end| end.exit_code == 0);
        }
        ContainerKind::Regular | ContainerKind::Sidecar => {
            status.started = Some(newest.is_some_and(|it| situation.is_started(part, it)));
            status.ready = newest.is_some_and(|it| situation.is_ready(part, it));
        }
    }
}

/// Each mount, and whether its being read-only reaches into mounts below it.
fn mounts(part: &Part<'_>, recursive: bool) -> Option<Vec<VolumeMountStatus>> {
    let mounts = part.container.volume_mounts.iter().flatten();
    let status = |mount: &VolumeMount| VolumeMountStatus {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        read_only: mount.read_only,
        recursive_read_only: (mount.read_only == Some(true)).then(|| read_only_mode(mount, recursive).into()),
        ..VolumeMountStatus::default()
    };
    let statuses: Vec<_> = mounts.map(status).collect();
    (!statuses.is_empty()).then_some(statuses)
}

fn read_only_mode(mount: &VolumeMount, recursive: bool) -> &'static str {
    match mount.recursive_read_only.as_deref() {
        Some("Enabled") => "Enabled",
        Some("IfPossible") if recursive => "Enabled",
        _ => "Disabled",
    }
}

fn was_running(last: Option<&ContainerStatus>) -> bool {
    last.and_then(|last| last.state.as_ref()).is_some_and(|state| state.running.is_some())
}

#[cfg(test)]
mod tests {
    use super::{super::states::MESSAGES_MOST, *};
    use crate::core::{
        backoff::CrashLoop,
        moment::Moment,
        situation::{Known, Memory, NodeFacts, World},
        testing::{PodBuilder, RuntimeBuilder, SECOND},
    };
    use k8s_openapi::api::core::v1::{ContainerStateRunning, ContainerStateTerminated, Pod, PodStatus};

    struct Scene {
        pod: Pod,
        runtime: Option<RuntimeBuilder>,
        last: Option<ContainerStatus>,
        waiting: Option<(&'static str, &'static str)>,
        starting: bool,
    }

    impl Scene {
        fn new(pod: PodBuilder) -> Self {
            Self { pod: pod.build(), runtime: None, last: None, waiting: None, starting: false }
        }

        fn with(self, runtime: RuntimeBuilder) -> Self {
            Self { runtime: Some(runtime), ..self }
        }

        fn after(self, last: ContainerStatus) -> Self {
            Self { last: Some(last), ..self }
        }

        fn status_of(self, name: &str) -> ContainerStatus {
            let runtime = self.runtime.map_or(Known::Absent, |runtime| Known::Present(runtime.build()));
            let node = NodeFacts { runtime_name: "containerd".into(), ..NodeFacts::default() };
            let world = World { runtime, node, ..World::default() };
            let mut memory = Memory::new(Moment(0));
            let container_statuses = self.last.map(|last| vec![last]);
            memory.status = PodStatus { container_statuses, ..PodStatus::default() };
            let spec = self.pod.spec.as_ref().unwrap();
            let (crash_loop, now) = (CrashLoop::default(), Moment(20 * SECOND));
            let situation =
                Situation { pod: &self.pod, spec, world: &world, memory: &memory, crash_loop, now };
            let waiting = self.waiting.map(|(reason, message)| Waiting {
                reason: reason.into(),
                message: message.into(),
                round: None,
            });
            let waiting = waiting.map(|waiting| (name.to_owned(), waiting)).into_iter().collect();
            let starting = Vec::from_iter(self.starting.then(|| name.to_owned()));
            let parts = situation.parts();
            let all = statuses(&situation, &parts, Shown { waiting: &waiting, starting: &starting });
            all.into_iter().find(|status| status.name == name).unwrap()
        }
    }

    fn app() -> Scene {
        Scene::new(PodBuilder::new().container("app"))
    }

    /// `state` and `lastState` in a few words.
    fn line(status: &ContainerStatus) -> String {
        let words = |state: &Option<ContainerState>| match state {
            Some(ContainerState { running: Some(_), .. }) => "running".to_owned(),
            Some(ContainerState { waiting: Some(waiting), .. }) => waiting.reason.clone().unwrap_or_default(),
            Some(ContainerState { terminated: Some(end), .. }) => format!("ended {}", end.exit_code),
            _ => "-".to_owned(),
        };
        format!("{} / {} / {}", words(&status.state), words(&status.last_state), status.restart_count)
    }

    fn reported(text: &str, restart_count: i32) -> ContainerStatus {
        let state = match text.split_once(' ') {
            Some(("ended", code)) => {
                ended(ContainerStateTerminated { exit_code: code.parse().unwrap(), ..Default::default() })
            }
            _ if text == "running" => {
                ContainerState { running: Some(ContainerStateRunning::default()), ..Default::default() }
            }
            _ => waiting_for(text, ""),
        };
        let container_id = Some("containerd://app-0".into());
        ContainerStatus {
            name: "app".into(),
            state: Some(state),
            restart_count,
            container_id,
            ..Default::default()
        }
    }

    #[test]
    fn state_and_last_state_follow_the_runtime() {
        let ready = RuntimeBuilder::ready;
        let cases = [
            ("nothing yet", app(), "ContainerCreating / - / 0"),
            (
                "made, not started",
                app().with(ready().instance("app", 0, |_| ())),
                "ContainerCreating / - / 0",
            ),
            ("running", app().with(ready().running("app", 0)), "running / - / 0"),
            ("ended", app().with(ready().exited("app", 0, 3)), "ended 3 / - / 0"),
            ("restarted", app().with(ready().exited("app", 0, 3).running("app", 1)), "running / ended 3 / 1"),
            (
                "restarted, the run before was collected",
                app().with(ready().running("app", 1)).after(reported("ended 3", 0)),
                "running / ended 3 / 1",
            ),
            (
                "the restart count never falls",
                app().with(ready().running("app", 0)).after(reported("ended 3", 4)),
                "running / - / 4",
            ),
            (
                "its hook has not ended",
                app().with(ready().instance("app", 0, |it| {
                    it.state = cri_bridge::ContainerState::Running;
                    it.hook_pending = true;
                })),
                "ContainerCreating / - / 0",
            ),
        ];
        for (sentence, scene, want) in cases {
            assert_eq!(line(&scene.status_of("app")), want, "{sentence}");
        }
    }

    #[test]
    fn what_is_planned_shows_over_an_end() {
        let crash = || Scene { waiting: Some(("CrashLoopBackOff", "back-off 10s")), ..app() };
        let ended = || RuntimeBuilder::ready().exited("app", 0, 1);
        let cases = [
            ("in back-off", crash().with(ended()), "CrashLoopBackOff / ended 1 / 0"),
            (
                "being started again: what was shown stays",
                Scene { starting: true, ..app() }.with(ended()).after(reported("CrashLoopBackOff", 0)),
                "CrashLoopBackOff / ended 1 / 0",
            ),
            (
                "being started for the first time again",
                Scene { starting: true, ..app() }.with(ended()),
                "ended 1 / - / 0",
            ),
            (
                "a running one shows as running",
                crash().with(RuntimeBuilder::ready().running("app", 0)),
                "running / - / 0",
            ),
        ];
        for (sentence, scene, want) in cases {
            assert_eq!(line(&scene.status_of("app")), want, "{sentence}");
        }
    }

    #[test]
    fn a_container_that_the_runtime_has_lost_is_told_from_the_report() {
        let cases = [
            ("it had ended", app().after(reported("ended 0", 2)), "ended 0 / - / 2"),
            ("it ran", app().after(reported("running", 2)), "ContainerCreating / ended 137 / 3"),
            ("it waited", app().after(reported("ContainerCreating", 2)), "ContainerCreating / - / 2"),
        ];
        for (sentence, scene, want) in cases {
            assert_eq!(line(&scene.status_of("app")), want, "{sentence}");
        }
    }

    #[test]
    fn a_collected_init_container_had_succeeded_when_the_app_was_made() {
        let pod = || PodBuilder::new().init("one").sidecar("side").container("app");
        let runtime = || RuntimeBuilder::ready().running("app", 0);
        let init = Scene::new(pod()).with(runtime()).status_of("one");
        assert_eq!((line(&init).as_str(), init.ready), ("ended 0 / - / 0", true));
        let side = Scene::new(pod()).with(runtime()).status_of("side");
        assert_eq!(line(&side), "PodInitializing / - / 0");
    }

    #[test]
    fn termination_messages_of_all_containers_share_one_bound() {
        let runtime = RuntimeBuilder::ready().instance("app", 0, |it| {
            it.state = cri_bridge::ContainerState::Exited;
            it.message = "ä".repeat(10_000);
        });
        let pod = PodBuilder::new().container("app").container("two").container("three");
        let status = Scene::new(pod).with(runtime).status_of("app");
        let message = status.state.unwrap().terminated.unwrap().message.unwrap();
        assert_eq!(message.len(), MESSAGES_MOST / 3);
    }
}
