//! Where the kernel shows cgroups on this machine.

use super::{CgroupError, below, put};
use crate::core::cgroup::Hierarchy;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The place of the one tree of cgroup v2.
const V2_ROOT: &str = "/sys/fs/cgroup";

/// The mounted hierarchies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// One mount for all controllers.
    V2 {
        /// Where.
        root: PathBuf,
    },
    /// A mount per controller, or per few.
    V1 {
        /// Each mount once: the runtime makes its cgroups in all of them.
        mounts: Vec<PathBuf>,
        /// Which mount has a controller.
        controllers: BTreeMap<String, PathBuf>,
    },
}

impl Tree {
    /// Reads `/proc/self/mountinfo`. On a machine with both kinds of mount, v1 counts: that is
    /// where its controllers are.
    pub fn of(mountinfo: &str) -> Self {
        let mounts: Vec<Mount> = mountinfo.lines().filter_map(Mount::of).collect();
        if mounts.iter().any(|mount| mount.kind == "cgroup2" && mount.place == V2_ROOT) {
            return Self::V2 { root: V2_ROOT.into() };
        }
        let mut controllers: BTreeMap<String, PathBuf> = BTreeMap::new();
        for mount in mounts.iter().filter(|mount| mount.kind == "cgroup") {
            for controller in mount.controllers() {
                let known = controllers.entry(controller.to_owned()).or_insert_with(|| mount.place.into());
                // Of several mounts of one hierarchy the shortest path is the usual one.
                if mount.place.len() < known.as_os_str().len() {
                    *known = mount.place.into();
                }
            }
        }
        let mut places: Vec<PathBuf> = controllers.values().cloned().collect();
        places.extend(mounts.iter().filter(|mount| mount.kind == "cgroup2").map(|mount| mount.place.into()));
        places.sort();
        places.dedup();
        Self::V1 { mounts: places, controllers }
    }

    /// v1 or v2.
    pub fn hierarchy(&self) -> Hierarchy {
        match self {
            Self::V1 { .. } => Hierarchy::V1,
            Self::V2 { .. } => Hierarchy::V2,
        }
    }

    /// Every mount below which cgroups may be.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        let roots: Vec<&Path> = match self {
            Self::V2 { root } => vec![root],
            Self::V1 { mounts, .. } => mounts.iter().map(PathBuf::as_path).collect(),
        };
        roots.into_iter()
    }

    /// Where a controller's files of a cgroup are; `None` where the machine does not have it.
    pub fn folder_of(&self, controller: &str, path: &str) -> Option<PathBuf> {
        match self {
            Self::V1 { controllers, .. } => controllers.get(controller).map(|root| below(root, path)),
            Self::V2 { root } => {
                let folder = below(root, path);
                let enabled = fs::read_to_string(folder.join("cgroup.controllers")).ok()?;
                enabled.split_whitespace().any(|name| name == controller).then_some(folder)
            }
        }
    }

    /// Makes a cgroup, and those above it, in every hierarchy.
    pub(super) fn make(&self, path: &str) -> Result<(), CgroupError> {
        match self {
            Self::V2 { root } => make_v2(root, path),
            Self::V1 { controllers, .. } => {
                let mut roots: Vec<&PathBuf> = controllers.values().collect();
                roots.dedup();
                roots.into_iter().try_for_each(|root| make_v1(root, path))
            }
        }
    }
}

/// In the cpuset hierarchy a new folder takes no process until it is told CPUs and memory nodes.
fn make_v1(root: &Path, path: &str) -> Result<(), CgroupError> {
    let mut folder = root.to_owned();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let above = folder.clone();
        folder.push(part);
        make_one(&folder)?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let own = fs::read_to_string(folder.join(file));
            if own.is_ok_and(|own| own.trim().is_empty()) {
                let inherited = fs::read_to_string(above.join(file)).unwrap_or_default();
                write(&folder.join(file), inherited.trim())?;
            }
        }
    }
    Ok(())
}

/// Each folder passes on to those below it every controller that it has. One that can't be passed on
/// (a real-time process is in the way) is missed later, when a size is written.
fn make_v2(root: &Path, path: &str) -> Result<(), CgroupError> {
    let mut folder = root.to_owned();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let controllers = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
        for controller in controllers.split_whitespace() {
            let _ = put(&folder.join("cgroup.subtree_control"), &format!("+{controller}"));
        }
        folder.push(part);
        make_one(&folder)?;
    }
    Ok(())
}

fn make_one(folder: &Path) -> Result<(), CgroupError> {
    match fs::create_dir(folder) {
        Err(source) if !folder.is_dir() => Err(CgroupError::Make { path: folder.to_owned(), source }),
        _ => Ok(()),
    }
}

fn write(file: &Path, value: &str) -> Result<(), CgroupError> {
    let failed = |source| CgroupError::Write { path: file.to_owned(), value: value.to_owned(), source };
    put(file, value).map_err(failed)
}

/// One line of `mountinfo`.
struct Mount<'l> {
    place: &'l str,
    kind: &'l str,
    options: &'l str,
}

/// Controllers as they stand among mount options, besides `name=…`.
const CONTROLLERS: [&str; 13] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "hugetlb",
    "net_cls",
    "net_prio",
    "perf_event",
    "rdma",
];

impl<'l> Mount<'l> {
    fn of(line: &'l str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let place = before.split(' ').nth(4)?;
        let mut after = after.split(' ');
        let (kind, _, options) = (after.next()?, after.next()?, after.next()?);
        Some(Self { place, kind, options })
    }

    fn controllers(&self) -> impl Iterator<Item = &'l str> {
        let is_one = |option: &&str| CONTROLLERS.contains(option) || option.starts_with("name=");
        self.options.split(',').filter(is_one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mounts_tell_what_the_machine_has() {
        let v2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(Tree::of(v2), Tree::V2 { root: "/sys/fs/cgroup".into() });
        let v1 = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                  32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                  33 31 0:29 / /elsewhere/also/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                  34 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                  40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                  41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let tree = Tree::of(v1);
        let at = |controller: &str| tree.folder_of(controller, "/kubepods/x");
        assert_eq!(tree.hierarchy(), Hierarchy::V1);
        assert_eq!(at("cpu"), Some("/sys/fs/cgroup/cpu,cpuacct/kubepods/x".into()));
        assert_eq!(at("hugetlb"), None);
        let roots: Vec<_> = tree.roots().map(|root| root.to_string_lossy().into_owned()).collect();
        assert_eq!(
            roots,
            [
                "/sys/fs/cgroup/cpu,cpuacct",
                "/sys/fs/cgroup/memory",
                "/sys/fs/cgroup/systemd",
                "/sys/fs/cgroup/unified"
            ]
        );
    }
}
