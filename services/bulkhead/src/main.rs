//! `bulkhead`: a Kubernetes node in watertight compartments. This is its one executable.
//!
//! Every process of a node is this program: the supervisor (`up`), each service (`run <service>`) and
//! what people ask (`status`, `pods`, `trace`, `doctor`). Called by the name `kubelet` it takes the
//! kubelet's command line. Where to look: [`cli`] for the commands, [`up`] and [`supervisor`] for how
//! a node begins and ends, [`settings`] for what a command line means.

mod bus_config;
mod bus_server;
mod cli;
mod columns;
#[cfg(test)]
mod compose;
mod doctor;
mod down;
mod enter;
mod files;
mod guard;
mod host;
mod kubelet;
mod lending;
mod limits;
mod log;
mod node;
mod pods;
mod prepare;
mod privileges;
mod process;
mod run;
mod settings;
mod status;
mod supervisor;
mod trace;
mod up;

use cli::{Called, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let done = match Called::by(arguments.first()) {
        Called::Kubelet => up::kubelet(&arguments[1..]),
        Called::KubeProxy => {
            Err(anyhow::anyhow!("the service proxy is not part of this version yet; keep kube-proxy"))
        }
        Called::Bulkhead => match cli::parse(&arguments) {
            Command::Up { arguments } => up::up(&arguments),
            Command::Run(run) => return run::run(&run),
            Command::Enter(enter) => enter::command(&enter),
            Command::MountWorker => return volume_mounter::worker::main(),
            Command::Down(down) => down::down(&down),
            Command::Status(status) => status::status(&status),
            Command::Pods(pods) => pods::pods(&pods),
            Command::Trace(trace) => trace::trace(&trace),
            Command::Doctor(doctor) => doctor::doctor(&doctor),
            Command::BusConfig { arguments } => bus_config::bus_config(&arguments),
        },
    };
    done.unwrap_or_else(|failure| {
        eprintln!("{}: {failure:#}", cli::name(arguments.first()));
        ExitCode::FAILURE
    })
}
