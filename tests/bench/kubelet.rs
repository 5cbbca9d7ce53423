//! What a kubelet is measured by: the same for stock and ours.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::kubelet::Flavour;
use tests::processes::{self, Seen};
use tests::wait;

use crate::Plan;
use crate::figures::{Figures, millis};
use crate::stage::{self, Stage, between, overall};

/// Pods that come and go together while the node is churned.
const CHURNED: usize = 10;
/// Containers that are killed behind the node's back, one after another.
const KILLED: usize = 5;
/// How long a death may take to be seen.
const MOURNING: Duration = Duration::from_secs(120);

/// Measures a kubelet on a stage of its own.
pub(crate) fn measure(flavour: Flavour, plan: &Plan) -> Result<Figures> {
    Stage::play(plan.containerd, |stage| {
        let mut figures = Figures::default();
        stage.node.start_kubelet(flavour, &stage.plane)?;
        warn_of_strangers(&own(stage)?)?;
        warm_up(stage)?;
        figures.note("memory.fresh", mebibytes(&own(stage)?));
        one_at_a_time(stage, plan.single, &mut figures)?;
        churn(stage, plan.churn)?;
        stage::settle();
        figures.note("memory.empty", mebibytes(&own(stage)?));
        rest(stage, "rest.empty", plan.window, &mut figures)?;
        for &size in &plan.batches {
            at_once(stage, size, size == plan.crowd(), plan.window, &mut figures)?;
        }
        Ok(figures)
    })
}

/// Pages of a program that others run too are divided among all: beside another node this one looks small.
fn warn_of_strangers(own: &[Seen]) -> Result<()> {
    let programs: BTreeSet<PathBuf> = own.iter().filter_map(Seen::program).collect();
    let is_stranger = |seen: &Seen| {
        own.iter().all(|each| each.pid != seen.pid)
            && seen.program().is_some_and(|each| programs.contains(&each))
    };
    match processes::all()?.into_iter().filter(is_stranger).count() {
        0 => {}
        count => {
            eprintln!("{count} other processes run the same programs: memory will look smaller than it is")
        }
    }
    Ok(())
}

/// The first pods of a machine's life pay for caches that the later ones find filled.
fn warm_up(stage: &mut Stage) -> Result<()> {
    let names = stage.names(3);
    stage.create(&names)?;
    stage.running(&names)?;
    stage.delete(&names)?;
    stage.gone(&names)?;
    stage.clear()
}

fn one_at_a_time(stage: &mut Stage, count: usize, figures: &mut Figures) -> Result<()> {
    let names = stage.names(count);
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    for name in names.chunks(1) {
        starts.extend(between(&stage.create(name)?, &stage.running(name)?));
    }
    for name in names.chunks(1) {
        ends.extend(between(&stage.delete(name)?, &stage.gone(name)?));
    }
    figures.note_spread("single", &starts);
    figures.note_spread("single.delete", &ends);
    stage.clear()
}

/// Starts `size` pods at once and deletes them at once. While the largest batch is there, the node is looked at.
fn at_once(
    stage: &mut Stage,
    size: usize,
    largest: bool,
    window: Duration,
    figures: &mut Figures,
) -> Result<()> {
    let names = stage.names(size);
    let (sent, running) = (stage.create(&names)?, stage.running(&names)?);
    figures.note_spread(&format!("batch.{size}"), &between(&sent, &running));
    figures.note(format!("batch.{size}.all"), millis(overall(&sent, &running)));
    if largest {
        stage::settle();
        figures.note("memory.crowded", mebibytes(&own(stage)?));
        rest(stage, "rest.crowded", window, figures)?;
        deaths(stage, &names, figures)?;
    }
    let (sent, gone) = (stage.delete(&names)?, stage.gone(&names)?);
    figures.note_spread(&format!("batch.{size}.delete"), &between(&sent, &gone));
    figures.note(format!("batch.{size}.delete.all"), millis(overall(&sent, &gone)));
    stage.clear()
}

fn churn(stage: &mut Stage, time: Duration) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < time {
        let names = stage.names(CHURNED);
        stage.create(&names)?;
        stage.running(&names)?;
        stage.delete(&names)?;
        stage.gone(&names)?;
        stage.recorder.clear();
    }
    stage.clear()
}

/// What the node, and the runtime on its behalf, use of CPU while nothing happens.
fn rest(stage: &mut Stage, name: &str, window: Duration, figures: &mut Figures) -> Result<()> {
    let used =
        |stage: &mut Stage| Ok([processes::cpu(&own(stage)?)?, stage.containerd_cpu()?, stage.shims_cpu()?]);
    let shares = stage.over(window, used)?;
    for (whose, share) in ["own", "containerd", "shims"].into_iter().zip(shares) {
        figures.note(format!("{name}.{whose}"), share);
    }
    Ok(())
}

/// Kills containers behind the node's back; how long until the watcher sees that they died.
fn deaths(stage: &mut Stage, names: &[String], figures: &mut Figures) -> Result<()> {
    let mut times = Vec::new();
    for name in names.iter().take(KILLED) {
        let before = stage.recorder.of(name);
        let id = before.last().and_then(|sighting| sighting.seen.containers.first()).map(|each| &each.id);
        let id = id.context("a running pod without a container")?.trim_start_matches("containerd://");
        let pid = stage.node.containerd().pid_of(id)?;
        let begin = Instant::now();
        kill(Pid::from_raw(pid), Signal::SIGKILL)
            .with_context(|| format!("killing the container of {name}"))?;
        let seen = wait::until(&format!("the death in {name}"), MOURNING, || {
            let news = stage.recorder.of(name).split_off(before.len());
            let died =
                news.iter().find(|each| !each.seen.is_running() || each.seen.containers[0].restarts > 0);
            died.map(|sighting| sighting.at).context("it is still said to run")
        })?;
        times.push(seen.saturating_duration_since(begin));
        wait::until(&format!("{name} running again"), MOURNING, || {
            let last = stage.recorder.of(name).pop();
            ensure!(last.is_some_and(|each| each.seen.is_running()), "it is not running");
            Ok(())
        })?;
    }
    figures.note_spread("death", &times);
    Ok(())
}

/// The processes of the node: the stock kubelet, or the supervisor with all services, their workers and the bus.
fn own(stage: &mut Stage) -> Result<Vec<Seen>> {
    processes::tree(stage.node.kubelet()?.pid())
}

fn mebibytes(processes: &[Seen]) -> f64 {
    processes::memory(processes) as f64 / 1024.0
}
