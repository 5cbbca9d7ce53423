//! `/run`: what a command is, and how the runtime says that it ended.

use super::{query::Query, refused::Refused};
use serde_json::Value;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Well.
    Well,
    /// With another exit code.
    With(String),
    /// It was never begun, or nobody knows.
    Failed(String),
}

/// The words of a command. Only blanks separate them, and there is no way to quote one; that is upstream's.
pub(crate) fn command(query: &Query) -> Vec<String> {
    query.first("cmd").unwrap_or_default().split(' ').map(str::to_owned).collect()
}

/// Reads the `v1.Status` that the runtime sends at the end.
pub(crate) fn ended(status: &[u8]) -> Ended {
    let Ok(status) = serde_json::from_slice::<Value>(status) else {
        return Ended::Failed("the runtime did not say how the command ended".to_owned());
    };
    if status["status"] == "Success" {
        return Ended::Well;
    }
    let causes = status["details"]["causes"].as_array();
    let code = causes.into_iter().flatten().find(|cause| cause["reason"] == "ExitCode");
    match code.and_then(|cause| cause["message"].as_str()) {
        Some(code) => Ended::With(code.to_owned()),
        None => Ended::Failed(status["message"].as_str().unwrap_or("the command failed").to_owned()),
    }
}

/// What is said of a command that did not end well.
pub(crate) fn failed(command: &[String], ended: &Ended, stderr: &[u8]) -> Option<Refused> {
    match ended {
        Ended::Well => None,
        Ended::With(code) => {
            let (command, stderr) = (command.join(" "), String::from_utf8_lossy(stderr));
            Some(Refused::internal(format!("command '{command}' exited with {code}: {stderr}")))
        }
        Ended::Failed(why) => Some(Refused::internal(why.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_read_from_a_status() {
        let cases = [
            ("well", r#"{"metadata":{},"status":"Success"}"#, Ended::Well),
            (
                "with a code",
                r#"{"status":"Failure","reason":"NonZeroExitCode",
                    "details":{"causes":[{"reason":"ExitCode","message":"3"}]}}"#,
                Ended::With("3".into()),
            ),
            (
                "never begun",
                r#"{"status":"Failure","message":"no such file"}"#,
                Ended::Failed("no such file".into()),
            ),
            ("without a word", r#"{"status":"Failure"}"#, Ended::Failed("the command failed".into())),
            ("nonsense", "x", Ended::Failed("the runtime did not say how the command ended".into())),
        ];
        for (name, status, want) in cases {
            assert_eq!(ended(status.as_bytes()), want, "{name}");
        }
    }

    #[test]
    fn a_failure_is_told_in_the_kubelets_words() {
        let words = command(&Query::parse("cmd=ls+-l+%2Fx"));
        assert_eq!(words, ["ls", "-l", "/x"]);
        let told = failed(&words, &Ended::With("2".into()), b"no such file").unwrap();
        assert_eq!(told.text, "command 'ls -l /x' exited with 2: no such file");
        assert_eq!(failed(&words, &Ended::Well, b""), None);
    }
}
