//! Begins processes and signals them.
//!
//! Each is `bulkhead enter <process>`, which gives up rights and then becomes the program. Its standard
//! input is the lifeline: a socket that is closed when the supervisor is gone, however it went, and up
//! which a process shows that it does not stand still. Its standard error goes into the one log. It has a
//! process group of its own, so that an interrupt from a terminal reaches the supervisor alone, which
//! lets the others leave in order.

use crate::{
    bus_server,
    log::{Author, Log, pump},
    process::Process,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{collections::BTreeMap, io, os::fd::OwnedFd, path::PathBuf, process::Stdio};
use tokio::{
    net::UnixStream,
    process::{Child, Command},
};
use tracing::warn;

/// What beginning a process takes.
pub(crate) struct Launcher {
    /// This program's file. Not `/proc/self/exe`: after an upgrade new lives are of the new one.
    pub(crate) program: PathBuf,
    /// The kubelet's folder.
    pub(crate) root_dir: PathBuf,
    /// nats-server's file.
    pub(crate) bus_program: PathBuf,
    /// Its configuration.
    pub(crate) bus_configuration: PathBuf,
    /// Where lines go.
    pub(crate) log: Log,
    /// Our ends of the lifelines.
    pub(crate) lifelines: BTreeMap<Process, UnixStream>,
}

/// Variables that are for the supervisor alone.
const NOT_FOR_CHILDREN: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// What glibc's allocator is told: one arena is enough for one thread, and what is free goes back to the kernel (the
/// thresholds would grow with the largest message otherwise).
const MEMORY: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "1"), ("MALLOC_TRIM_THRESHOLD_", "65536"), ("MALLOC_MMAP_THRESHOLD_", "65536")];

impl Launcher {
    /// Begins a process.
    ///
    /// # Errors
    /// When the kernel gives no process.
    pub(crate) fn begin(&mut self, process: Process) -> io::Result<(u32, Child)> {
        let (ours, theirs) = UnixStream::pair()?;
        let theirs = OwnedFd::from(theirs.into_std()?);
        let mut child = self.command(process).stdin(theirs).spawn()?;
        let pid = child.id().unwrap_or_default();
        self.lifelines.insert(process, ours);
        if let Some(output) = child.stderr.take() {
            tokio::spawn(pump(output, Author { name: process.name(), pid }, self.log));
        }
        Ok((pid, child))
    }

    fn command(&self, process: Process) -> Command {
        let mut command = Command::new(&self.program);
        // The file may be called `kubelet`; a child is not one.
        command.arg0("bulkhead");
        let own = std::process::id().to_string();
        command.args(["enter", process.name(), "--supervisor", &own, "--"]);
        match process {
            Process::Bus => {
                command.arg(&self.bus_program).arg("-c").arg(&self.bus_configuration);
                command.envs(bus_server::environment());
            }
            Process::Service(owner) => {
                command.arg(&self.program).args(["run", owner.name(), "--supervised", "--root-dir"]);
                command.arg(&self.root_dir);
            }
        }
        for name in NOT_FOR_CHILDREN {
            command.env_remove(name);
        }
        command.envs(MEMORY).current_dir("/").process_group(0);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Asks a process to finish what it has in hand and leave.
    pub(crate) fn ask(&self, process: Process, pid: u32) {
        send(process, pid, Signal::SIGTERM);
    }

    /// Ends a process that did not leave, or stands still.
    pub(crate) fn kill(&self, process: Process, pid: u32) {
        send(process, pid, Signal::SIGKILL);
    }

    /// Whether a process has shown since the last question that it does not stand still.
    pub(crate) fn has_beaten(&self, process: Process) -> bool {
        let Some(lifeline) = self.lifelines.get(&process) else { return false };
        let (mut beats, mut heard) = ([0; 64], false);
        while matches!(lifeline.try_read(&mut beats), Ok(1..)) {
            heard = true;
        }
        heard
    }

    /// Drops what was held for a life that is over.
    pub(crate) fn forget(&mut self, process: Process) {
        self.lifelines.remove(&process);
    }
}

fn send(process: Process, pid: u32, signal: Signal) {
    let Ok(raw) = i32::try_from(pid) else { return };
    if let Err(errno) = kill(Pid::from_raw(raw), signal) {
        warn!(%process, pid, %signal, error = %errno, "could not be signalled");
    }
}
