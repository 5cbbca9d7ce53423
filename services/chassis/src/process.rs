//! One process of a node: what is begun before a service runs, and ended after it, in order.

use crate::{
    Bus, BusError, Journal, LockError, Service, Stop,
    bus::Access,
    clock,
    config::{ConfigError, NodeConfig},
    error, heap,
    journal::JournalError,
    lifeline,
    lock::Lock,
    telemetry::{self, Lines, Telemetry},
};
use messages::{Incarnation, Owner};
use std::{
    error::Error,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::runtime::{Builder, Runtime};
use tracing::{debug, error, info};

/// How long what was said last may take to reach the bus.
const SAYING: Duration = Duration::from_secs(1);
/// How long the last spans may take to reach the recorder.
const TRACING: Duration = Duration::from_secs(1);
/// How often it is looked whether a newer executable was installed, once one is wanted.
const LOOK_FOR_NEWER: Duration = Duration::from_secs(2);
/// Threads for file work that would hold up the one that does everything else.
const BLOCKING_THREADS: usize = 4;
/// Their stacks, and how long an idle one is kept.
const STACK: usize = 512 * 1024;
const IDLE_THREAD: Duration = Duration::from_secs(2);

/// How a process is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The kubelet's folder, in which `bulkhead/node.json` stands.
    pub root_dir: PathBuf,
    /// Standard input is a pipe whose other end the supervisor holds: leave when it closes.
    pub supervised: bool,
}

