//! The machine under the node, read from `/proc`, `/sys` and `/etc`.

use messages::cri_bridge::{Filesystem, Image};
use proto::runtime::v1 as cri;
use rustix::fs::statvfs;
use std::{collections::BTreeMap, fs, path::Path};

/// Names of an image that a node's status shows at most.
const NAMES_PER_IMAGE: usize = 5;

/// What does not change while the machine runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardware {
    /// Logical CPUs that are online.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of swap.
    pub swap: u64,
    /// Bytes of huge pages by page size in bytes. Sizes that the machine has none of are there too.
    pub hugepages: BTreeMap<u64, u64>,
    /// Processes and threads that the kernel allows.
    pub pids: u64,
}

impl Hardware {
    /// Reads it.
    pub fn read() -> Self {
        let meminfo = text("/proc/meminfo");
        let online = text("/sys/devices/system/cpu/online");
        let number = |path: &str| text(path).trim().parse::<u64>().ok();
        let pid_limits = [number("/proc/sys/kernel/pid_max"), number("/proc/sys/kernel/threads-max")];
        Self {
            cpus: u32::try_from(listed(&online).count()).unwrap_or(u32::MAX).max(1),
            memory: kibibytes(&meminfo, "MemTotal:"),
            swap: kibibytes(&meminfo, "SwapTotal:"),
            hugepages: hugepages(Path::new("/sys/kernel/mm/hugepages")),
            pids: pid_limits.into_iter().flatten().min().unwrap_or_default(),
        }
    }
}

/// Who the machine and its system are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// The firmware's id, or the machine id.
    pub system_uuid: String,
    /// New at each boot.
    pub boot_id: String,
    /// `uname -r`.
    pub kernel_version: String,
    /// `PRETTY_NAME`.
    pub os_image: String,
}

impl Identity {
    /// Reads it.
    pub fn read() -> Self {
        let machine_id = first(["/etc/machine-id", "/var/lib/dbus/machine-id"]);
        let system_uuid = first(["/sys/class/dmi/id/product_uuid"]);
        Self {
            system_uuid: if system_uuid.is_empty() { machine_id.clone() } else { system_uuid },
            machine_id,
            boot_id: first(["/proc/sys/kernel/random/boot_id"]),
            kernel_version: first(["/proc/sys/kernel/osrelease"]),
            os_image: os_name(&first(["/etc/os-release", "/usr/lib/os-release"])),
        }
    }
}

/// Size and use of the file system that a path is on; zeroes where that can't be told.
pub fn filesystem(path: &Path) -> Filesystem {
    let Ok(stat) = statvfs(path) else { return Filesystem::default() };
    Filesystem {
        capacity: stat.f_blocks * stat.f_frsize,
        available: stat.f_bavail * stat.f_frsize,
        inodes: stat.f_files,
        inodes_free: stat.f_ffree,
    }
}

/// Paths by which containers could watch the CPUs' temperature, and through it each other.
pub fn thermal_throttle_paths() -> Vec<String> {
    let possible = text("/sys/devices/system/cpu/possible");
    let paths = listed(&possible).map(|cpu| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle"));
    paths.filter(|path| Path::new(path).exists()).collect()
}

/// SELinux is on.
pub fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

/// The node's own hosts file.
pub fn hosts_file() -> String {
    text("/etc/hosts")
}

/// Images as a node's status shows them: the biggest first, digests before tags.
pub fn images(list: &[cri::Image], most: Option<usize>) -> Vec<Image> {
    let mut images: Vec<Image> = list.iter().map(image).filter(|image| !image.names.is_empty()).collect();
    images.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.names.cmp(&b.names)));
    images.truncate(most.unwrap_or(usize::MAX));
    images
}

fn image(image: &cri::Image) -> Image {
    let names = image.repo_digests.iter().chain(&image.repo_tags).filter(|name| !name.contains("<none>"));
    Image { names: names.take(NAMES_PER_IMAGE).cloned().collect(), size: image.size }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn first<const N: usize>(paths: [&str; N]) -> String {
    let texts = paths.into_iter().map(|path| text(path).trim().to_owned());
    texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
}

/// A line `Name:   123 kB` in bytes.
fn kibibytes(meminfo: &str, name: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or_default() * 1024
}

/// The numbers in a list such as `0-3,8`.
fn listed(list: &str) -> impl Iterator<Item = u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        // More CPUs than any kernel is built for are a mistake of the reader.
        Some(first..=last.min(first.saturating_add(8192)))
    };
    let ranges: Vec<_> = list.trim().split(',').filter_map(range).collect();
    ranges.into_iter().flatten()
}

fn hugepages(folder: &Path) -> BTreeMap<u64, u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| pages(&entry.path())).collect()
}

fn pages(folder: &Path) -> Option<(u64, u64)> {
    let name = folder.file_name()?.to_str()?;
    let size = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<u64>().ok()? * 1024;
    let count = fs::read_to_string(folder.join("nr_hugepages")).ok()?.trim().parse::<u64>().ok()?;
    Some((size, size * count))
}

fn os_name(os_release: &str) -> String {
    let line = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    line.map_or("Linux", |name| name.trim_matches(['"', '\''])).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_be_read() {
        let hardware = Hardware::read();
        assert!(hardware.cpus >= 1 && hardware.memory > 0 && hardware.pids > 0);
        assert!(!Identity::read().kernel_version.is_empty());
        assert!(filesystem(Path::new("/")).capacity > 0);
        assert_eq!(filesystem(Path::new("/nowhere")), Filesystem::default());
    }

    #[test]
    fn the_kernels_texts_are_read() {
        assert_eq!(kibibytes("MemTotal:       16 kB\nMemFree: 1 kB\n", "MemTotal:"), 16 << 10);
        assert_eq!(kibibytes("", "SwapTotal:"), 0);
        assert_eq!(listed("0-2,8\n").collect::<Vec<_>>(), [0, 1, 2, 8]);
        assert_eq!(listed("x").count(), 0);
        assert_eq!(os_name("NAME=x\nPRETTY_NAME=\"Debian 12\"\n"), "Debian 12");
        assert_eq!(os_name(""), "Linux");
    }

    #[test]
    fn images_are_shown_biggest_first_with_few_names() {
        let image = |tags: &[&str], size| cri::Image {
            repo_digests: vec!["a@sha256:1".into()],
            repo_tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            size,
            ..Default::default()
        };
        let nameless = cri::Image { size: 99, ..Default::default() };
        let shown =
            images(&[image(&["a:1", "a:2", "a:3", "a:4", "a:5"], 1), image(&["b:1"], 2), nameless], Some(2));
        assert_eq!(shown[0].names, ["a@sha256:1", "b:1"]);
        assert_eq!(shown[1].names, ["a@sha256:1", "a:1", "a:2", "a:3", "a:4"]);
        assert_eq!(shown.len(), 2);
    }
}
