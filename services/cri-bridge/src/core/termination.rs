//! Termination messages: what a container leaves behind when it ends.

use proto::runtime::v1 as cri;

/// The most that is read of a termination log, in bytes.
pub const FILE_LIMIT: u64 = 4096;
/// The most that is taken from the end of a container's log instead, in bytes and lines.
const LOG_LIMIT: usize = 2048;
const LOG_LINES: usize = 80;
/// How much of the end of a log file is read for that: 80 lines with times and tags, and some.
pub const LOG_TAIL: u64 = 64 * 1024;

/// Where the container's termination log is on the host, if it has one.
pub fn host_path<'s>(status: &'s cri::ContainerStatus, container_path: &str) -> Option<&'s str> {
    if container_path.is_empty() {
        return None;
    }
    let path = super::mounts::absolute(container_path);
    let mount = status.mounts.iter().find(|mount| mount.container_path == path)?;
    Some(&mount.host_path)
}

/// Whether the end of the log stands in for an empty termination log: only on failure, and only for a
/// container that got as far as to log.
pub fn wants_log(status: &cri::ContainerStatus, falls_back: bool) -> bool {
    falls_back && status.exit_code != 0 && status.reason != "ContainerCannotRun"
}

/// The end of a log in CRI's format (`time stream P|F text`) as the container wrote it: at most 80 lines
/// and 2 KiB. `tail` may begin in the middle of a line, which is left out then.
pub fn end_of_log(tail: &str, is_cut: bool) -> String {
    let mut lines: Vec<&str> = tail.lines().collect();
    if is_cut && !lines.is_empty() {
        lines.remove(0);
    }
    let first = lines.len().saturating_sub(LOG_LINES);
    let text: String = lines[first..].iter().filter_map(|line| said(line)).collect();
    let mut begin = text.len().saturating_sub(LOG_LIMIT);
    while !text.is_char_boundary(begin) {
        begin += 1;
    }
    text[begin..].to_owned()
}

/// What a log line says, with a line end unless the line goes on.
fn said(line: &str) -> Option<String> {
    let mut fields = line.splitn(4, ' ');
    let (_time, _stream) = (fields.next()?, fields.next()?);
    let tag = fields.next()?;
    let text = fields.next().unwrap_or_default();
    let is_partial = tag.split(':').next() == Some("P");
    Some(if is_partial { text.to_owned() } else { format!("{text}\n") })
}

/// The runtime's message and the container's own.
pub fn joined(runtime: &str, own: &str) -> String {
    match (runtime, own) {
        (runtime, "") => runtime.to_owned(),
        ("", own) => own.to_owned(),
        (runtime, own) => format!("{runtime}: {own}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_found_by_its_mount() {
        let mount = |container: &str, host: &str| cri::Mount {
            container_path: container.into(),
            host_path: host.into(),
            ..Default::default()
        };
        let mounts = vec![mount("/data", "/v"), mount("/dev/termination-log", "/pod/containers/app/1")];
        let status = cri::ContainerStatus { mounts, ..Default::default() };
        let cases = [
            ("/dev/termination-log", Some("/pod/containers/app/1")),
            ("dev/termination-log", Some("/pod/containers/app/1")),
            ("/else", None),
            ("", None),
        ];
        for (path, want) in cases {
            assert_eq!(host_path(&status, path), want, "{path:?}");
        }
    }

    #[test]
    fn the_log_stands_in_only_after_a_failure() {
        let status = |exit_code, reason: &str| cri::ContainerStatus {
            exit_code,
            reason: reason.into(),
            ..Default::default()
        };
        assert!(wants_log(&status(1, "Error"), true));
        assert!(!wants_log(&status(1, "Error"), false));
        assert!(!wants_log(&status(0, "Completed"), true));
        assert!(!wants_log(&status(128, "ContainerCannotRun"), true));
    }

    #[test]
    fn the_end_of_a_log_is_read_as_it_was_written() {
        let line = |tag: &str, text: &str| format!("2026-01-01T00:00:00.000000001Z stderr {tag} {text}\n");
        let many: String = (0..100).map(|i| line("F", &i.to_string())).collect();
        let long = line("F", &"é".repeat(2000));
        let cases = [
            ("nothing", String::new(), false, String::new()),
            ("a line", line("F", "a b"), false, "a b\n".into()),
            ("an empty line", line("F", ""), false, "\n".into()),
            ("a line in two parts", line("P", "a") + &line("F", "b"), false, "ab\n".into()),
            ("a tag with an extension", line("P:x", "a") + &line("F:x", "b"), false, "ab\n".into()),
            ("a cut line is left out", line("F", "a") + &line("F", "b"), true, "b\n".into()),
            ("eighty lines", many, false, (20..100).map(|i| format!("{i}\n")).collect()),
            ("two kibibytes, whole characters", long, false, "é".repeat(1023) + "\n"),
            ("what is no log line is left out", "nonsense\n".into(), false, String::new()),
        ];
        for (sentence, tail, is_cut, want) in cases {
            assert_eq!(end_of_log(&tail, is_cut), want, "{sentence}");
        }
    }

    #[test]
    fn both_messages_are_shown() {
        let cases = [(("", ""), ""), (("a", ""), "a"), (("", "b"), "b"), (("a", "b"), "a: b")];
        for ((runtime, own), want) in cases {
            assert_eq!(joined(runtime, own), want);
        }
    }
}
