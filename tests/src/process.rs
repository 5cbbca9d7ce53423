//! Programs that run beside the test, and programs that are run to their end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait;

/// How long a program may take to leave when asked.
const LEAVING: Duration = Duration::from_secs(20);

/// A running program whose output goes to a file. Dropped, it is killed.
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts `command`; its output is appended to `<logs>/<name>.log`.
    pub fn spawn(name: &str, logs: &Path, mut command: Command) -> Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("starting {name}"))?;
        Ok(Self { name: name.to_owned(), log, child })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file that holds what the program wrote, over all its lives.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Fails with the end of the log when the program has ended, so that waiting for it can stop.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                Err(anyhow!("{} ended with {status}; its log ends:\n{}", self.name, self.tail(15)))
            }
        }
    }

    /// Waits until `ready` says so; fails at once when the program ends before that.
    pub fn wait_ready(&mut self, patience: Duration, mut ready: impl FnMut() -> Result<()>) -> Result<()> {
        let what = format!("{} being ready", self.name);
        let ended = wait::until(&what, patience, || match self.check_alive() {
            Err(ended) => Ok(Some(ended)),
            Ok(()) => ready().map(|()| None),
        });
        match ended.with_context(|| format!("the log of {} ends:\n{}", self.name, self.tail(15)))? {
            Some(ended) => Err(ended),
            None => Ok(()),
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid())?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("sending {signal} to {}", self.name))
    }

    /// Asks the program to leave and waits until it has; its exit status is for the caller to judge.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let what = format!("the end of {}", self.name);
        wait::until(&what, LEAVING, || self.child.try_wait()?.ok_or_else(|| anyhow!("it is still there")))
    }

    /// Waits until the program ends by itself; its exit status is for the caller to judge.
    pub fn finish(&mut self, patience: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait::until(&what, patience, || self.child.try_wait()?.ok_or_else(|| anyhow!("{}", self.tail(15))))
    }

    /// Kills the program as `kill -9` does and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// So many of the last lines of the log.
    pub fn tail(&self, count: usize) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the program is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end and returns its standard output; the error holds what it wrote to standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let done = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {}", command.get_program().display()))?;
    finished(command, done)
}

/// What [`output`] makes of a finished command.
pub(crate) fn finished(command: &Command, done: std::process::Output) -> Result<String> {
    if !done.status.success() {
        let arguments: Vec<_> = command.get_args().map(|each| each.to_string_lossy()).collect();
        let (program, complaint) = (command.get_program().display(), String::from_utf8_lossy(&done.stderr));
        bail!("{program} {} ended with {}: {}", arguments.join(" "), done.status, complaint.trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
