//! How soon the node sees that a container died behind its back, with the runtime's events and without them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::fault::runtime::Runtime;
use tests::kubelet::Flavour;
use tests::wait;

use crate::figures::Figures;
use crate::stage::{self, Stage};

/// Containers that are killed, one after another.
const KILLED: usize = 5;
/// How long a death may take to be seen, or a process to begin again.
const PATIENCE: Duration = Duration::from_secs(120);

/// Kills containers of running pods; how long until the watcher sees that they died.
pub(crate) fn measure(
    stage: &mut Stage,
    flavour: Flavour,
    names: &[String],
    figures: &mut Figures,
) -> Result<()> {
    let killed = names.iter().take(KILLED);
    let times = killed.map(|name| death(stage, name)).collect::<Result<Vec<_>>>()?;
    figures.note_spread("death", &times);
    // The stock kubelet follows no events that could be kept from it.
    match names.get(KILLED) {
        Some(name) if flavour == Flavour::Ours => unheard(stage, name, figures),
        _ => Ok(()),
    }
}

/// The same while the runtime's events do not come through, and nobody says so.
fn unheard(stage: &mut Stage, name: &str, figures: &mut Figures) -> Result<()> {
    let runtime = Runtime::in_place_of(&stage.node.containerd().socket())?;
    runtime.silence("GetContainerEvents");
    begin_again(stage, "cri-bridge")?;
    // By then it has listed everything, and listed it again after subscribing.
    stage::settle();
    figures.note_spread("death.unheard", &[death(stage, name)?]);
    drop(runtime);
    begin_again(stage, "cri-bridge")?;
    stage::settle();
    Ok(())
}

/// Kills one of our processes and waits for its next life.
fn begin_again(stage: &mut Stage, job: &str) -> Result<()> {
    let before = stage.node.process(job)?;
    before.signal(Signal::SIGKILL)?;
    wait::until(&format!("another {job}"), PATIENCE, || {
        ensure!(stage.node.process(job)?.pid != before.pid, "it is the one of before");
        Ok(())
    })
}

/// Kills the container of a pod, and waits until that was seen and it runs again.
fn death(stage: &mut Stage, name: &str) -> Result<Duration> {
    let before = stage.recorder.of(name);
    let id = before.last().and_then(|sighting| sighting.seen.containers.first()).map(|each| &each.id);
    let id = id.context("a running pod without a container")?.trim_start_matches("containerd://");
    let pid = stage.node.containerd().pid_of(id)?;
    let begin = Instant::now();
    kill(Pid::from_raw(pid), Signal::SIGKILL).with_context(|| format!("killing the container of {name}"))?;
    let seen = wait::until(&format!("the death in {name}"), PATIENCE, || {
        let news = stage.recorder.of(name).split_off(before.len());
        let died = news.iter().find(|each| !each.seen.is_running() || each.seen.containers[0].restarts > 0);
        died.map(|sighting| sighting.at).context("it is still said to run")
    })?;
    wait::until(&format!("{name} running again"), PATIENCE, || {
        let last = stage.recorder.of(name).pop();
        ensure!(last.is_some_and(|each| each.seen.is_running()), "it is not running");
        Ok(())
    })?;
    Ok(seen.saturating_duration_since(begin))
}
