//! Paths and file names that tools on a node rely on: logs, links, the pod's own files.

use messages::PodUid;
use std::path::{Path, PathBuf};

/// Where the links to container logs are that log shippers follow.
pub const LINKS: &str = "/var/log/containers";

/// The longest file name that common file systems take, in bytes.
const LONGEST_NAME: usize = 255;

/// `<podLogsDir>/<namespace>_<name>_<uid>`.
pub fn pod_log_directory(logs: &Path, namespace: &str, name: &str, uid: &PodUid) -> PathBuf {
    logs.join(format!("{namespace}_{name}_{uid}"))
}

/// A container's log below the pod's log directory: `<container>/<attempt>.log`.
pub fn log_path(container: &str, attempt: u32) -> String {
    format!("{container}/{attempt}.log")
}

/// The name of the link in [`LINKS`] for one container instance, cut to what fits.
pub fn link(pod: &str, namespace: &str, container: &str, container_id: &str) -> String {
    let mut name = format!("{pod}_{namespace}_{container}-{container_id}");
    let mut end = name.len().min(LONGEST_NAME - ".log".len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    name + ".log"
}

/// The container id at the end of a link's name, if it is one of ours.
pub fn container_id_of_link(link: &str) -> Option<&str> {
    let id = link.strip_suffix(".log")?.rsplit_once('-')?.1;
    // Shorter ones belong to names that were cut.
    (id.len() >= 6).then_some(id)
}

/// The attempt that a container's next instance should have, from the names of the log files of
/// earlier ones. For a runtime that lost its records: starting at 0 would overwrite logs.
pub fn attempt_after_logs<'n>(files: impl IntoIterator<Item = &'n str>) -> u32 {
    let attempt = |file: &str| {
        let (number, rest) = file.split_once('.')?;
        let is_log = rest == "log" || rest.starts_with("log.");
        number.parse::<u32>().ok().filter(|_| is_log)?.checked_add(1)
    };
    files.into_iter().filter_map(attempt).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_where_the_kubelet_puts_them() {
        let uid = "0b2c6f1e-7a3d".parse().unwrap();
        let directory = pod_log_directory(Path::new("/var/log/pods"), "shop", "web", &uid);
        assert_eq!(directory, Path::new("/var/log/pods/shop_web_0b2c6f1e-7a3d"));
        assert_eq!(log_path("app", 3), "app/3.log");
    }

    #[test]
    fn a_link_is_cut_to_the_longest_file_name() {
        let id = "f".repeat(64);
        assert_eq!(link("web", "shop", "app", "abc123"), "web_shop_app-abc123.log");
        let long = link(&"p".repeat(253), "shop", "app", &id);
        assert_eq!(long.len(), LONGEST_NAME);
        assert!(long.ends_with(".log"));
    }

    #[test]
    fn a_link_tells_its_container() {
        assert_eq!(container_id_of_link("web_shop_app-abc123.log"), Some("abc123"));
        for foreign in ["web_shop_app-abc12.log", "app.log", "web_shop_app-abc123.txt"] {
            assert_eq!(container_id_of_link(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn lost_attempts_are_counted_from_log_files() {
        let cases: [(&str, &[&str], u32); 5] = [
            ("no logs, a first instance", &[], 0),
            ("the greatest counts", &["0.log", "2.log", "1.log"], 3),
            ("rotated ones count", &["4.log.20260101-000000", "4.log.20251231-000000.gz"], 5),
            ("other files do not", &["notes.txt", "7.txt", "x.log", "-1.log"], 0),
            ("absurd numbers do not", &["4294967295.log", "99999999999.log", "1.log"], 2),
        ];
        for (sentence, files, want) in cases {
            assert_eq!(attempt_after_logs(files.iter().copied()), want, "{sentence}");
        }
    }
}
