//! Runs upstream's `e2e.test` through ginkgo, which spreads the tests over several processes of it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tests::parts;
use tests::process::Process;

use crate::cluster::Cluster;
use crate::report::{self, Report};
use crate::selection::Selection;

/// The file that ginkgo writes its report into.
const REPORT: &str = "report.json";

/// How to run it.
pub(crate) struct Run<'a> {
    /// How many tests at a time.
    pub(crate) procs: u8,
    /// When to give up.
    pub(crate) patience: Duration,
    /// Where the report and the log go.
    pub(crate) folder: &'a Path,
}

/// Runs the selected tests to their end and reads the report. That tests fail is no error of the run.
pub(crate) fn run(cluster: &Cluster, selection: &Selection, run: Run<'_>) -> Result<Report> {
    let mut process = Process::spawn("e2e", run.folder, command(cluster, selection, &run)?)?;
    process.finish(run.patience)?;
    let path = run.folder.join(REPORT);
    let told = std::fs::read(&path).with_context(|| {
        format!("the suite left no {}; its log ends:\n{}", path.display(), process.tail(15))
    })?;
    report::read(&told)
}

fn command(cluster: &Cluster, selection: &Selection, run: &Run<'_>) -> Result<Command> {
    let plane = cluster.plane();
    let mut command = plane.lan().hub().command(parts::built("ginkgo")?);
    command.args(["--no-color", "--succinct", &format!("--procs={}", run.procs)]);
    command.args([&format!("--timeout={}s", run.patience.as_secs()), &format!("--json-report={REPORT}")]);
    command.arg("--output-dir").arg(run.folder);
    command.args(selection.flags());
    command.arg(parts::built("e2e.test")?).arg("--");
    command.args(["--provider=local", "--node-os-distro=debian", "--disable-log-dump"]);
    command.arg("--kubeconfig").arg(plane.admin());
    command.arg("--kubectl-path").arg(parts::built("kubectl")?);
    Ok(command)
}
