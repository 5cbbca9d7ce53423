//! `bulkhead up`, and what the name `kubelet` does: from a command line to a running node.
//!
//! In this order, so that a bad configuration ends the process before anything was touched, and a
//! second kubelet before anything was changed: settings, locks, folders, files, limits, processes.

use crate::{
    bus_server, guard, host,
    kubelet::{
        self,
        arguments::{self, Arguments, BadArguments, NodeArguments},
    },
    lending, limits,
    log::Log,
    prepare,
    process::Process,
    settings,
    supervisor::{Ended, Launcher, Readiness, Supervisor, Table},
};
use anyhow::{Context, bail};
use chassis::{
    Stop,
    config::{Base, NodeConfig, ServiceProxy},
};
use clap::{Arg, ArgAction, ArgMatches};
use inotify::{Inotify, WatchMask};
use std::{collections::BTreeMap, ffi::OsString, path::Path, process::ExitCode};
use tracing::{info, warn};

/// What `--proxy` may say.
const PROXIES: [ServiceProxy; 2] = [ServiceProxy::Nftables, ServiceProxy::None];

/// What `bulkhead up` was told beside the kubelet's flags, and what it then does.
pub(crate) fn up(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    match read(ours(), arguments)? {
        Asked::Node(arguments) => node(*arguments, Base::AnyMachine),
        Asked::Told(code) => Ok(code),
    }
}

/// The stock kubelet's stand-in. It takes a node over, so that sandboxes that no journal of ours
/// knows are expected.
pub(crate) fn kubelet(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    match read(arguments::command("kubelet"), arguments)? {
        Asked::Node(mut arguments) => {
            arguments.node.takeover = true;
            node(*arguments, Base::StockFlags)
        }
        Asked::Told(code) => Ok(code),
    }
}

/// What a command line asks for.
pub(crate) enum Asked {
    /// A node.
    Node(Box<Arguments>),
    /// Help or the version, which was given.
    Told(ExitCode),
}

/// The kubelet's flags and those that only `up` has.
pub(crate) fn ours() -> clap::Command {
    let takeover = Arg::new("takeover").long("takeover").action(ArgAction::SetTrue);
    let proxy = Arg::new("proxy").long("proxy").num_args(1).value_parser(PROXIES.map(ServiceProxy::word));
    let collector = Arg::new("otlp-endpoint").long("otlp-endpoint").num_args(1).value_name("URL");
    arguments::command("bulkhead up")
        .about("Start the node: the bus server and every service, each a process of its own")
        .arg(takeover.help("Begin although the runtime has sandboxes that this node does not know"))
        .arg(proxy.help(
            "Who programs services: nftables (the default) for ourselves, none for a kube-proxy beside",
        ))
        .arg(collector.help("Send spans to this collector too, such as http://localhost:4317"))
}

/// Reads a command line of the kubelet's flags.
///
/// # Errors
/// When it names a flag that does not exist, or a value that the flag cannot have.
pub(crate) fn read(mut command: clap::Command, words: &[OsString]) -> anyhow::Result<Asked> {
    let words = words.iter().map(|word| match word.to_str() {
        Some(text) => arguments::with_dashes(text.to_owned()).into(),
        None => word.clone(),
    });
    let matches = match command.try_get_matches_from_mut(words) {
        Ok(matches) => matches,
        Err(told) if !told.use_stderr() => {
            told.print()?;
            return Ok(Asked::Told(ExitCode::SUCCESS));
        }
        Err(wrong) => return Err(BadArguments::from(wrong).into()),
    };
    if matches.get_one::<String>("version").is_some_and(|asked| asked != "false") {
        println!("{}", kubelet::version());
        return Ok(Asked::Told(ExitCode::SUCCESS));
    }
    let mut arguments = arguments::read(&matches)?;
    set_ours(&mut arguments.node, &matches);
    Ok(Asked::Node(Box::new(arguments)))
}

