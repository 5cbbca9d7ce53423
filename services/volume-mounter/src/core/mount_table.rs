//! The kernel's table of mounts, `mountinfo` in `/proc`, as text.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

/// Where things are mounted, in the order in which they were.
pub fn mount_points(table: &str) -> Vec<PathBuf> {
    table.lines().filter_map(|line| line.split(' ').nth(4)).map(unescaped).collect()
}

/// The mount points in a folder, itself included, in the order in which they can be unmounted.
pub fn below(table: &str, folder: &Path) -> Vec<PathBuf> {
    let mut points = mount_points(table);
    points.retain(|point| point.starts_with(folder));
    points.reverse();
    points
}

/// Whether all that is mounted in a folder is memory, which no device or server can keep from going.
pub fn is_memory_below(table: &str, folder: &Path) -> bool {
    let is_memory = |line: &str| {
        let kind = line.split_once(" - ").and_then(|(_, rest)| rest.split(' ').next());
        matches!(kind, Some("tmpfs" | "hugetlbfs"))
    };
    let is_below =
        |line: &&str| line.split(' ').nth(4).is_some_and(|point| unescaped(point).starts_with(folder));
    table.lines().filter(is_below).all(is_memory)
}

/// Space, tab, newline and backslash stand as three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let octal = (*byte == b'\\').then(|| text.get(at + 1..at + 4)).flatten();
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => {
                out.push(escaped);
                at += 4;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    PathBuf::from(OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:40 / /pods/u-1/volumes/a rw - tmpfs tmpfs rw
31 22 0:41 / /pods/u-10/volumes/a rw - tmpfs tmpfs rw
32 30 0:42 /x /pods/u-1/volumes/a/deep\\040er rw shared:1 - tmpfs tmpfs rw
odd
";

    #[test]
    fn what_lies_deeper_comes_first() {
        let got = below(TABLE, Path::new("/pods/u-1"));
        assert_eq!(got, [Path::new("/pods/u-1/volumes/a/deep er"), Path::new("/pods/u-1/volumes/a")]);
    }

    #[test]
    fn a_folder_with_a_longer_name_is_another_one() {
        assert_eq!(below(TABLE, Path::new("/pods/u-1/volumes/b")), Vec::<PathBuf>::new());
        assert_eq!(below(TABLE, Path::new("/pods/u-10")).len(), 1);
    }

    #[test]
    fn only_memory_is_sure_to_go() {
        let served = "40 31 0:50 / /pods/u-2/volumes/b rw - nfs4 server:/b rw\n\
            41 31 0:51 / /pods/u-2/volumes/c rw shared:9 - tmpfs tmpfs rw\n";
        for (folder, want) in [("/pods/u-2", false), ("/pods/u-2/volumes/c", true), ("/pods/u-3", true)] {
            assert_eq!(is_memory_below(served, Path::new(folder)), want, "{folder}");
        }
        assert!(is_memory_below(TABLE, Path::new("/pods")));
        assert!(!is_memory_below(TABLE, Path::new("/")));
    }

    #[test]
    fn broken_escapes_are_taken_as_they_are() {
        for (text, want) in
            [("/a\\", "/a\\"), ("/a\\0", "/a\\0"), ("/a\\999", "/a\\999"), ("/a\\134b", "/a\\b")]
        {
            assert_eq!(unescaped(text), Path::new(want), "{text}");
        }
    }
}
