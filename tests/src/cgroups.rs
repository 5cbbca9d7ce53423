//! Cgroups of a test's own, in every hierarchy of the machine, so that a node under test neither sees nor changes
//! anybody else's. `tests/tools/reclaim` removes them with the ground.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::ground::Ground;

/// Where cgroups are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// Which cgroups the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy per controller.
    V1,
    /// One hierarchy.
    V2,
}

/// The version whose controllers the machine uses.
pub fn version() -> Version {
    if Path::new(ROOT).join("cgroup.controllers").exists() { Version::V2 } else { Version::V1 }
}

/// What a file of a cgroup says, in the hierarchy that has it.
pub fn read(group: &str, file: &str) -> Result<String> {
    let paths = hierarchies()?.into_iter().map(|each| each.join(group.trim_start_matches('/')).join(file));
    let found = paths.into_iter().find(|path| path.exists());
    let path = found.with_context(|| format!("no hierarchy has {file} in the cgroup {group}"))?;
    Ok(fs::read_to_string(path)?.trim_end().to_owned())
}

/// Makes the ground's cgroup and returns its path as the kubelet's `cgroupRoot` names it.
pub fn make(ground: &Ground, node: &str) -> Result<String> {
    let name = format!("/{}/{node}", ground.label());
    make_below(&name, "")?;
    Ok(name)
}

/// Makes the cgroup `<parent>/<name>` in every hierarchy.
pub fn make_below(parent: &str, name: &str) -> Result<()> {
    let path = format!("{}/{name}", parent.trim_start_matches('/'));
    for hierarchy in hierarchies()? {
        let folder = hierarchy.join(&path);
        fs::create_dir_all(&folder).with_context(|| format!("making the cgroup {}", folder.display()))?;
        if hierarchy.ends_with("cpuset") {
            inherit_cpuset(&hierarchy, &path)?;
        }
    }
    Ok(())
}

/// Removes a cgroup that has no processes and no cgroups below it from every hierarchy.
pub fn remove(name: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let folder = hierarchy.join(name.trim_start_matches('/'));
        if folder.exists() {
            fs::remove_dir(&folder).with_context(|| format!("removing the cgroup {}", folder.display()))?;
        }
    }
    Ok(())
}

/// Every cgroup below `name` in any hierarchy, without `name` itself: what a node holds, or has left behind.
pub fn below(name: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for hierarchy in hierarchies()? {
        collect(&hierarchy.join(name.trim_start_matches('/')), &mut found)?;
    }
    Ok(found)
}

/// Every mounted hierarchy: the one of version 2, or those of version 1 with the empty one of version 2 beside them.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let root = Path::new(ROOT);
    if version() == Version::V2 {
        return Ok(vec![root.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        // The links (cpu,cpuacct) name hierarchies that are listed anyway.
        if path.join("cgroup.procs").exists() && !path.is_symlink() {
            found.push(path);
        }
    }
    Ok(found)
}

/// A new group in the cpuset hierarchy has no CPUs, and nothing can run in it, until it is given its parent's.
fn inherit_cpuset(hierarchy: &Path, name: &str) -> Result<()> {
    let mut group = hierarchy.to_owned();
    for part in Path::new(name) {
        let parent = group.clone();
        group.push(part);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            fs::write(group.join(file), fs::read(parent.join(file))?)?;
        }
    }
    Ok(())
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) }; // gone, or never there
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
            collect(&entry.path(), found)?;
        }
    }
    Ok(())
}
