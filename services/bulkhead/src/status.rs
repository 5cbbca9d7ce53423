//! `bulkhead status`: each process with what it waits for and what it weighs, refused manifests, and
//! what is wrong. Works while the bus is away, with what the processes wrote last.

mod report;

use crate::{
    cli::{Output, Status},
    guard, host, node,
    process::Process,
    settings,
    supervisor::{self, Table},
};
use chassis::config::NodeConfig;
use messages::{
    Owner,
    cri_bridge::Runtime,
    health::Health,
    pod_lifecycle::{self, Refused},
    status_reporter,
};
use report::{ProcessReport, Report, Said};
use std::{process::ExitCode, time::Duration};

/// A process that was not heard for longer stands still, or is taken for dead where nobody knows its id: it says
/// something every 5 s.
const SILENCE: Duration = Duration::from_secs(15);

/// Prints the report. Fails, after it has printed, when the node does not work.
///
/// # Errors
/// When there is no node below the folder.
pub(crate) fn status(asked: &Status) -> anyhow::Result<ExitCode> {
    let config = node::config(&settings::root_dir(Some(&asked.node.root_dir)))?;
    let report = report(&config);
    match asked.output {
        Some(Output::Json) => println!("{}", serde_json::to_string_pretty(&report)?),
        None => print!("{}", report.text()),
    }
    Ok(if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the bus tells.
#[derive(Default)]
struct Heard {
    health: Vec<Health>,
    refused: Vec<Refused>,
    runtime: Option<Runtime>,
    node: Option<status_reporter::Node>,
    pods: usize,
}

fn report(config: &NodeConfig) -> Report {
    let supervisor = guard::holder(&config.dir());
    let mut problems = Vec::new();
    let heard = node::visit(config, async |bus| hear(bus).await).unwrap_or_else(|failure| {
        problems.push(format!("{failure:#}; what follows was said before"));
        if supervisor.is_none() {
            problems.push("no supervisor runs; start the node with: bulkhead up".to_owned());
        }
        Heard::default()
    });
    let runtime = heard.runtime.as_ref().filter(|runtime| !runtime.reachable);
    problems.extend(runtime.map(|runtime| format!("the runtime does not answer: {}", runtime.error)));
    let processes = processes(config, supervisor, &heard.health);
    Report {
        node: config.node_name.to_string(),
        mode: if config.is_standalone() { "standalone" } else { "cluster" },
        registered: heard.node.is_some_and(|node| node.registered),
        runtime: heard.runtime.map(|runtime| format!("{} {}", runtime.name, runtime.version)),
        pods: heard.pods,
        memory: processes.iter().filter_map(|process| process.memory).sum(),
        processes,
        refused: heard.refused,
        problems,
    }
}

async fn hear(bus: &chassis::Bus) -> anyhow::Result<Heard> {
    let services: Vec<Owner> = Owner::ALL.into_iter().filter(|owner| *owner != Owner::Bulkhead).collect();
    let (health, refused, runtime, node, pods) = futures::try_join!(
        node::health(bus, &services),
        node::all::<Refused>(bus),
        node::all::<Runtime>(bus),
        node::all::<status_reporter::Node>(bus),
        node::all::<pod_lifecycle::Status>(bus),
    )?;
    Ok(Heard {
        health,
        refused,
        runtime: runtime.into_iter().next(),
        node: node.into_iter().next(),
        pods: pods.len(),
    })
}

/// The supervisor's processes, or what others that start processes (`deploy/compose`) let us know:
/// which of them has said something a moment ago.
fn processes(config: &NodeConfig, supervisor: Option<u32>, heard: &[Health]) -> Vec<ProcessReport> {
    let Some(supervisor) = supervisor else {
        let now = chassis::clock::now_boot();
        let fresh =
            |owner| heard.iter().find(|said| said.owner == owner && now.since(said.at) < SILENCE).cloned();
        let of = |process| match process {
            Process::Bus => ProcessReport::unsupervised(process, None, !heard.is_empty()),
            Process::Service(owner) => ProcessReport::unsupervised(process, fresh(owner), false),
        };
        return Process::all().map(of).collect();
    };
    let table = Table::read(&Table::path(&config.dir())).ok().filter(|table| table.supervisor == supervisor);
    let entries = table.map(|table| table.processes).unwrap_or_default();
    let own = ProcessReport::supervisor(supervisor, host::memory(supervisor));
    let others = Process::all().map(|process| {
        let entry = entries.iter().find(|entry| entry.name == process.name());
        let pid = entry.and_then(|entry| entry.pid);
        let said = match process {
            Process::Bus => Said::Nothing,
            Process::Service(owner) => said(config, owner, heard),
        };
        let current = said.filter(|health| Some(health.pid) == pid);
        ProcessReport::of(process, entry, current, pid.and_then(host::memory))
    });
    std::iter::once(own).chain(others).collect()
}

/// What a process said on the bus, or else wrote into its folder, at its last change.
fn said(config: &NodeConfig, owner: Owner, heard: &[Health]) -> Said {
    let now = chassis::clock::now_boot();
    match heard.iter().find(|health| health.owner == owner).cloned() {
        Some(health) if now.since(health.at) > SILENCE => Said::LongAgo(health),
        Some(health) => Said::Now(health),
        None => supervisor::health(&config.dir(), owner).map_or(Said::Nothing, Said::Now),
    }
}
