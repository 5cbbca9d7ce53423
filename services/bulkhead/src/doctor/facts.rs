//! What this machine is and has, as far as a node depends on it. Looks, and changes nothing.

use crate::{guard, host};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

/// Where CNI plugins look for their configuration.
const CNI_CONFIGURATION: &str = "/etc/cni/net.d";
/// Where containerd (upstream's and Debian's) looks for the plugins.
const CNI_PLUGINS: [&str; 2] = ["/opt/cni/bin", "/usr/lib/cni"];
/// The node's ports, and the proxy's.
const PORTS: [u16; 4] = [10250, 10248, 10256, 10249];

/// The facts.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// The caller is root.
    pub(super) root: bool,
    /// Programs that are there, of those a node starts or needs.
    pub(super) programs: BTreeSet<&'static str>,
    /// The runtime's socket.
    pub(super) runtime_socket: PathBuf,
    /// Something listens on it.
    pub(super) runtime_answers: bool,
    /// The first CNI configuration and the plugins it names; none where there is no configuration.
    pub(super) cni: Option<Cni>,
    /// All cgroup controllers are in one tree.
    pub(super) cgroup_v2: bool,
    /// Controllers that pods can be limited by.
    pub(super) controllers: BTreeSet<String>,
    /// Entries of `/proc/filesystems`.
    pub(super) filesystems: BTreeSet<String>,
    /// Kinds of namespaces.
    pub(super) namespaces: BTreeSet<String>,
    /// `net.ipv4.ip_forward`.
    pub(super) forwards: bool,
    /// Where the machine swaps to.
    pub(super) swap: Option<String>,
    /// Ports of the node that somebody else has.
    pub(super) taken_ports: Vec<u16>,
    /// The supervisor that runs a node here already.
    pub(super) supervisor: Option<u32>,
    /// `/etc/machine-id` has something in it.
    pub(super) machine_id: bool,
}

/// A CNI configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cni {
    /// Its file.
    pub(super) file: PathBuf,
    /// Plugins that it names and that are nowhere.
    pub(super) missing: Vec<String>,
}

/// What a node starts, or what its runtime does.
pub(super) const PROGRAMS: [&str; 6] = ["nats-server", "containerd", "runc", "nft", "iptables", "conntrack"];

impl Facts {
    /// Looks at this machine.
    pub(super) fn of_this_machine(endpoint: &str, root_dir: &Path) -> Self {
        let runtime_socket: PathBuf = endpoint.strip_prefix("unix://").unwrap_or(endpoint).into();
        let cgroup_v2 = host::has_cgroup_v2();
        let listens = |port: &u16| host::listens(IpAddr::V4(Ipv4Addr::UNSPECIFIED), *port);
        Self {
            root: rustix::process::geteuid().is_root(),
            programs: PROGRAMS.into_iter().filter(|name| host::program(name).is_some()).collect(),
            runtime_answers: UnixStream::connect(&runtime_socket).is_ok(),
            runtime_socket,
            cni: cni(Path::new(CNI_CONFIGURATION)),
            cgroup_v2,
            controllers: controllers(cgroup_v2),
            filesystems: words("/proc/filesystems", |line| line.split_whitespace().last()),
            namespaces: names("/proc/self/ns"),
            forwards: text("/proc/sys/net/ipv4/ip_forward").trim() == "1",
            swap: host::swap_device(),
            taken_ports: PORTS.into_iter().filter(listens).collect(),
            supervisor: guard::holder(&root_dir.join("bulkhead")),
            machine_id: !text("/etc/machine-id").trim().is_empty(),
        }
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn words(path: &str, pick: impl Fn(&str) -> Option<&str>) -> BTreeSet<String> {
    text(path).lines().filter_map(pick).map(str::to_owned).collect()
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn controllers(v2: bool) -> BTreeSet<String> {
    if v2 {
        let all = text("/sys/fs/cgroup/cgroup.controllers");
        return all.split_whitespace().map(str::to_owned).collect();
    }
    // Name, hierarchy, number of cgroups, enabled.
    let enabled = |line: &str| line.split_whitespace().last() == Some("1");
    words("/proc/cgroups", |line| line.split_whitespace().next().filter(|_| enabled(line)))
}

/// The first configuration by name, as runtimes choose it.
fn cni(folder: &Path) -> Option<Cni> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| {
        path.extension()
            .is_some_and(|ending| ["conf", "conflist", "json"].iter().any(|known| ending == *known))
    });
    files.sort();
    let file = files.into_iter().next()?;
    let tree = serde_json::from_slice(&fs::read(&file).ok()?).unwrap_or_default();
    let is_there = |plugin: &String| CNI_PLUGINS.iter().any(|folder| Path::new(folder).join(plugin).exists());
    let missing = plugins(&tree).into_iter().filter(|plugin| !is_there(plugin)).collect();
    Some(Cni { file, missing })
}

/// The plugins that a configuration names, those for addresses included.
fn plugins(tree: &Value) -> Vec<String> {
    let list = tree["plugins"].as_array().cloned().unwrap_or_else(|| vec![tree.clone()]);
    let names = list.iter().flat_map(|plugin| [&plugin["type"], &plugin["ipam"]["type"]]);
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plugins_of_a_list_and_of_a_single_one_are_found() {
        let list =
            json!({"plugins": [{"type": "bridge", "ipam": {"type": "host-local"}}, {"type": "portmap"}]});
        assert_eq!(plugins(&list), ["bridge", "host-local", "portmap"]);
        assert_eq!(plugins(&json!({"type": "ptp"})), ["ptp"]);
        assert_eq!(plugins(&json!(null)), Vec::<String>::new());
    }

    #[test]
    fn the_first_configuration_by_name_counts() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(cni(dir.path()), None);
        fs::write(dir.path().join("20-b.conf"), "{}").unwrap();
        fs::write(dir.path().join("10-a.conflist"), r#"{"plugins":[{"type":"no-such-plugin"}]}"#).unwrap();
        fs::write(dir.path().join("05-notes.txt"), "").unwrap();
        let found = cni(dir.path()).unwrap();
        assert!(found.file.ends_with("10-a.conflist"));
        assert_eq!(found.missing, ["no-such-plugin"]);
    }
}
