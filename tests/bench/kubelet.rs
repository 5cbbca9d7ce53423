//! What a kubelet is measured by: the same for stock and ours.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::Signal;
use tests::kubelet::Flavour;
use tests::processes::{self, Seen};

use crate::Plan;
use crate::deaths;
use crate::figures::{Figures, millis};
use crate::stage::{self, Stage, between, overall};

/// Pods that come and go together while the node is churned.
const CHURNED: usize = 10;

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
            let names = at_once(stage, size, &mut figures)?;
            if size == plan.crowd() {
                crowded(stage, flavour, &names, plan.window, &mut figures)?;
            }
            all_gone(stage, size, &names, &mut figures)?;
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

/// Starts `size` pods at once.
fn at_once(stage: &mut Stage, size: usize, figures: &mut Figures) -> Result<Vec<String>> {
    let names = stage.names(size);
    let (sent, running) = (stage.create(&names)?, stage.running(&names)?);
    figures.note_spread(&format!("batch.{size}"), &between(&sent, &running));
    figures.note(format!("batch.{size}.all"), millis(overall(&sent, &running)));
    Ok(names)
}

/// Looks at the node while the largest batch is there.
fn crowded(
    stage: &mut Stage,
    flavour: Flavour,
    names: &[String],
    window: Duration,
    figures: &mut Figures,
) -> Result<()> {
    stage::settle();
    figures.note("memory.crowded", mebibytes(&own(stage)?));
    rest(stage, "rest.crowded", window, figures)?;
    caused(stage, window, figures)?;
    deaths::measure(stage, flavour, names, figures)
}

/// Deletes them at once.
fn all_gone(stage: &mut Stage, size: usize, names: &[String], figures: &mut Figures) -> Result<()> {
    let (sent, gone) = (stage.delete(names)?, stage.gone(names)?);
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

/// What the node causes in the runtime at rest: what that uses beyond what it uses by itself, while the node's processes
/// stand still. It is this very runtime, since what it has been through counts.
fn caused(stage: &mut Stage, window: Duration, figures: &mut Figures) -> Result<()> {
    let own = own(stage)?;
    own.iter().try_for_each(|process| process.signal(Signal::SIGSTOP))?;
    let alone = stage.over(window, |stage| Ok([stage.containerd_cpu()?]));
    own.iter().try_for_each(|process| process.signal(Signal::SIGCONT))?;
    let [alone] = alone?;
    figures.note("rest.crowded.alone", alone);
    if let Some(with) = figures.get("rest.crowded.containerd") {
        figures.note("rest.crowded.caused", with - alone);
    }
    stage::settle();
    Ok(())
}

/// The processes of the node: the stock kubelet, or the supervisor with all services, their workers and the bus.
fn own(stage: &mut Stage) -> Result<Vec<Seen>> {
    processes::tree(stage.node.kubelet()?.pid())
}

fn mebibytes(processes: &[Seen]) -> f64 {
    processes::memory(processes) as f64 / 1024.0
}
