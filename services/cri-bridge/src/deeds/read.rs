//! Reading back what the runtime holds.

use super::{Saw, Subject};
use crate::{
    adapters::{containerd::RuntimeError, pod_files},
    core::{labels::Remembered, readback, termination},
};
use chassis::{
    clock,
    telemetry::{self, Peer},
};
use futures::future::join_all;
use messages::{
    BootTime,
    cri_bridge::{Container, ContainerState, Sandbox},
};
use proto::runtime::v1 as cri;
use std::{cmp::Reverse, collections::BTreeSet, path::Path};

/// What the runtime holds of a pod.
#[derive(Debug, Clone, Default)]
pub struct Holding {
    /// Its sandboxes, newest first.
    pub sandboxes: Vec<Sandbox>,
    /// Its containers.
    pub containers: Vec<Container>,
}

/// Reads one sandbox and tells of it.
///
/// # Errors
/// When the runtime does not answer.
pub async fn sandbox(subject: &Subject, id: &str) -> Result<Option<Sandbox>, RuntimeError> {
    let at = clock::now_boot();
    let asked = subject.world.runtime.sandbox_status(id);
    let asked = telemetry::noting((Peer::Runtime, "read sandbox"), subject.attributes(), asked);
    let Some(status) = asked.await? else {
        subject.saw(Saw::Gone(id.to_owned()));
        return Ok(None);
    };
    let Some((identity, sandbox)) = readback::sandbox(&status) else { return Ok(None) };
    subject.saw(Saw::Sandbox(identity, sandbox.clone(), at));
    Ok(Some(sandbox))
}

/// Reads one container of a sandbox and tells of it.
///
/// # Errors
/// When the runtime does not answer.
pub async fn container(
    subject: &Subject,
    id: &str,
    sandbox: &str,
) -> Result<Option<Container>, RuntimeError> {
    let at = clock::now_boot();
    let asked = subject.world.runtime.container_status(id);
    let asked = telemetry::noting((Peer::Runtime, "read container"), subject.attributes(), asked);
    let Some(status) = asked.await? else {
        subject.saw(Saw::Gone(id.to_owned()));
        return Ok(None);
    };
    let own = own_message(&status, &subject.node.pod_logs);
    let container = readback::container(&status, sandbox, &own);
    if let Some(container) = container.clone() {
        subject.saw(Saw::Container(container, at));
    }
    Ok(container)
}

/// Lists everything of the pod, reads what is not known to have ended, and tells of all.
///
/// # Errors
/// When the runtime does not answer.
pub async fn all(subject: &Subject) -> Result<Holding, RuntimeError> {
    let at = clock::now_boot();
    let runtime = &subject.world.runtime;
    let sandboxes = runtime.list_sandboxes(Some(&subject.uid));
    let containers = runtime.list_containers(Some(&subject.uid));
    let listing = async { futures::try_join!(sandboxes, containers) };
    let listing = telemetry::noting((Peer::Runtime, "list pod"), subject.attributes(), listing);
    let (sandboxes, containers) = listing.await?;
    listed(subject, &sandboxes, &containers, at).await
}

/// Reads what a list shows and is not known to have ended, and tells of all.
///
/// # Errors
/// When the runtime does not answer.
pub async fn listed(
    subject: &Subject,
    sandboxes: &[cri::PodSandbox],
    containers: &[cri::Container],
    at: BootTime,
) -> Result<Holding, RuntimeError> {
    let sandbox_ids = sandboxes.iter().map(|it| it.id.clone());
    let ids: BTreeSet<String> = sandbox_ids.chain(containers.iter().map(|it| it.id.clone())).collect();
    subject.saw(Saw::Listed(ids, at));
    let known = |id: &str| {
        subject
            .containers
            .iter()
            .find(|known| known.id == id && known.state == ContainerState::Exited)
            .cloned()
    };
    let sandboxes = sandboxes.iter().map(|it| sandbox(subject, &it.id));
    let containers = containers.iter().map(|it| async {
        match known(&it.id) {
            Some(ended) => Ok(Some(ended)),
            None => container(subject, &it.id, &it.pod_sandbox_id).await,
        }
    });
    let (sandboxes, containers) = futures::join!(join_all(sandboxes), join_all(containers));
    let mut holding = Holding {
        sandboxes: sandboxes.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?,
        containers: containers.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?,
    };
    holding.sandboxes.sort_by_key(|sandbox| Reverse(sandbox.attempt));
    Ok(holding)
}

/// What a container that has ended says of itself: its termination log, or the end of its log.
fn own_message(status: &cri::ContainerStatus, pod_logs: &Path) -> String {
    if readback::state(status.state()) != ContainerState::Exited {
        return String::new();
    }
    let remembered = Remembered::of(&status.annotations);
    let file = termination::host_path(status, &remembered.termination_message_path);
    let message = match file.map(|file| pod_files::tail(Path::new(file), termination::FILE_LIMIT)) {
        Some(Ok((message, _))) => message,
        // With the pod's folder its logs are gone, and there is nobody left to tell.
        Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
            format!("Error on reading termination log {}: {error}", file.unwrap_or_default())
        }
        _ => String::new(),
    };
    if message.is_empty() && termination::wants_log(status, remembered.falls_back_to_logs) {
        return end_of_log(Path::new(&status.log_path), pod_logs);
    }
    message
}

fn end_of_log(log: &Path, pod_logs: &Path) -> String {
    if !log.starts_with(pod_logs) {
        return String::new();
    }
    match pod_files::tail(log, termination::LOG_TAIL) {
        Ok((tail, is_cut)) => termination::end_of_log(&tail, is_cut),
        Err(error) => format!("Error on reading termination message from logs: {error}"),
    }
}
