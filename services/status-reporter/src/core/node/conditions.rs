//! The node's own conditions. Others' (NetworkUnavailable is the cloud's) are left alone.

use crate::core::time::{self, Now};
use k8s_openapi::api::core::v1::NodeCondition;

/// A condition as it should be; its times follow from what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    kind: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
    /// The event that a change to this brings.
    event: Transition,
}

/// An event's severity and reason.
type Transition = (bool, &'static str);

/// The order in which the API has them: Ready is last, so that who reads it has read the others.
pub(crate) fn wanted(disk_pressure: bool, ready: Result<(), String>) -> Vec<Wanted> {
    let (is_ready, message) = match ready {
        Ok(()) => (true, "kubelet is posting ready status".to_owned()),
        Err(message) => (false, message),
    };
    vec![
        Wanted {
            kind: "MemoryPressure",
            holds: false,
            reason: "KubeletHasSufficientMemory",
            message: "kubelet has sufficient memory available".to_owned(),
            event: (false, "NodeHasSufficientMemory"),
        },
        disk(disk_pressure),
        Wanted {
            kind: "PIDPressure",
            holds: false,
            reason: "KubeletHasSufficientPID",
            message: "kubelet has sufficient PID available".to_owned(),
            event: (false, "NodeHasSufficientPID"),
        },
        Wanted {
            kind: "Ready",
            holds: is_ready,
            reason: if is_ready { "KubeletReady" } else { "KubeletNotReady" },
            message,
            event: (!is_ready, if is_ready { "NodeReady" } else { "NodeNotReady" }),
        },
    ]
}

fn disk(pressure: bool) -> Wanted {
    let (reason, message, event) = match pressure {
        true => ("KubeletHasDiskPressure", "kubelet has disk pressure", "NodeHasDiskPressure"),
        false => ("KubeletHasNoDiskPressure", "kubelet has no disk pressure", "NodeHasNoDiskPressure"),
    };
    Wanted {
        kind: "DiskPressure",
        holds: pressure,
        reason,
        message: message.to_owned(),
        event: (pressure, event),
    }
}

impl Wanted {
    fn status(&self) -> &'static str {
        if self.holds { "True" } else { "False" }
    }

    /// Whether a condition says the same, its times aside.
    fn is_said_by(&self, condition: &NodeCondition) -> bool {
        condition.status == self.status()
            && condition.reason.as_deref() == Some(self.reason)
            && condition.message.as_deref() == Some(self.message.as_str())
    }

    /// The event of this transition: whether it is a warning, and its reason.
    pub(crate) fn event(&self) -> (bool, &'static str) {
        self.event
    }
}

/// The condition of a kind.
fn of_kind<'a>(conditions: &'a [NodeCondition], kind: &str) -> Option<&'a NodeCondition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether conditions say that the node is ready.
pub(crate) fn say_ready(conditions: &[NodeCondition]) -> bool {
    of_kind(conditions, "Ready").is_some_and(|condition| condition.status == "True")
}

/// Whether all that is wanted is said already, times aside.
pub(crate) fn are_said(wanted: &[Wanted], conditions: &[NodeCondition]) -> bool {
    wanted
        .iter()
        .all(|want| of_kind(conditions, want.kind).is_some_and(|condition| want.is_said_by(condition)))
}

/// Those that change from or to True, or are new.
pub(crate) fn transitions<'a>(wanted: &'a [Wanted], conditions: &[NodeCondition]) -> Vec<&'a Wanted> {
    let changes =
        |want: &&Wanted| of_kind(conditions, want.kind).is_none_or(|was| was.status != want.status());
    wanted.iter().filter(changes).collect()
}

/// The conditions to write. `lastTransitionTime` moves only with the status.
pub(crate) fn compose(wanted: &[Wanted], conditions: &[NodeCondition], now: Now) -> Vec<NodeCondition> {
    let heartbeat = time::seconds(now.unix);
    let compose = |want: &Wanted| {
        let same = of_kind(conditions, want.kind).filter(|was| was.status == want.status());
        let transition = same.and_then(|was| was.last_transition_time.clone());
        NodeCondition {
            type_: want.kind.to_owned(),
            status: want.status().to_owned(),
            reason: Some(want.reason.to_owned()),
            message: Some(want.message.clone()),
            last_heartbeat_time: Some(heartbeat.clone()),
            last_transition_time: Some(transition.unwrap_or_else(|| heartbeat.clone())),
        }
    };
    wanted.iter().map(compose).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(second: i64) -> Now {
        Now { unix: second * 1_000_000_000, ..Now::default() }
    }

    fn ready_at(second: i64) -> Vec<NodeCondition> {
        compose(&wanted(false, Ok(())), &[], now(second))
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let not_ready = |why: &str| wanted(false, Err(why.to_owned()));
        let cases = [
            ("the same again", ready_at(1), wanted(false, Ok(())), 1, "KubeletReady"),
            ("a flip", ready_at(1), not_ready("a"), 9, "KubeletNotReady"),
            (
                "another message is no flip",
                compose(&not_ready("a"), &ready_at(1), now(5)),
                not_ready("b"),
                5,
                "KubeletNotReady",
            ),
        ];
        for (name, was, want, transition, reason) in cases {
            let composed = compose(&want, &was, now(9));
            let ready = of_kind(&composed, "Ready").unwrap();
            assert_eq!(ready.last_transition_time, Some(time::seconds(transition * 1_000_000_000)), "{name}");
            assert_eq!(ready.last_heartbeat_time, Some(time::seconds(9_000_000_000)), "{name}");
            assert_eq!(ready.reason.as_deref(), Some(reason), "{name}");
        }
    }

    #[test]
    fn only_what_changes_is_an_event() {
        let reasons = |wanted: &[Wanted], was: &[NodeCondition]| -> Vec<&'static str> {
            transitions(wanted, was).iter().map(|want| want.event().1).collect()
        };
        let all = ["NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID", "NodeReady"];
        assert_eq!(reasons(&wanted(false, Ok(())), &[]), all, "a new node");
        assert!(reasons(&wanted(false, Ok(())), &ready_at(1)).is_empty(), "the same again");
        assert_eq!(
            reasons(&wanted(true, Err(String::new())), &ready_at(1)),
            ["NodeHasDiskPressure", "NodeNotReady"]
        );
    }

    #[test]
    fn what_is_said_need_not_be_said_again() {
        assert!(are_said(&wanted(false, Ok(())), &ready_at(1)));
        assert!(!are_said(&wanted(true, Ok(())), &ready_at(1)));
        assert!(!are_said(&wanted(false, Ok(())), &[]));
        assert!(say_ready(&ready_at(1)) && !say_ready(&[]));
    }

    #[test]
    fn ready_stands_last() {
        assert_eq!(ready_at(1).last().unwrap().type_, "Ready");
    }
}
