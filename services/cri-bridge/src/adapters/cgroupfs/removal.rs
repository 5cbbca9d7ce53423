//! Removing a cgroup: whatever still runs in it is killed first.

use super::{CgroupError, put};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs, io,
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};
use tracing::warn;

/// Pauses between tries: the kernel lets go of a killed process's cgroup a little later. Two and a half
/// seconds in all.
const PAUSES: [Duration; 9] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(15),
    Duration::from_millis(50),
    Duration::from_millis(150),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1100),
];

/// Removes folders of one cgroup in all hierarchies, with everything below them.
pub(super) fn remove(folders: &[PathBuf]) -> Result<(), CgroupError> {
    let mut pauses = PAUSES.iter();
    loop {
        folders.iter().for_each(|folder| kill_all(folder));
        let left = folders.iter().try_for_each(|folder| remove_tree(folder));
        match (left, pauses.next()) {
            (Ok(()), _) => return Ok(()),
            (Err(error), None) => return Err(error),
            (Err(_), Some(pause)) => sleep(*pause),
        }
    }
}

/// Kills every process in a cgroup and below it.
pub(super) fn kill_all(folder: &Path) {
    // cgroup v2, Linux 5.14: one write kills all, those that fork meanwhile too.
    if put(&folder.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for folder in folders_below(folder).into_iter().chain([folder.to_owned()]) {
        let processes = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        // Processes of another pid namespace are shown as 0.
        for pid in processes.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 1) {
            warn!(pid, cgroup = %folder.display(), "killing a process that outlived its pod");
            let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
        }
    }
}

/// Removes folders from the bottom up. Files of a cgroup go with it.
fn remove_tree(folder: &Path) -> Result<(), CgroupError> {
    for below in folders_below(folder).into_iter().rev().chain([folder.to_owned()]) {
        match fs::remove_dir(&below) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(CgroupError::Remove { path: below, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// All folders below one, each before those in it.
fn folders_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let paths: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
        found.extend(paths.iter().cloned());
        open.extend(paths);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_removed_from_the_bottom_up_and_missing_ones_are_fine() {
        let root = tempfile::tempdir().unwrap();
        let pod = root.path().join("pod1");
        fs::create_dir_all(pod.join("a/b")).unwrap();
        fs::create_dir_all(pod.join("c")).unwrap();
        remove(&[pod.clone(), root.path().join("none")]).unwrap();
        assert!(!pod.exists() && root.path().exists());
    }

    #[test]
    fn what_stays_is_named() {
        let root = tempfile::tempdir().unwrap();
        let pod = root.path().join("pod1");
        fs::create_dir(&pod).unwrap();
        fs::write(pod.join("file"), "").unwrap();
        let error = remove(std::slice::from_ref(&pod)).unwrap_err();
        assert!(matches!(error, CgroupError::Remove { path, .. } if path == pod));
    }
}
