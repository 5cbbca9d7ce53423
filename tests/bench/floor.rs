//! The floor: how fast the runtime alone starts and stops such pods on this machine, today.
//!
//! Each pod has what a kubelet would give it: its cgroups, its hosts file, log folder and token volume, made before
//! the clock starts. While the clock runs there is nothing but the calls to the runtime, so many pods side by side,
//! and beside them a second client that writes to the API server what a node writes.

mod cri;
mod furniture;
mod writes;

use std::time::{Duration, Instant};

use crate::Plan;
use crate::figures::{Figures, millis};
use crate::floor::cri::{Cri, Started};
use crate::floor::furniture::Furniture;
use crate::floor::writes::Writes;
use crate::stage::{self, Stage};
use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};

/// Measures the runtime on a stage of its own.
pub(crate) fn measure(plan: &Plan) -> Result<Figures> {
    Stage::play(plan.containerd, |stage| {
        let mut floor = Floor::new(stage)?;
        let mut figures = Figures::default();
        floor.one_at_a_time(3, &mut Figures::default())?; // caches are filled by the first
        floor.one_at_a_time(plan.single, &mut figures)?;
        for &size in &plan.batches {
            floor.best_of(size, &plan.parallel, &mut figures)?;
        }
        floor.rest(plan, &mut figures)?;
        Ok(figures)
    })
}

/// The stage with what stands in for a node on it.
struct Floor<'a> {
    stage: &'a mut Stage,
    furniture: Furniture,
    cri: Cri,
    writes: Writes,
}

/// A batch of pods that runs, and how that went.
struct Batch {
    pods: Vec<Started>,
    starts: Vec<Duration>,
    all: Duration,
}

impl<'a> Floor<'a> {
    fn new(stage: &'a mut Stage) -> Result<Self> {
        let furniture = Furniture::new(stage)?;
        let socket = stage.node.containerd().socket();
        let cri = stage.runtime.block_on(Cri::connect(&socket))?;
        let writes = stage.runtime.block_on(Writes::new(stage.client.clone(), stage.node.name()))?;
        Ok(Self { stage, furniture, cri, writes })
    }

    fn one_at_a_time(&mut self, count: usize, figures: &mut Figures) -> Result<()> {
        let (mut starts, mut ends, mut pods) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            let batch = self.start(1, 1)?;
            starts.push(batch.all);
            pods.extend(batch.pods);
        }
        for pod in pods {
            ends.extend(self.stop(vec![pod], 1)?);
        }
        figures.note_spread("single", &starts);
        figures.note_spread("single.delete", &ends);
        Ok(())
    }

    /// The figures of the number of pods in parallel that the runtime likes best.
    fn best_of(&mut self, size: usize, parallel: &[usize], figures: &mut Figures) -> Result<()> {
        let mut best: Option<(Batch, Vec<Duration>)> = None;
        for &parallel in parallel {
            let mut batch = self.start(size, parallel)?;
            let ends = self.stop(std::mem::take(&mut batch.pods), parallel)?;
            figures.note(format!("batch.{size}.all.{parallel}-parallel"), millis(batch.all));
            if best.as_ref().is_none_or(|(best, _)| batch.all < best.all) {
                best = Some((batch, ends));
            }
        }
        let Some((batch, ends)) = best else { return Ok(()) };
        figures.note_spread(&format!("batch.{size}"), &batch.starts);
        figures.note(format!("batch.{size}.all"), millis(batch.all));
        figures.note_spread(&format!("batch.{size}.delete"), &ends);
        figures
            .note(format!("batch.{size}.delete.all"), millis(ends.iter().max().copied().unwrap_or_default()));
        Ok(())
    }

    /// What the runtime uses of CPU while its pods are left alone.
    fn rest(&mut self, plan: &Plan, figures: &mut Figures) -> Result<()> {
        let parallel = plan.parallel.first().copied().unwrap_or(1);
        let batch = self.start(plan.crowd(), parallel)?;
        stage::settle();
        let used = |stage: &mut Stage| Ok([stage.containerd_cpu()?, stage.shims_cpu()?]);
        let [containerd, shims] = self.stage.over(plan.window, used)?;
        figures.note("rest.crowded.containerd", containerd);
        figures.note("rest.crowded.shims", shims);
        self.stop(batch.pods, parallel).map(drop)
    }

    /// Starts pods, so many in parallel. A start is counted from the beginning of the batch, as a watcher of pods that
    /// were all made at once would see it.
    fn start(&mut self, count: usize, parallel: usize) -> Result<Batch> {
        let names = self.stage.names(count);
        self.stage.create(&names)?;
        let rooms = names.iter().map(|name| self.furniture.make(name)).collect::<Result<Vec<_>>>()?;
        let (cri, writes) = (&self.cri, &self.writes);
        let begin = Instant::now();
        let done = stream::iter(rooms).map(|room| async move {
            writes.before();
            let started = cri.start(room).await?;
            let at = begin.elapsed();
            writes.started(&started.room);
            anyhow::Ok((started, at))
        });
        let done: Vec<_> = self.stage.runtime.block_on(done.buffer_unordered(parallel).try_collect())?;
        self.stage.runtime.block_on(self.writes.settled())?;
        let (pods, starts): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        Ok(Batch { pods, all: starts.iter().max().copied().unwrap_or_default(), starts })
    }

    /// Stops and removes pods; how long it took from the beginning to the end of each.
    fn stop(&mut self, pods: Vec<Started>, parallel: usize) -> Result<Vec<Duration>> {
        let (cri, writes) = (&self.cri, &self.writes);
        let begin = Instant::now();
        let done = stream::iter(&pods).map(|pod| async move {
            cri.stop(pod).await?;
            let at = begin.elapsed();
            writes.stopped(&pod.room);
            anyhow::Ok(at)
        });
        let done = self.stage.runtime.block_on(done.buffer_unordered(parallel).try_collect());
        self.stage.runtime.block_on(self.writes.settled())?;
        pods.iter().try_for_each(|pod| self.furniture.remove(&pod.room))?;
        done
    }
}
