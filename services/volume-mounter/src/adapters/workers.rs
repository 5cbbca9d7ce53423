//! Worker processes: one per deed that may hang, each with a deadline. What can't hang is done here.
//!
//! A worker that hangs in the kernel can't be killed until the kernel lets it go. It is left behind, and
//! nothing more is begun on the same path while it is there, so that hanging workers do not heap up.

use crate::{
    adapters::kernel,
    ports::{Deed, Mounter},
    worker,
};
use futures::{FutureExt, future::LocalBoxFuture};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    task::spawn_blocking,
    time::timeout,
};

/// A mount or look-up that takes longer is given up.
const DEADLINE: Duration = Duration::from_secs(30);
/// Unmounting may have to write data back.
const UNMOUNT_DEADLINE: Duration = Duration::from_secs(120);

/// Starts workers.
pub struct Workers {
    program: PathBuf,
    deadline: Option<Duration>,
    stuck: RefCell<BTreeMap<PathBuf, Child>>,
}

/// Why a worker gave no result.
#[derive(Debug, thiserror::Error)]
enum Unworked {
    #[error("could not start a worker process")]
    Start(#[source] io::Error),
    #[error("the worker process gave no result")]
    NoResult(#[source] io::Error),
    #[error("the worker process gave a result that is none")]
    BadResult(#[source] serde_json::Error),
    #[error("not done within {0:?}")]
    TooLate(Duration),
    #[error("an earlier try still hangs in the kernel")]
    Stuck,
}

impl Default for Workers {
    fn default() -> Self {
        Self::new()
    }
}

impl Workers {
    /// Workers are this same executable, even if a newer one was installed meanwhile.
    pub fn new() -> Self {
        Self::of(PathBuf::from("/proc/self/exe"), None)
    }

    /// Workers are another program, and each deed has the same deadline.
    pub fn of(program: PathBuf, deadline: Option<Duration>) -> Self {
        Self { program, deadline, stuck: RefCell::default() }
    }

    async fn work(&self, deed: &Deed) -> Result<Result<(), String>, Unworked> {
        self.look_for_stuck(deed.subject())?;
        let mut child = self.start().map_err(Unworked::Start)?;
        let deadline = self.deadline_of(deed);
        match timeout(deadline, converse(&mut child, deed)).await {
            Ok(said) => {
                let said = said.map_err(Unworked::NoResult)?;
                serde_json::from_slice(&said).map_err(Unworked::BadResult)
            }
            Err(_) => {
                // A process that has ended meanwhile needs no killing.
                let _ = child.start_kill();
                self.stuck.borrow_mut().insert(deed.subject().clone(), child);
                Err(Unworked::TooLate(deadline))
            }
        }
    }

    fn deadline_of(&self, deed: &Deed) -> Duration {
        let usual = match deed {
            Deed::UnmountBelow { .. } => UNMOUNT_DEADLINE,
            Deed::Mount { .. } | Deed::CheckHostPath { .. } | Deed::BindSubpath { .. } => DEADLINE,
        };
        self.deadline.unwrap_or(usual)
    }

    /// Forgets what has ended; fails while something still hangs on this path.
    fn look_for_stuck(&self, subject: &Path) -> Result<(), Unworked> {
        let mut stuck = self.stuck.borrow_mut();
        stuck.retain(|_, child| matches!(child.try_wait(), Ok(None)));
        if stuck.contains_key(subject) { Err(Unworked::Stuck) } else { Ok(()) }
    }

    fn start(&self) -> io::Result<Child> {
        Command::new(&self.program)
            .arg(worker::COMMAND)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
    }
}

async fn converse(child: &mut Child, deed: &Deed) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(deed)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(&text).await?;
    }
    let mut said = Vec::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_end(&mut said).await?;
    }
    child.wait().await?;
    Ok(said)
}

impl Mounter for Workers {
    fn perform<'a>(&'a self, deed: &'a Deed) -> LocalBoxFuture<'a, Result<(), String>> {
        let working = async {
            let quick = deed.clone();
            if let Ok(Some(done)) = spawn_blocking(move || kernel::perform_in_memory(&quick)).await {
                return done.map_err(|failure| chassis::error::chain(&failure));
            }
            let done = self.work(deed).await;
            done.unwrap_or_else(|failure| Err(chassis::error::chain(&failure)))
        };
        working.boxed_local()
    }

    fn table(&self) -> io::Result<String> {
        kernel::read_table()
    }
}
