//! The ground that a scenario stands on: everything that it makes on this machine is in one folder or carries one
//! name, so that `tests/tools/reclaim` can take all of it back. That script runs beside the test from the start and
//! acts when the test's end of a pipe is closed: by [`Ground`]'s drop, or by the kernel when the test is killed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::parts;
use crate::process::output;

/// Environment variable by which a ground's processes are found again.
const MARK: &str = "BULKHEAD_TEST_GROUND";

/// A folder, a name and the promise that both are taken back.
pub struct Ground {
    name: String,
    folder: PathBuf,
    reaper: Child,
}

impl Ground {
    /// A fresh ground. It is shared by what stands on it and taken back when the last of that is dropped.
    pub fn new() -> Result<Arc<Self>> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", std::process::id());
        let grounds = grounds();
        let folder = grounds.join(&name);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let reaper = Command::new(parts::tools().join("reclaim"))
            .args(["--when-closed", &name])
            .env("BULKHEAD_TEST_GROUNDS", &grounds)
            .stdin(Stdio::piped())
            .process_group(0) // an interrupt from the terminal is for the test; this one cleans up after it
            .spawn()
            .context("starting tests/tools/reclaim")?;
        Ok(Arc::new(Self { name, folder, reaper }))
    }

    /// `<pid>-<number>`, unique on this machine while the test runs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name that cgroups and CNI networks of this ground carry; `reclaim` knows them by it.
    pub fn label(&self) -> String {
        format!("bulkhead-test-{}", self.name)
    }

    /// The ground's own folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// A folder within the ground's, made if it is not there.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(path)
    }

    /// A command whose process, and what descends from it, is found again by `reclaim`.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env(MARK, &self.name);
        command
    }

    /// What there is on this machine of the ground called `name`, one thing a line; empty once it is taken back.
    pub fn remains(name: &str) -> Result<String> {
        let mut list = Command::new(parts::tools().join("reclaim"));
        output(list.args(["--list", name]).env("BULKHEAD_TEST_GROUNDS", grounds()))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        drop(self.reaper.stdin.take());
        // A failure was told on standard error; panicking in a drop would hide the scenario's own.
        let _ = self.reaper.wait();
    }
}

/// The folder of all grounds. Short, since paths of sockets may not exceed 108 bytes.
fn grounds() -> PathBuf {
    std::env::temp_dir().join("bulkhead-tests")
}
