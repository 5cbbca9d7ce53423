//! Removing the dead containers and sandboxes of a living pod that nobody will ask for.

use super::{Saw, Subject};
use crate::{
    adapters::pod_files,
    core::{collection::Garbage, names},
};
use chassis::error;
use tracing::{debug, warn};

/// Removes the garbage. What cannot be removed now is garbage the next time too.
pub async fn collect(subject: Subject, garbage: Garbage) {
    for id in &garbage.containers {
        match subject.world.runtime.remove_container(id).await {
            Err(error) => debug!(error = error::chain(&error), "a dead container stays"),
            Ok(()) => {
                remove_log(&subject, id);
                subject.saw(Saw::Gone(id.clone()));
            }
        }
    }
    for id in &garbage.sandboxes {
        let stopped = subject.world.runtime.stop_sandbox(id).await;
        let removed = match stopped {
            Ok(()) => subject.world.runtime.remove_sandbox(id).await,
            Err(error) => Err(error),
        };
        match removed {
            Ok(()) => subject.saw(Saw::Gone(id.clone())),
            Err(error) => debug!(error = error::chain(&error), "a dead sandbox stays"),
        }
    }
    pod_files::remove_dead_links(&subject.world.links);
}

fn remove_log(subject: &Subject, id: &str) {
    let Some(container) = subject.containers.iter().find(|it| it.id == id) else { return };
    let Subject { namespace, name, uid, node, .. } = subject;
    let folder = names::pod_log_directory(&node.pod_logs, namespace, name, uid);
    let log = folder.join(names::log_path(container.name.as_str(), container.attempt));
    if let Err(bad) = pod_files::remove_logs(&log) {
        warn!(error = error::chain(&bad), "a log stays");
    }
}
