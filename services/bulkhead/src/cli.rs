//! The command line: what `bulkhead` can be asked for, and what it is called.

use clap::{Args, Parser, Subcommand};
use messages::Owner;
use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

/// What the program was called, which decides what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Called {
    /// The stock kubelet's stand-in.
    Kubelet,
    /// The stock kube-proxy's.
    KubeProxy,
    /// Itself.
    Bulkhead,
}

impl Called {
    /// By the first word of the command line.
    pub(crate) fn by(program: Option<&OsString>) -> Self {
        match name(program).as_str() {
            "kubelet" => Self::Kubelet,
            "kube-proxy" => Self::KubeProxy,
            _ => Self::Bulkhead,
        }
    }
}

/// The program's name without its folder.
pub(crate) fn name(program: Option<&OsString>) -> String {
    let name = program.and_then(|program| Path::new(program).file_name()).unwrap_or(OsStr::new("bulkhead"));
    name.to_string_lossy().into_owned()
}

/// A Kubernetes node in watertight compartments.
#[derive(Debug, Parser)]
#[command(name = "bulkhead", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the node: the bus server and every service, each a process of its own.
    ///
    /// Takes the kubelet's flags (`bulkhead up --help`). Without --kubeconfig the node is standalone.
    #[command(disable_help_flag = true)]
    Up {
        /// The kubelet's flags.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run one service as this process.
    Run(Run),
    /// Give up rights and become a process; the supervisor calls this.
    #[command(hide = true)]
    Enter(Enter),
    /// Do one thing that may hang, and end; volume-mounter calls this.
    #[command(hide = true)]
    MountWorker,
    /// End the node's processes. Pods stay.
    Down(Down),
    /// Show the node's processes, what they wait for, and what is wrong.
    Status(Status),
    /// Show the node's pods.
    Pods(Where),
    /// Draw where a pod's start time went.
    Trace(Trace),
    /// Look for what this machine lacks, and say how to mend it.
    Doctor(Doctor),
    /// Write keys, settings and the bus server's configuration, and start nothing; for containers.
    ///
    /// Takes the kubelet's flags, as `up` does.
    #[command(disable_help_flag = true)]
    BusConfig {
        /// The kubelet's flags.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// Which node.
#[derive(Debug, Args)]
pub(crate) struct Where {
    /// The kubelet's folder.
    #[arg(long, default_value = crate::settings::ROOT_DIR)]
    pub(crate) root_dir: PathBuf,
}

/// `bulkhead run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Which service.
    #[arg(value_parser = owner)]
    pub(crate) service: Owner,
    /// Standard input is the supervisor's lifeline: leave when it closes.
    #[arg(long)]
    pub(crate) supervised: bool,
    #[command(flatten)]
    pub(crate) node: Where,
}

/// `bulkhead enter`.
#[derive(Debug, Args)]
pub(crate) struct Enter {
    /// Which process.
    #[arg(value_parser = process)]
    pub(crate) process: crate::process::Process,
    /// The supervisor's process id.
    #[arg(long)]
    pub(crate) supervisor: u32,
    /// What to become.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

/// `bulkhead down`.
#[derive(Debug, Args)]
pub(crate) struct Down {
    /// Stop the pods too, each with its grace period, before the processes end.
    #[arg(long)]
    pub(crate) pods: bool,
    #[command(flatten)]
    pub(crate) node: Where,
}

/// `bulkhead status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// `json` for programs.
    #[arg(short, long)]
    pub(crate) output: Option<Output>,
    #[command(flatten)]
    pub(crate) node: Where,
}

/// Forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// JSON.
    Json,
}

/// `bulkhead trace`.
#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// Name, namespace/name, UID or trace id; without it the recent traces are listed.
    pub(crate) pod: Option<String>,
    /// Write a page for browsers, which needs no network, instead of drawing.
    #[arg(long, value_name = "FILE", requires = "pod")]
    pub(crate) html: Option<PathBuf>,
    /// `json` for programs.
    #[arg(short, long, requires = "pod", conflicts_with = "html")]
    pub(crate) output: Option<Output>,
    #[command(flatten)]
    pub(crate) node: Where,
}

/// `bulkhead doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The runtime's socket.
    #[arg(long, default_value = "unix:///run/containerd/containerd.sock")]
    pub(crate) container_runtime_endpoint: String,
    #[command(flatten)]
    pub(crate) node: Where,
}

fn owner(text: &str) -> Result<Owner, String> {
    let service = Owner::named(text).filter(|owner| *owner != Owner::Bulkhead);
    service.ok_or_else(|| {
        format!("there are {}", names(Owner::ALL.into_iter().filter(|owner| *owner != Owner::Bulkhead)))
    })
}

fn process(text: &str) -> Result<crate::process::Process, String> {
    use crate::process::Process;
    Process::named(text).ok_or_else(|| format!("there are {}", names(Process::all())))
}

fn names<T: ToString>(all: impl Iterator<Item = T>) -> String {
    all.map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}

/// Reads the command line; help and faults end the process here.
pub(crate) fn parse(arguments: &[OsString]) -> Command {
    Cli::parse_from(arguments).command
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_name_decides() {
        let cases = [
            ("/usr/bin/kubelet", Called::Kubelet),
            ("kube-proxy", Called::KubeProxy),
            ("./bulkhead", Called::Bulkhead),
            ("kubelet-old", Called::Bulkhead),
        ];
        for (program, called) in cases {
            assert_eq!(Called::by(Some(&program.into())), called, "{program}");
        }
    }

    #[test]
    fn up_hands_on_what_it_does_not_know() {
        let line = ["bulkhead", "up", "--max-pods=3", "-v", "4", "--help"].map(OsString::from);
        let Command::Up { arguments } = parse(&line) else { panic!("it is up") };
        assert_eq!(arguments, ["--max-pods=3", "-v", "4", "--help"].map(OsString::from));
    }
}
