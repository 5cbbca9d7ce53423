//! What a node has on the machine because of its pods. What it has after they are gone and had not before is left
//! behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::cgroups;
use crate::cri;
use crate::node::Node;
use crate::processes;

/// Names of things, each with its kind.
pub type Belongings = BTreeSet<String>;

/// Looks at everything.
pub fn of(node: &Node) -> Result<Belongings> {
    let mut all = Belongings::new();
    let mut add =
        |kind: &str, names: Vec<String>| all.extend(names.into_iter().map(|name| format!("{kind} {name}")));
    let held = cri::held(&node.runtime().socket())?;
    add("sandbox", held.sandboxes.into_iter().map(|it| it.id).collect());
    add("container", held.containers.into_iter().map(|it| it.id).collect());
    add("process", shims(node)?);
    add("mount", mounts(node.folder())?);
    add("cgroup", shown(cgroups::below(node.cgroup())?));
    add("device", devices(node)?);
    add("address", entries(&node.folder().join("ipam"), 2)?);
    let state = entries(&node.folder().join("state"), 3)?.into_iter();
    add("network namespace", state.filter(|path| path.contains("netns/")).collect());
    add("folder", entries(&node.root().join("pods"), 1)?);
    add("log", entries(node.logs(), 1)?);
    add("log link", links(node)?);
    add("journal entry", journals(&node.root().join("bulkhead"))?);
    Ok(all)
}

/// Fails when anything is there now that was not before.
pub fn compare(before: &Belongings, now: &Belongings) -> Result<()> {
    let left: Vec<_> = now.difference(before).collect();
    ensure!(left.is_empty(), "{} things are left behind: {left:#?}", left.len());
    Ok(())
}

fn shown(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Vec<String> {
    paths.into_iter().map(|path| path.as_ref().display().to_string()).collect()
}

/// The runtime's shims: one process per sandbox.
fn shims(node: &Node) -> Result<Vec<String>> {
    let socket = node.runtime().socket().display().to_string();
    let is_shim = |command: &str| command.contains("containerd-shim") && command.contains(&socket);
    Ok(processes::all()?.into_iter().map(|it| it.command).filter(|command| is_shim(command)).collect())
}

fn mounts(folder: &Path) -> Result<Vec<String>> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let points = table.lines().filter_map(|line| line.split(' ').nth(4).map(str::to_owned));
    Ok(points.filter(|point| Path::new(point).starts_with(folder)).collect())
}

/// The ends of the pods' network devices that are in the node's namespace.
fn devices(node: &Node) -> Result<Vec<String>> {
    let list = node.netns().ip("-oneline link show type veth")?;
    Ok(list.lines().filter_map(|line| line.split(' ').nth(1).map(str::to_owned)).collect())
}

/// Links to logs of this node, in the folder that all nodes of a machine share.
fn links(node: &Node) -> Result<Vec<String>> {
    let Ok(entries) = fs::read_dir("/var/log/containers") else { return Ok(Vec::new()) };
    let links = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let is_own =
        |path: &&std::path::PathBuf| fs::read_link(path).is_ok_and(|log| log.starts_with(node.logs()));
    Ok(shown(links.iter().filter(is_own)))
}

/// What our services remember of single pods: files and folders that are named for a UID.
fn journals(folder: &Path) -> Result<Vec<String>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let named_for_pod = |path: &String| path.split(['/', '.']).any(is_uid);
    Ok(entries(folder, 4)?.into_iter().filter(named_for_pod).collect())
}

/// A UUID, or the hash of a static pod's manifest.
fn is_uid(text: &str) -> bool {
    let hex = text.chars().filter(char::is_ascii_hexdigit).count();
    hex == 32 && text.chars().all(|each| each.is_ascii_hexdigit() || each == '-')
}

/// Everything in a folder, so many levels deep; nothing where there is no such folder.
fn entries(folder: &Path, levels: usize) -> Result<Vec<String>> {
    let Ok(list) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in list {
        let path = entry?.path();
        if levels > 1 && path.is_dir() && !path.is_symlink() {
            found.extend(entries(&path, levels - 1)?);
        }
        found.push(path.display().to_string());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Belongings>();
        assert!(compare(&set(&["mount a", "cgroup b"]), &set(&["mount a"])).is_ok());
        let left = compare(&set(&["mount a"]), &set(&["mount a", "cgroup b"])).unwrap_err().to_string();
        assert!(
            left.contains("left behind") && left.contains("cgroup b") && !left.contains("mount a"),
            "{left}"
        );
    }

    #[test]
    fn files_of_pods_are_known_by_their_names() {
        assert!(is_uid("0b1c1f0e-7a44-4a4e-8d3e-2f5b5e1c9a11"));
        assert!(is_uid("0b1c1f0e7a444a4e8d3e2f5b5e1c9a11"));
        assert!(!is_uid("incarnation"));
        assert!(!is_uid("node-1"));
    }
}
