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
use report::{ProcessReport, Report};
use std::process::ExitCode;

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
    if supervisor.is_none() {
        problems.push("no supervisor runs; start the node with: bulkhead up".to_owned());
    }
    let heard = node::visit(config, async |bus| hear(bus).await).unwrap_or_else(|failure| {
        problems.push(format!("{failure:#}; what follows was said before"));
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

fn processes(config: &NodeConfig, supervisor: Option<u32>, heard: &[Health]) -> Vec<ProcessReport> {
    let table =
        Table::read(&Table::path(&config.dir())).ok().filter(|table| Some(table.supervisor) == supervisor);
    let entries = table.map(|table| table.processes).unwrap_or_default();
    let own = ProcessReport::supervisor(supervisor, supervisor.and_then(host::memory));
    let others = Process::all().map(|process| {
        let entry = entries.iter().find(|entry| entry.name == process.name());
        let pid = entry.and_then(|entry| entry.pid);
        let health = match process {
            Process::Bus => None,
            Process::Service(owner) => health(config, owner, heard),
        };
        ProcessReport::of(
            process,
            entry,
            health.filter(|health| Some(health.pid) == pid),
            pid.and_then(host::memory),
        )
    });
    std::iter::once(own).chain(others).collect()
}

/// What a process said on the bus, or else wrote into its folder.
fn health(config: &NodeConfig, owner: Owner, heard: &[Health]) -> Option<Health> {
    let said = heard.iter().find(|health| health.owner == owner).cloned();
    said.or_else(|| supervisor::health(&config.dir(), owner))
}
