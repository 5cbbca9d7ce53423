//! The parts of a container's status: states, ends, users, in the API's types.

use crate::core::{moment::Moment, situation::Situation};
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    ContainerUser, LinuxContainerUser,
};
use messages::cri_bridge::{self, LinuxUser};

/// The reason for a container that vanished, or of whose end nothing is known.
const STATUS_UNKNOWN: &str = "ContainerStatusUnknown";
/// The exit code that goes with it.
const UNKNOWN_EXIT: i32 = 137;
/// The longest termination messages of all containers together, in bytes.
pub(super) const MESSAGES_MOST: usize = 12 * 1024;

/// A state that runs.
pub(super) fn running(it: &cri_bridge::Container) -> ContainerState {
    let started_at = Some(Moment(it.started_at).to_time());
    ContainerState { running: Some(ContainerStateRunning { started_at }), ..ContainerState::default() }
}

/// How an instance ended, as the runtime tells it.
pub(super) fn terminated(situation: &Situation<'_>, it: &cri_bridge::Container) -> ContainerStateTerminated {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let time = |nanos: i64| Some(Moment(nanos.max(0)).to_time());
    ContainerStateTerminated {
        exit_code: it.exit_code,
        reason: text(&it.reason),
        message: text(&it.message),
        started_at: time(it.started_at),
        finished_at: time(it.finished_at),
        container_id: Some(format!("{}://{}", situation.world.node.runtime_name, it.id)),
        ..ContainerStateTerminated::default()
    }
}

/// The end of a container of which nothing is known but that it is over.
pub(super) fn lost(message: &str) -> ContainerStateTerminated {
    ContainerStateTerminated {
        exit_code: UNKNOWN_EXIT,
        reason: Some(STATUS_UNKNOWN.into()),
        message: Some(message.into()),
        ..ContainerStateTerminated::default()
    }
}

/// The end of an init container of which only what came after it tells.
pub(super) fn assumed() -> ContainerStateTerminated {
    ContainerStateTerminated {
        exit_code: 0,
        reason: Some("Completed".into()),
        message: Some("the init container is gone from the runtime; since regular containers were made, it had succeeded".into()),
        ..ContainerStateTerminated::default()
    }
}

/// A state that is over.
pub(super) fn ended(end: ContainerStateTerminated) -> ContainerState {
    ContainerState { terminated: Some(end), ..ContainerState::default() }
}

/// A state that waits.
pub(super) fn waiting_for(reason: &str, message: &str) -> ContainerState {
    let message = Some(message.to_owned()).filter(|message| !message.is_empty());
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

/// The state before anything is known.
pub(super) fn waiting_by_default(situation: &Situation<'_>) -> ContainerState {
    let has_init = situation.spec.init_containers.iter().flatten().next().is_some();
    waiting_for(if has_init { "PodInitializing" } else { "ContainerCreating" }, "")
}

/// Who a container runs as.
pub(super) fn user(user: &LinuxUser) -> ContainerUser {
    let linux = LinuxContainerUser {
        uid: user.uid,
        gid: user.gid,
        supplemental_groups: Some(user.supplemental_groups.clone()).filter(|groups| !groups.is_empty()),
    };
    ContainerUser { linux: Some(linux) }
}

/// Cuts termination messages so that those of all containers stay within bounds together.
pub(super) fn cut_messages(status: &mut ContainerStatus, containers: usize) {
    let most = MESSAGES_MOST / containers.max(1);
    for state in [&mut status.state, &mut status.last_state].into_iter().flatten() {
        if let Some(message) = state.terminated.as_mut().and_then(|end| end.message.as_mut()) {
            let end = (0..=most.min(message.len())).rev().find(|end| message.is_char_boundary(*end));
            message.truncate(end.unwrap_or(0));
        }
    }
}
