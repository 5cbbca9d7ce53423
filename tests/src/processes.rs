//! Processes as the kernel shows them: who descends from whom, what they hold of memory and have used of CPU. A node
//! is one process here (the stock kubelet) or a tree of them (ours).

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// A process that was there when it was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub pid: u32,
    /// Its parent's id.
    pub parent: u32,
    /// Its command line, the words parted by spaces.
    pub command: String,
}

impl Seen {
    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid)?);
        kill(pid, signal).with_context(|| format!("sending {signal} to {}", self.command))
    }

    /// The file that it runs, while that can be read.
    pub fn program(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/exe", self.pid)).ok()
    }

    /// Whether it is still there, and not some later process under the same id.
    pub fn is_alive(&self) -> bool {
        read(self.pid).is_some_and(|now| now.command == self.command)
    }
}

/// Every process of the machine. One that ends while they are read is left out.
pub fn all() -> Result<Vec<Seen>> {
    let entries = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(entries.filter_map(read).collect())
}

/// The process `root` and all that descend from it, parents before children.
pub fn tree(root: u32) -> Result<Vec<Seen>> {
    let mut children: BTreeMap<u32, Vec<Seen>> = BTreeMap::new();
    let mut found = Vec::new();
    for seen in all()? {
        match seen.pid == root {
            true => found.push(seen),
            false => children.entry(seen.parent).or_default().push(seen),
        }
    }
    ensure!(!found.is_empty(), "there is no process {root}");
    let mut next = 0;
    while let Some(parent) = found.get(next) {
        found.extend(children.remove(&parent.pid).unwrap_or_default());
        next += 1;
    }
    Ok(found)
}

/// The proportional set size of these processes, in KiB: what would come free if they all left.
pub fn memory(processes: &[Seen]) -> u64 {
    processes.iter().filter_map(|seen| pss(seen.pid)).sum()
}

/// What these processes, and their children that have ended, have used of CPU so far.
pub fn cpu(processes: &[Seen]) -> Result<Duration> {
    let ticks: u64 = processes.iter().filter_map(|seen| ticks(seen.pid)).sum();
    let second = sysconf(SysconfVar::CLK_TCK)?.context("the kernel does not say how long a tick is")?;
    Ok(Duration::from_secs_f64(ticks as f64 / second as f64))
}

fn read(pid: u32) -> Option<Seen> {
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned();
    let parent = stat(pid)?.get(1)?.parse().ok()?;
    Some(Seen { pid, parent, command })
}

/// The fields of `/proc/<pid>/stat` after the name, which may hold spaces and brackets: `state ppid …`.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// utime, stime, cutime and cstime: fields 14 to 17 of proc(5), of which two stand before the name's end.
fn ticks(pid: u32) -> Option<u64> {
    let fields = stat(pid)?;
    Some(fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum())
}

fn pss(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::wait;

    #[test]
    fn a_process_is_found_below_its_parent_while_it_lives() {
        let mut child =
            Command::new("sh").args(["-c", "read -r line"]).stdin(Stdio::piped()).spawn().unwrap();
        assert_eq!(tree(std::process::id()).unwrap()[0].pid, std::process::id());
        // For a moment after its start a process has no command line yet.
        let seen = wait::until("the child", Duration::from_secs(10), || {
            let tree = tree(std::process::id())?;
            let child = tree.into_iter().find(|seen| seen.pid == child.id() && !seen.command.is_empty());
            child.context("it is not there")
        })
        .unwrap();
        assert_eq!((seen.parent, seen.command.as_str()), (std::process::id(), "sh -c read -r line"));
        assert!(seen.is_alive());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!seen.is_alive());
    }

    #[test]
    fn what_a_process_holds_and_uses_can_be_read() {
        let own = tree(std::process::id()).unwrap();
        assert!(memory(&own) > 100, "{} KiB", memory(&own));
        let before = cpu(&own).unwrap();
        while cpu(&own).unwrap() == before {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn a_process_that_is_not_there_has_no_tree() {
        assert_eq!(tree(0).unwrap_err().to_string(), "there is no process 0");
    }
}