fn set_ours(node: &mut NodeArguments, matches: &ArgMatches) {
    node.takeover = matches!(matches.try_get_one::<bool>("takeover"), Ok(Some(true)));
    let proxy = matches.try_get_one::<String>("proxy").ok().flatten();
    node.proxy = proxy.and_then(|word| PROXIES.into_iter().find(|proxy| proxy.word() == word));
    node.otlp_endpoint = matches.try_get_one::<String>("otlp-endpoint").ok().flatten().cloned();
}

fn node(arguments: Arguments, base: Base) -> anyhow::Result<ExitCode> {
    let idle = arguments.idle.clone();
    let (lock_file, contention) = (arguments.node.lock_file.clone(), arguments.node.exit_on_lock_contention);
    let mut config = settings::node_config(arguments, base)?;
    if !rustix::process::geteuid().is_root() {
        bail!("a node is root's work; run it with: sudo");
    }
    let bus_program = host::program("nats-server")
        .context("nats-server is not installed; on Debian: apt-get install nats-server")?;
    let log = begin_log(&config, &idle);
    let _operators = lock_file.as_deref().map(guard::operators_lock).transpose()?;
    guard::no_other_kubelet(&config.root_dir)?;
    prepare::folders(&config)?;
    let _own = guard::stay_alone(&config)?;
    limits::set(&config.kubelet);
    let bus_configuration = prepare::node(&mut config, bus_server::free_port)?;
    let program = std::env::current_exe().context("this program's own file is not known")?;
    let root_dir = config.root_dir.clone();
    let launcher =
        Launcher { program, root_dir, bus_program, bus_configuration, log, lifelines: BTreeMap::new() };
    supervise(config, launcher, lock_file.filter(|_| contention).as_deref())
}

/// Begins the one log, with what an operator should know at the start.
fn begin_log(config: &NodeConfig, idle: &[(&'static str, &'static str)]) -> Log {
    let kubelet = &config.kubelet;
    let log = Log { format: kubelet.logging.format, verbosity: kubelet.logging.verbosity };
    log.begin();
    info!(version = chassis::config::KUBELET_VERSION, node = %config.node_name, "starting");
    for (flag, why) in idle {
        warn!(flag = format!("--{flag}"), why, "the flag has no effect here");
    }
    if config.is_standalone() && kubelet.static_pod_path.is_none() && kubelet.static_pod_url.is_empty() {
        warn!("no pod can come: there is neither --kubeconfig, nor staticPodPath, nor staticPodURL");
    }
    log
}

/// Runs the node until it is told to leave.
fn supervise(config: NodeConfig, launcher: Launcher, contended: Option<&Path>) -> anyhow::Result<ExitCode> {
    let dir = config.dir();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let stop = Stop::new();
        if let Some(path) = contended {
            watch_contention(path, stop.clone())?;
        }
        tokio::spawn(lending::keep_lending(config));
        let readiness = Readiness::new(dir.clone());
        let table = Table::path(&dir);
        Supervisor::new(Process::all(), launcher, readiness, table).run(stop).await.context("supervising")
    })?;
    info!("left");
    match ended {
        Ended::Told => Ok(ExitCode::SUCCESS),
        Ended::RefusedBy(process) => bail!("{process} found that no node may run here; the log says why"),
    }
}

/// Tells `stop` when somebody else opens the lock file (`--exit-on-lock-contention`).
fn watch_contention(path: &Path, stop: Stop) -> anyhow::Result<()> {
    let watch = Inotify::init()?;
    watch.watches().add(path, WatchMask::OPEN | WatchMask::DELETE_SELF)?;
    let mut events = watch.into_event_stream([0; 256])?;
    tokio::spawn(async move {
        if futures::StreamExt::next(&mut events).await.is_some() {
            stop.tell("somebody else wants the lock file");
        }
    });
    Ok(())
}
