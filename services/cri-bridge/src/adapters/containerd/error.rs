//! What went wrong with a CRI call, and what that means for the caller.

use std::{error::Error, iter::successors, time::Duration};
use tonic::{Code, ConnectError, Status};

/// What containerd says of every call between opening its socket and having read its state.
const STARTING: &str = "server is not initialized yet";

/// Why a call has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The runtime said no, or could not be reached.
    #[error("the runtime failed {call}: {said}", said = said(.status))]
    Said {
        /// Which call.
        call: &'static str,
        /// What it said.
        status: Box<Status>,
    },
    /// No answer came in time. Whether anything happened is unknown.
    #[error("the runtime did not answer {call} within {patience:?}")]
    TimedOut {
        /// Which call.
        call: &'static str,
        /// How long was waited.
        patience: Duration,
    },
    /// The answer lacks what the contract promises.
    #[error("the runtime's answer to {call} has no {what}")]
    Empty {
        /// Which call.
        call: &'static str,
        /// What is missing.
        what: &'static str,
    },
}

impl RuntimeError {
    /// There is no such sandbox, container or image.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(Code::NotFound)
    }

    /// The runtime does not know the call. Some runtimes say so with the wrong code.
    pub fn is_unimplemented(&self) -> bool {
        match self {
            Self::Said { status, .. } => {
                let unknown = status.code() == Code::Unknown && status.message().contains("not implemented");
                status.code() == Code::Unimplemented || unknown
            }
            _ => false,
        }
    }

    /// The call did not get to the runtime, or before it had begun to work: nothing happened.
    pub fn is_unreached(&self) -> bool {
        let Self::Said { status, .. } = self else { return false };
        let chain = successors(status.source(), |&error| error.source());
        status.message().contains(STARTING) || chain.into_iter().any(|error| error.is::<ConnectError>())
    }

    /// The connection broke before the answer had come. Whether anything happened is unknown, but the
    /// runtime does not go on with it: it gives up what nobody waits for, or has ended itself.
    pub fn is_cut_off(&self) -> bool {
        let Self::Said { status, .. } = self else { return false };
        // What the runtime said itself has no source on this side.
        let is_broken =
            status.source().is_some() || matches!(status.code(), Code::Cancelled | Code::Unavailable);
        is_broken && !self.is_unreached()
    }

    /// The runtime has not ended an earlier call of the same name yet.
    pub fn is_reserved(&self) -> bool {
        matches!(self, Self::Said { status, .. } if status.message().contains("is reserved for"))
    }

    /// Something may have happened or may still happen: the deed must be followed up.
    pub fn is_of_unknown_outcome(&self) -> bool {
        let is_late = self.code() == Some(Code::DeadlineExceeded) || matches!(self, Self::TimedOut { .. });
        is_late || self.is_reserved() || self.is_cut_off()
    }

    /// An exec ran into its own time limit.
    pub fn is_exec_timeout(&self) -> bool {
        match self {
            Self::TimedOut { .. } => true,
            Self::Said { status, .. } => {
                status.code() == Code::DeadlineExceeded || status.message().contains("timed out")
            }
            Self::Empty { .. } => false,
        }
    }

    /// What to show in events and statuses: as the kubelet shows it, whose client prints codes.
    pub fn shown(&self) -> String {
        match self {
            Self::Said { status, .. } => said(status),
            other => other.to_string(),
        }
    }

    /// The runtime's bare message, as the kubelet shows it for containers.
    pub fn message(&self) -> String {
        match self {
            Self::Said { status, .. } => status.message().to_owned(),
            other => other.to_string(),
        }
    }

    fn code(&self) -> Option<Code> {
        match self {
            Self::Said { status, .. } => Some(status.code()),
            _ => None,
        }
    }
}

/// A status in the words of Go's client, which people search for.
fn said(status: &Status) -> String {
    let code = match status.code() {
        Code::Ok => "OK".to_owned(),
        Code::Cancelled => "Canceled".to_owned(),
        other => format!("{other:?}"),
    };
    format!("rpc error: code = {code} desc = {}", status.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: Code, message: &str) -> RuntimeError {
        RuntimeError::Said { call: "RunPodSandbox", status: Box::new(Status::new(code, message)) }
    }

    #[test]
    fn an_error_is_shown_as_gos_client_shows_it() {
        assert_eq!(error(Code::Cancelled, "no").shown(), "rpc error: code = Canceled desc = no");
        assert_eq!(error(Code::NotFound, "no").message(), "no");
        let timed_out = RuntimeError::TimedOut { call: "RunPodSandbox", patience: Duration::from_secs(4) };
        assert_eq!(timed_out.shown(), "the runtime did not answer RunPodSandbox within 4s");
    }

    #[test]
    fn what_an_error_means() {
        let reserved = "failed to reserve sandbox name \"web\": name \"web\" is reserved for \"abc\"";
        let cases = [
            (error(Code::Unknown, "cni failed"), false),
            (error(Code::Unknown, reserved), true),
            (error(Code::Unavailable, "transport is closing"), true),
            (error(Code::DeadlineExceeded, "context deadline exceeded"), true),
            (error(Code::NotFound, "no such image"), false),
        ];
        for (error, unknown) in cases {
            assert_eq!(error.is_of_unknown_outcome(), unknown, "{error}");
            assert!(!error.is_unreached(), "{error}");
        }
        assert!(error(Code::NotFound, "").is_not_found());
        assert!(error(Code::Unimplemented, "").is_unimplemented());
        assert!(error(Code::Unknown, "method X not implemented").is_unimplemented());
    }
    #[test]
    fn a_call_that_did_not_get_there_did_nothing() {
        let refused = Status::from_error(Box::new(ConnectError("connection refused".into())));
        let broken = Status::from_error("the connection broke".into());
        let cases = [
            ("nobody listens", refused, (true, false)),
            ("the runtime is starting", Status::unknown(format!("{STARTING}: unavailable")), (true, false)),
            ("the connection broke under way", broken, (false, true)),
            ("the runtime was told to leave", Status::cancelled("context canceled"), (false, true)),
            ("it said no", Status::unknown("cni failed"), (false, false)),
        ];
        for (name, status, want) in cases {
            let error = RuntimeError::Said { call: "RunPodSandbox", status: Box::new(status) };
            assert_eq!((error.is_unreached(), error.is_cut_off()), want, "{name}");
            assert_eq!(error.is_of_unknown_outcome(), want.1, "{name}");
        }
    }
}
