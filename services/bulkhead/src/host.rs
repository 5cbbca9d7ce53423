//! What the host tells of itself and its processes: `/proc` and `/sys`, read and never written.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

/// The host's name.
pub(crate) fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether all cgroup controllers are in one tree.
pub(crate) fn has_cgroup_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Where the machine swaps to, if anywhere. Swap in compressed memory made by the kernel's tmpfs
/// counts too.
pub(crate) fn swap_device() -> Option<String> {
    let swaps = fs::read_to_string("/proc/swaps").ok()?;
    swaps.lines().nth(1).and_then(|line| line.split_whitespace().next()).map(str::to_owned)
}

/// Proportional memory of a process in bytes: shared pages count in part. Needs root for others'.
pub(crate) fn memory(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// A process' command line, argument by argument; empty for the kernel's threads.
pub(crate) fn command_line(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// All process ids.
pub(crate) fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether something listens on a port in this network namespace, at this address or at all of them.
/// Read from the kernel's tables, so that nobody is disturbed by a connection.
pub(crate) fn listens(address: IpAddr, port: u16) -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(|table| listeners(&fs::read_to_string(table).unwrap_or_default()))
        .any(|(at, bound)| bound == port && meets(at, address))
}

/// Whether two listeners at these addresses would get in each other's way.
fn meets(one: IpAddr, other: IpAddr) -> bool {
    one.is_unspecified() || other.is_unspecified() || one == other
}

/// The listening sockets of a table like `/proc/net/tcp`.
fn listeners(table: &str) -> Vec<(IpAddr, u16)> {
    const LISTEN: &str = "0A";
    let of_line = |line: &str| {
        let mut words = line.split_whitespace();
        let (local, state) = (words.nth(1)?, words.nth(1)?);
        let (address, port) = local.split_once(':')?;
        (state == LISTEN).then_some((hex_address(address)?, u16::from_str_radix(port, 16).ok()?))
    };
    table.lines().skip(1).filter_map(of_line).collect()
}

/// An address as the kernel prints it: words of 32 bits in the machine's order.
fn hex_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

/// A program in the folders of `PATH`, or in those where Debian keeps servers.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|folder| folder.join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_are_read_from_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n   \
                     0: 0100007F:2808 00000000:0000 0A 00000000:00000000\n   \
                     1: 0100007F:1F90 0100007F:9999 01 00000000:00000000\n   \
                     2: 00000000000000000000000000000000:280A 00000000000000000000000000000000:0000 0A 0\n";
        let expected = [(Ipv4Addr::LOCALHOST.into(), 10248), (Ipv6Addr::UNSPECIFIED.into(), 10250)];
        assert_eq!(listeners(table), expected);
    }

    #[test]
    fn a_listener_at_all_addresses_is_in_everyones_way() {
        let (all, local, other) = ("0.0.0.0", "127.0.0.1", "10.0.0.1");
        let cases = [(all, local, true), (local, all, true), (local, local, true), (local, other, false)];
        for (one, another, expected) in cases {
            assert_eq!(meets(one.parse().unwrap(), another.parse().unwrap()), expected, "{one} {another}");
        }
    }

    #[test]
    fn this_process_has_memory_and_a_command_line() {
        let own = std::process::id();
        assert!(memory(own).is_some_and(|bytes| bytes > 100_000));
        assert!(!command_line(own).is_empty() && processes().contains(&own));
    }
}