/// Why a process ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The settings could not be had.
    #[error("there are no settings")]
    Config(#[source] ConfigError),
    /// The kernel gave no runtime, signal handler or lifeline.
    #[error("the process could not be set up")]
    Setup(#[source] io::Error),
    /// The process' folder could not be made.
    #[error("could not make {dir}", dir = dir.display())]
    Dir {
        /// Which.
        dir: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// No lock could be had at all.
    #[error("the process could not be locked")]
    Lock(#[source] LockError),
    /// The journal could not be used.
    #[error("the journal could not be used")]
    Journal(#[source] JournalError),
    /// The bus could not be used.
    #[error("the bus could not be used")]
    Bus(#[source] BusError),
    /// The bus server forbade what the code does.
    #[error("the catalog does not allow what {owner} tried on the bus: {what}")]
    Forbidden {
        /// Which process.
        owner: Owner,
        /// What the server said, with the subject.
        what: String,
    },
    /// api-gate forbade what the code does.
    #[error("the catalog does not allow what {owner} asked of the API server: {what}")]
    ForbiddenByGate {
        /// Which process.
        owner: Owner,
        /// Method and path.
        what: String,
    },
    /// The service gave up.
    #[error("{owner} failed")]
    Service {
        /// Which.
        owner: Owner,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Runs one service as this process, until it is told to leave or cannot go on.
///
/// # Errors
/// See [`Failure`].
pub fn run<F, Fut, E>(owner: Owner, options: Options, service: F) -> Result<(), Failure>
where
    F: FnOnce(Service) -> Fut + 'static,
    Fut: Future<Output = Result<(), E>> + 'static,
    E: Error + Send + Sync + 'static,
{
    let config = NodeConfig::read(&options.root_dir).map_err(Failure::Config)?;
    let verbosity = config.kubelet.logging.verbosity;
    let telemetry = telemetry::begin(Lines::suitable(options.supervised), verbosity);
    let runtime = runtime().map_err(Failure::Setup)?;
    let system = actix::System::with_tokio_rt(|| runtime);
    let ended = system.block_on(live(owner, options, Arc::new(config), telemetry, service));
    if let Err(failure) = &ended {
        error!(error = error::chain(failure), "ended");
    }
    // Dropping the runtime would wait for file work that may hang; the process ends anyway.
    std::mem::forget(system);
    ended
}

/// One thread for everything; a few more, briefly, for file work.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_stack_size(STACK)
        .thread_keep_alive(IDLE_THREAD)
        .build()
}

/// The process from its lock to its last span.
async fn live<F, Fut, E>(
    owner: Owner,
    options: Options,
    config: Arc<NodeConfig>,
    mut telemetry: Telemetry,
    service: F,
) -> Result<(), Failure>
where
    F: FnOnce(Service) -> Fut + 'static,
    Fut: Future<Output = Result<(), E>> + 'static,
    E: Error + Send + Sync + 'static,
{
    let stop = stop_of(&options).map_err(Failure::Setup)?;
    actix::spawn(heap::keep_small());
    let dir = config.dir_of(owner);
    make_dir(&dir)?;
    let Some(_lock) = lock(&dir, &stop).await? else { return Ok(()) };
    let given = prepare(owner, config, &mut telemetry, stop, &dir).await?;
    info!(%owner, incarnation = %given.incarnation, pid = std::process::id(), "begun");
    let bus = given.bus.clone();
    let ended = serve(given, service).await;
    bus.flush(SAYING).await;
    info!(%owner, "ended");
    telemetry.end(TRACING).await;
    ended
}

fn stop_of(options: &Options) -> io::Result<Stop> {
    let stop = Stop::new();
    lifeline::watch_signals(stop.clone())?;
    if options.supervised {
        lifeline::watch_supervisor(stop.clone())?;
    }
    Ok(stop)
}

/// The folder of one process, for nobody else. The supervisor made it already when the process runs
/// as another user.
fn make_dir(dir: &Path) -> Result<(), Failure> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| Failure::Dir { dir: dir.to_owned(), source })
}

/// The lock; none when the process was told to leave while it waited.
async fn lock(dir: &Path, stop: &Stop) -> Result<Option<Lock>, Failure> {
    // Cancel-safe: a lock that is not taken is no lock.
    tokio::select! {
        lock = Lock::take(dir) => lock.map(Some).map_err(Failure::Lock),
        () = stop.told() => Ok(None),
    }
}

/// Everything that a service is given, and the tasks behind it.
async fn prepare(
    owner: Owner,
    config: Arc<NodeConfig>,
    telemetry: &mut Telemetry,
    stop: Stop,
    dir: &Path,
) -> Result<Service, Failure> {
    let journal = Journal::open(&dir.join("journal")).map_err(Failure::Journal)?;
    let incarnation = journal.raise_incarnation(clock::now_unix()).map_err(Failure::Journal)?;
    let socket = config.dir_of(Owner::TraceRecorder).join("otlp.sock");
    telemetry.export_to(&socket, &telemetry::resource(owner, incarnation, &config.node_name));
    let bus = connect(owner, incarnation, &config, dir).await.map_err(Failure::Bus)?;
    Ok(Service::begin(config, bus, incarnation, journal, stop))
}

/// The bus of the node; none where no address is configured.
async fn connect(
    owner: Owner,
    incarnation: Incarnation,
    config: &NodeConfig,
    dir: &Path,
) -> Result<Bus, BusError> {
    let access = match config.bus.url.as_str() {
        "" => None,
        url => Some(Access::with_seed(url, &dir.join("bus.seed"))?),
    };
    Bus::connect(config.node_name.clone(), owner, incarnation, access).await
}

/// Runs the service, watching for what it cannot see itself.
async fn serve<F, Fut, E>(given: Service, service: F) -> Result<(), Failure>
where
    F: FnOnce(Service) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Error + Send + Sync + 'static,
{
    let (owner, bus, stop) = (given.owner, given.bus.clone(), given.stop.clone());
    let at_gate = given.forbidden.clone();
    let newer = tokio::spawn(leave_for_newer(bus.clone(), stop));
    // Giving up the service midway is what `forbidden` asks for; the others only watch.
    let ended = tokio::select! {
        ended = service(given) => ended.map_err(|source| Failure::Service { owner, source: source.into() }),
        what = bus.forbidden() => Err(Failure::Forbidden { owner, what }),
        what = at_gate.first() => Err(Failure::ForbiddenByGate { owner, what }),
    };
    newer.abort();
    ended
}

/// Leaves once something was heard that only a newer executable can read, and that one is installed.
/// Until then the last values stay.
async fn leave_for_newer(bus: Bus, stop: Stop) {
    let what = bus.newer().await;
    while !was_replaced() {
        debug!(what, "waiting for a newer executable");
        tokio::time::sleep(LOOK_FOR_NEWER).await;
    }
    stop.tell("a newer executable is needed, and was installed");
}

/// Whether the file of this executable was replaced since it was started.
fn was_replaced() -> bool {
    fs::read_link("/proc/self/exe").is_ok_and(|path| path.to_string_lossy().ends_with(" (deleted)"))
}
