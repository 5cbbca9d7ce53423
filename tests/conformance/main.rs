//! Upstream's end-to-end tests, run against the stock kubelet and against ours on the same real parts, and both
//! columns printed.
//!
//!     cargo run -p tests --bin conformance -- --flavour both
//!
//! The tests are those of `chosen.txt`, or what `--focus` selects. The exit status is 1 when ours does not pass what
//! the stock kubelet passes, and 2 when the run itself did not come about.

mod cluster;
mod report;
mod selection;
mod suite;
mod table;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use tests::kubelet::Flavour;
use tests::parts;

use crate::cluster::Cluster;
use crate::selection::Selection;
use crate::table::{Column, Table};

/// Programs that a run needs besides the kubelet.
const PROGRAMS: &[&str] = &["kube-apiserver", "containerd", "kube-proxy", "coredns", "e2e.test", "ginkgo"];

/// Runs upstream's end-to-end tests on nodes of ours and on stock ones.
#[derive(Parser)]
struct Arguments {
    /// Whose kubelet
    #[arg(long, value_enum, default_value = "both")]
    flavour: Flavours,
    /// Run what this regular expression matches in place of the chosen tests (may be repeated)
    #[arg(long)]
    focus: Vec<String>,
    /// With --focus: leave out what this regular expression matches
    #[arg(long, default_value = r"\[(Disruptive|Flaky|Serial|Slow)\]")]
    skip: String,
    /// How many tests run at a time
    #[arg(long, default_value_t = 3)]
    procs: u8,
    /// How many nodes the cluster has
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=10))]
    nodes: u8,
    /// When to give up, in minutes
    #[arg(long, default_value_t = 90)]
    minutes: u64,
    /// The folder for reports and logs, one folder per flavour in it
    #[arg(long, default_value = "target/conformance")]
    reports: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Flavours {
    Stock,
    Ours,
    Both,
}

impl Flavours {
    fn list(self) -> &'static [Flavour] {
        match self {
            Flavours::Stock => &[Flavour::Stock],
            Flavours::Ours => &[Flavour::Ours],
            Flavours::Both => &[Flavour::Stock, Flavour::Ours],
        }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    let flavours = arguments.flavour.list();
    let lacking = parts::lacking(PROGRAMS).or_else(|| flavours.iter().find_map(|each| each.lacking()));
    if let Some(reason) = lacking {
        bail!("{reason}");
    }
    let selection = match arguments.focus.as_slice() {
        [] => Selection::chosen(),
        focus => Selection::matching(focus, &arguments.skip),
    };
    let columns: Result<Vec<_>> =
        flavours.iter().map(|&flavour| column(flavour, &selection, arguments)).collect();
    let table = Table::new(selection.names(), columns?);
    print!("{table}");
    fs::write(arguments.reports.join("table.txt"), table.to_string())?;
    Ok(table.holds())
}

/// Raises a cluster of one flavour's nodes, runs the selected tests on it and takes it down again.
fn column(flavour: Flavour, selection: &Selection, arguments: &Arguments) -> Result<Column> {
    let folder = arguments.reports.join(flavour.to_string());
    let _ = fs::remove_dir_all(&folder); // a report of an earlier run
    fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;

    eprintln!("{flavour}: raising a cluster of {}", arguments.nodes);
    let mut cluster = Cluster::raise(flavour, arguments.nodes)?;
    eprintln!("{flavour}: running {selection}, {} at a time, into {}", arguments.procs, folder.display());
    let (begin, patience) = (Instant::now(), Duration::from_secs(60 * arguments.minutes));
    let report =
        suite::run(&cluster, selection, suite::Run { procs: arguments.procs, patience, folder: &folder });
    cluster.keep_logs(&folder)?;
    Ok(Column { flavour, outcomes: report?, took: begin.elapsed() })
}
