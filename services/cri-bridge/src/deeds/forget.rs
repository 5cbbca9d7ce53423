//! Giving back what a stopped pod still holds.

use super::{End, Saw, Subject, read};
use crate::{
    adapters::{containerd::RuntimeError, pod_files},
    core::names,
};
use chassis::error;
use futures::future::join_all;
use messages::{Fault, cri_bridge::ContainerState};
use tokio::task::spawn_blocking;

/// Removes the pod's cgroup, and with `remove_containers` its dead containers, sandboxes and logs.
pub async fn forget(mut subject: Subject, remove_containers: bool) -> End {
    run(&mut subject, remove_containers).await.map_or_else(|end| end, |()| End::Done)
}

fn failed(why: String) -> End {
    End::Failed(Fault::new("FailedForgetPod", why))
}

fn not_answered(error: &RuntimeError) -> End {
    End::of_call(error, || failed(error.shown()))
}

async fn run(subject: &mut Subject, remove_containers: bool) -> Result<(), End> {
    let held = read::all(subject).await.map_err(|error| not_answered(&error))?;
    (subject.sandboxes, subject.containers) = (held.sandboxes, held.containers);
    let runs = subject.containers.iter().find(|it| it.state == ContainerState::Running);
    if let Some(running) = runs {
        return Err(failed(format!("container {} still runs", running.name)));
    }
    if remove_containers {
        let _pass = subject.turn_to_end().await;
        remove(subject).await?;
    }
    let removed = subject.world.cgroups.remove(subject.uid.clone()).await;
    removed.map_err(|bad| failed(error::chain(&bad)))?;
    subject.saw(Saw::Cgroup(false));
    if !remove_containers {
        return Ok(());
    }
    subject.world.claims.release(&subject.uid);
    read::all(subject).await.map(drop).map_err(|error| not_answered(&error))
}

/// Containers before the sandboxes that they are in, logs last.
async fn remove(subject: &Subject) -> Result<(), End> {
    let runtime = &subject.world.runtime;
    let containers = subject.containers.iter().map(|it| runtime.remove_container(&it.id));
    first_failure(join_all(containers).await)?;
    let sandboxes = subject.sandboxes.iter().map(|it| async {
        if it.ready {
            runtime.stop_sandbox(&it.id).await?;
        }
        runtime.remove_sandbox(&it.id).await
    });
    first_failure(join_all(sandboxes).await)?;
    let Subject { namespace, name, uid, node, world, .. } = subject;
    if name.is_empty() {
        return Ok(());
    }
    let folder = names::pod_log_directory(&node.pod_logs, namespace, name, uid);
    let links = world.links.clone();
    let removed = spawn_blocking(move || {
        let removed = pod_files::remove_log_folder(&folder);
        pod_files::remove_dead_links(&links);
        removed
    });
    removed.await.expect("removing files does not panic").map_err(|bad| failed(error::chain(&bad)))
}

fn first_failure(ends: Vec<Result<(), RuntimeError>>) -> Result<(), End> {
    ends.into_iter().find_map(Result::err).map_or(Ok(()), |error| Err(not_answered(&error)))
}
