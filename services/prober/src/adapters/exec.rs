//! Exec probes: cri-bridge runs the command, from its own copy of the spec.

use crate::{core::outcome::Outcome, ports::Subject};
use chassis::{Bus, error};
use messages::cri_bridge::{ExecProbe, ExecProbeReply};
use std::time::Duration;

/// On top of the probe's own timeout: the way there and back, and a busy runtime's queue.
const SLACK: Duration = Duration::from_secs(5);

/// Has the command run once. Without cri-bridge there is no result.
pub async fn probe(bus: &Bus, subject: &Subject, command: &[String], timeout: Duration) -> Outcome {
    let ask = ExecProbe {
        pod: subject.pod.clone(),
        container: subject.container.clone(),
        container_id: subject.container_id.clone(),
        probe: subject.probe,
    };
    match bus.ask(&ask, timeout + SLACK).await {
        Ok(reply) => judge(reply, command, timeout),
        Err(away) => Outcome::NotTried(error::chain(&away)),
    }
}

fn judge(reply: ExecProbeReply, command: &[String], timeout: Duration) -> Outcome {
    match reply {
        ExecProbeReply::Exited { code: 0, .. } => Outcome::Success,
        ExecProbeReply::Exited { output, .. } => Outcome::Failure(output),
        ExecProbeReply::TimedOut { .. } => {
            let command = command.join(" ");
            Outcome::Failure(format!("command timed out: \"{command}\" timed out after {timeout:?}"))
        }
        ExecProbeReply::Errored { why } => Outcome::Errored(why),
        ExecProbeReply::Refused { refusal } => Outcome::NotTried(refusal.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::Refusal;

    #[test]
    fn replies_become_outcomes() {
        let exited = |code| ExecProbeReply::Exited { code, output: "out".into() };
        let late = "command timed out: \"cat /x\" timed out after 2s";
        let cases = [
            ("exit code 0", exited(0), Outcome::Success),
            ("any other", exited(3), Outcome::Failure("out".into())),
            (
                "a timeout is a failure",
                ExecProbeReply::TimedOut { output: String::new() },
                Outcome::Failure(late.into()),
            ),
            (
                "the runtime could not",
                ExecProbeReply::Errored { why: "no".into() },
                Outcome::Errored("no".into()),
            ),
            (
                "cri-bridge would not",
                ExecProbeReply::Refused { refusal: Refusal::Unavailable },
                Outcome::NotTried("the receiver is busy, leaving or cut off".into()),
            ),
        ];
        for (name, reply, want) in cases {
            let command = ["cat".to_owned(), "/x".to_owned()];
            assert_eq!(judge(reply, &command, Duration::from_secs(2)), want, "{name}");
        }
    }
}
