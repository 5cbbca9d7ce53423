//! The node's speed and size beside the stock kubelet's and beside the runtime alone, in one run on one machine.
//!
//!     cargo run --release -p tests --bin bench -- --json bench.json
//!     cargo run --release -p tests --bin bench -- --quick --parts floor,stock
//!
//! What it prints are figures and ratios, with the budgets that we give ourselves beside them. It never judges: the
//! numbers move by a third between machines, and the ratios are for people to read.

mod deaths;
mod figures;
mod floor;
mod kubelet;
mod machine;
mod stage;
mod table;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use tests::containerd::Version;
use tests::kubelet::Flavour;
use tests::parts;

use crate::figures::{Figures, Part};
use crate::table::Table;

/// Programs that every part needs.
const PROGRAMS: &[&str] = &["kube-apiserver", "containerd"];

/// Measures pods straight through CRI (the floor), on the stock kubelet, and on ours.
#[derive(Parser)]
struct Arguments {
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["floor", "stock", "ours"])]
    parts: Vec<Part>,
    /// About two minutes a part: fewer pods, shorter churn, a shorter look at rest
    #[arg(long)]
    quick: bool,
    /// Pods started and deleted one at a time
    #[arg(long)]
    single: Option<usize>,
    /// Pods started at once; the largest of these batches stays for the look at rest
    #[arg(long, value_delimiter = ',')]
    batches: Option<Vec<usize>>,
    /// Seconds of pods coming and going before memory is measured
    #[arg(long)]
    churn: Option<u64>,
    /// Seconds that the node is looked at while it has nothing to do
    #[arg(long)]
    window: Option<u64>,
    /// How many pods the floor starts in parallel; of several the best counts
    #[arg(long, value_delimiter = ',', default_values = ["4", "8"])]
    parallel: Vec<usize>,
    /// Which containerd: 1.6 (Debian's) or 2.4
    #[arg(long, default_value = "2.4")]
    containerd: Version,
    /// Write the figures to this file as well
    #[arg(long)]
    json: Option<PathBuf>,
}

/// How much is measured: the same for all parts.
struct Plan {
    containerd: Version,
    single: usize,
    batches: Vec<usize>,
    parallel: Vec<usize>,
    churn: Duration,
    window: Duration,
}

impl Plan {
    fn new(arguments: &Arguments) -> Self {
        let (single, churn, window, batches) =
            if arguments.quick { (8, 15, 15, vec![30]) } else { (25, 600, 60, vec![30, 110]) };
        let mut batches = arguments.batches.clone().unwrap_or(batches);
        batches.sort_unstable();
        Self {
            containerd: arguments.containerd,
            single: arguments.single.unwrap_or(single),
            batches,
            parallel: arguments.parallel.clone(),
            churn: Duration::from_secs(arguments.churn.unwrap_or(churn)),
            window: Duration::from_secs(arguments.window.unwrap_or(window)),
        }
    }

    /// How many pods are there when the node is looked at at rest.
    fn crowd(&self) -> usize {
        self.batches.last().copied().unwrap_or_default()
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let plan = Plan::new(&arguments);
    if let Some(reason) = lacking(&arguments.parts) {
        bail!("{reason}");
    }
    let mut table = Table::new(&plan);
    let mut failed = Vec::new();
    for part in [Part::Floor, Part::Stock, Part::Ours] {
        if arguments.parts.contains(&part) {
            eprintln!("{part}: measuring");
            // What was measured of the others is not lost.
            match measure(part, &plan) {
                Ok(figures) => table.add(part, figures),
                Err(error) => {
                    eprintln!("{part}: {error:?}");
                    failed.push(part.to_string());
                }
            }
        }
    }
    println!("{}\n\n{table}", machine::describe(&plan)?);
    if let Some(path) = arguments.json {
        fs::write(path, serde_json::to_string_pretty(&table.json(&machine::describe(&plan)?))?)?;
    }
    ensure!(failed.is_empty(), "{} could not be measured to the end", failed.join(" and "));
    Ok(())
}

fn lacking(chosen: &[Part]) -> Option<String> {
    let flavour = |part: &Part| part.flavour().and_then(Flavour::lacking);
    parts::lacking(PROGRAMS).or_else(|| chosen.iter().find_map(flavour))
}

fn measure(part: Part, plan: &Plan) -> Result<Figures> {
    match part.flavour() {
        None => floor::measure(plan),
        Some(flavour) => kubelet::measure(flavour, plan),
    }
}
