//! Rotation of container logs (`pkg/kubelet/logs/container_log_manager.go`).
//!
//! A log `0.log` becomes `0.log.<time>` and is compressed at the next rotation, so that readers have
//! time to finish it.

/// Ending of a compressed log.
const GZ: &str = ".gz";
/// Ending of one that is being compressed.
const TMP: &str = ".tmp";

/// What is done to a container's log files, in this order, before the live one is moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Files to remove: left over from a rotation that broke off, or too many.
    pub remove: Vec<String>,
    /// Files to compress.
    pub compress: Vec<String>,
}

/// Plans a rotation. `rotated` are names of files `<log>.*`; `max_files` counts the live one and the one
/// that it becomes.
pub fn plan(rotated: &[String], max_files: usize) -> Rotation {
    let (mut kept, mut remove): (Vec<String>, Vec<String>) =
        rotated.iter().cloned().partition(|file| is_in_use(file, rotated));
    kept.sort();
    let excess = kept.len().saturating_sub(max_files.saturating_sub(2));
    remove.extend(kept.drain(..excess));
    remove.sort();
    let compress = kept.into_iter().filter(|file| !file.ends_with(GZ)).collect();
    Rotation { remove, compress }
}

/// The files of one log, oldest first, the live one last. `files` are names in the log's folder.
pub fn files_of(log: &str, files: &[String]) -> Vec<String> {
    let prefix = format!("{log}.");
    let rotated: Vec<String> = files.iter().filter(|file| file.starts_with(&prefix)).cloned().collect();
    let mut found: Vec<String> = rotated.iter().filter(|file| is_in_use(file, &rotated)).cloned().collect();
    found.sort();
    found.extend(files.iter().find(|file| *file == log).cloned());
    found
}

/// Whether a file's name says that it is compressed.
pub fn is_compressed(file: &str) -> bool {
    file.ends_with(GZ)
}

/// What a file is called once it is compressed, and while it is.
pub fn compressed_names(file: &str) -> (String, String) {
    (format!("{file}{GZ}"), format!("{file}{TMP}"))
}

fn is_in_use(file: &str, all: &[String]) -> bool {
    let is_replaced = || all.iter().any(|other| *other == format!("{file}{GZ}"));
    !file.ends_with(TMP) && (file.ends_with(GZ) || !is_replaced())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_rotation_makes_room_and_compresses_what_is_old() {
        type Case<'c> = (&'c str, &'c [&'c str], usize, &'c [&'c str], &'c [&'c str]);
        let cases: [Case<'_>; 6] = [
            ("the first: nothing to do", &[], 5, &[], &[]),
            ("the second: compress the first", &["0.log.1"], 5, &[], &["0.log.1"]),
            (
                "five files in all: three old ones and the two live ones",
                &["0.log.1.gz", "0.log.2.gz", "0.log.3.gz", "0.log.4"],
                5,
                &["0.log.1.gz"],
                &["0.log.4"],
            ),
            ("two files in all", &["0.log.1"], 2, &["0.log.1"], &[]),
            ("a broken compression", &["0.log.1", "0.log.1.tmp"], 5, &["0.log.1.tmp"], &["0.log.1"]),
            ("an original that is compressed already", &["0.log.1", "0.log.1.gz"], 5, &["0.log.1"], &[]),
        ];
        for (sentence, rotated, max_files, remove, compress) in cases {
            let want = Rotation { remove: names(remove), compress: names(compress) };
            assert_eq!(plan(&names(rotated), max_files), want, "{sentence}");
        }
    }

    #[test]
    fn a_log_is_read_oldest_first() {
        let folder = ["1.log", "0.log", "0.log.2", "0.log.1.gz", "0.log.1", "0.log.3.tmp", "10.log"];
        assert_eq!(files_of("0.log", &names(&folder)), ["0.log.1.gz", "0.log.2", "0.log"]);
        assert_eq!(files_of("1.log", &names(&folder)), ["1.log"]);
        assert!(files_of("2.log", &names(&folder)).is_empty());
    }
}
