//! `bulkhead down`: ends a node's processes; with `--pods`, its pods first.

use crate::{cli::Down, guard, node, settings};
use anyhow::{Context, bail};
use chassis::{Bus, Heard, config::NodeConfig};
use messages::{
    Key, Outcome, State,
    pod_lifecycle::{Pod, RemovePods},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    collections::BTreeSet,
    path::Path,
    process::ExitCode,
    thread::sleep,
    time::{Duration, Instant},
};

/// How long pod-lifecycle may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long the processes may take to leave: longer than the supervisor waits for all its groups.
const LEAVING: Duration = Duration::from_secs(30);
/// How often it is looked whether they have.
const AGAIN: Duration = Duration::from_millis(50);

/// Ends the node of a folder; no error when none runs.
///
/// # Errors
/// When it does not end, or its pods cannot be removed.
pub(crate) fn down(asked: &Down) -> anyhow::Result<ExitCode> {
    let root_dir = settings::root_dir(Some(&asked.node.root_dir));
    let node_dir = root_dir.join("bulkhead");
    let Some(supervisor) = guard::holder(&node_dir) else {
        println!("no node runs in {}", root_dir.display());
        return Ok(ExitCode::SUCCESS);
    };
    if asked.pods {
        remove_pods(&node::config(&root_dir)?)?;
    }
    let pid = i32::try_from(supervisor).context("the lock file holds no process id")?;
    kill(Pid::from_raw(pid), Signal::SIGTERM).with_context(|| format!("could not signal process {pid}"))?;
    wait_until_left(&node_dir)?;
    Ok(ExitCode::SUCCESS)
}

fn wait_until_left(node_dir: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + LEAVING;
    while let Some(pid) = guard::holder(node_dir) {
        if Instant::now() > deadline {
            bail!("process {pid} does not leave; its log tells why");
        }
        sleep(AGAIN);
    }
    Ok(())
}

fn remove_pods(config: &NodeConfig) -> anyhow::Result<()> {
    node::visit(config, async |bus| {
        let outcome =
            bus.ask(&RemovePods {}, ANSWER).await.context("pod-lifecycle was not told to remove the pods")?;
        match outcome {
            Outcome::Accepted | Outcome::Done { .. } => until_none_is_left(bus).await,
            Outcome::Failed { fault } => bail!("the pods could not be removed: {}", fault.message),
            Outcome::Refused { refusal } => bail!("the pods were not removed: {refusal}"),
        }
    })
}

/// Waits for as long as the pods' own grace periods take; says how many are left when that changes.
async fn until_none_is_left(bus: &Bus) -> anyhow::Result<()> {
    let mut hearing = bus.hear::<Pod>().await?;
    let (mut left, mut complete, mut said) = (BTreeSet::<Key>::new(), false, usize::MAX);
    while !(complete && left.is_empty()) {
        complete |= count(&mut left, hearing.next().await);
        if complete && said != left.len() {
            said = left.len();
            println!("{said} pods left");
        }
    }
    Ok(())
}

/// Keeps count of the keys of a state. True for the word that all was said.
fn count<S: State>(left: &mut BTreeSet<Key>, heard: Heard<S>) -> bool {
    match heard {
        Heard::Value { state, .. } => {
            left.insert(state.key());
            false
        }
        Heard::Gone { key } => {
            left.remove(&key);
            false
        }
        Heard::Complete => true,
    }
}
