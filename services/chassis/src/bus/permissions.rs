//! What each process may publish and subscribe to, worked out from the catalog. Pure.
//!
//! The supervisor writes the result into the bus server's configuration. Everything is denied that
//! is not listed, and every subject names a node, an owner and a message; wildcards stand only for
//! keys and for the names of consumers.
//!
//! Two things are not as plain as "an owner says, a reader reads":
//!
//! - A stream's configuration can capture, copy and rename foreign subjects, so that whoever may
//!   create a stream could read pod specs and forge commands. Only trusted processes make streams:
//!   each its own, and pod-lifecycle those of the others ([`maker_of`]).
//! - Nobody reads its own stream: the server would then send what it said, with headers of its
//!   choice, wherever it asked for it.

use super::address::Address;
use messages::{Kind, NodeName, Owner, catalog::Row};
use serde::Serialize;

/// The permissions of one user, in the shape that the server's configuration wants under
/// `permissions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Permissions {
    /// What may be published.
    pub publish: Allow,
    /// What may be subscribed to.
    pub subscribe: Allow,
}

/// A list of subjects; all others are denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Allow {
    /// Subjects, sorted.
    pub allow: Vec<String>,
}

/// The prefix of a process' own inboxes.
pub fn inbox(owner: Owner) -> String {
    format!("_INBOX_{owner}")
}

/// The prefix of the subjects at which `asker` waits for answers of `owner`, who may publish there and nowhere else
/// in the asker's inbox. The server's own leave for answers (`allow_responses`) would remember every message
/// that a process is sent.
pub(super) fn answers(asker: Owner, owner: Owner) -> String {
    format!("{}.{owner}", inbox(asker))
}

/// Who makes the streams of an owner.
pub fn maker_of(owner: Owner) -> Owner {
    match owner {
        Owner::Bulkhead | Owner::ApiGate | Owner::PodLifecycle | Owner::CriBridge | Owner::VolumeMounter => {
            owner
        }
        Owner::NodeApi
        | Owner::Prober
        | Owner::ProxyProgrammer
        | Owner::StatusReporter
        | Owner::TraceRecorder => Owner::PodLifecycle,
    }
}

/// What a process may do on the bus of a node.
pub fn permissions(node: &NodeName, rows: &'static [Row], owner: Owner) -> Permissions {
    let mut publish = Vec::new();
    let mut subscribe = vec![format!("{}.>", inbox(owner))];
    for (sayer, row) in said(rows) {
        let address = Address::of_row(node, sayer, row);
        let may_use = row.others.contains(&owner) && sayer != owner;
        match row.kind {
            Kind::Command if sayer == owner => {
                subscribe.push(address.pattern());
                publish.extend(row.others.iter().map(|asker| format!("{}.*", answers(*asker, owner))));
            }
            Kind::Command if may_use => publish.push(address.pattern()),
            Kind::Event if sayer == owner => publish.push(address.pattern()),
            Kind::Event if may_use => subscribe.push(address.pattern()),
            Kind::State => publish.extend(state(&address, owner, may_use)),
            Kind::Command | Kind::Event => {}
        }
    }
    Permissions { publish: Allow { allow: sorted(publish) }, subscribe: Allow { allow: sorted(subscribe) } }
}

/// The rows with whoever says or receives them; those that everyone says of himself, once for each.
pub(super) fn said(rows: &'static [Row]) -> impl Iterator<Item = (Owner, &'static Row)> {
    rows.iter().flat_map(|row| {
        let each = row.is_said_by_each();
        Owner::ALL.into_iter().filter(move |owner| each || *owner == row.owner).map(move |owner| (owner, row))
    })
}

/// What is published about a state: itself by its owner, requests to the server by maker, owner and
/// readers.
fn state(address: &Address, owner: Owner, reads: bool) -> Vec<String> {
    let stream = address.stream();
    let mut subjects = Vec::new();
    if address.owner == owner {
        subjects.extend([address.pattern(), address.complete(), api("STREAM.PURGE", &stream)]);
    }
    if maker_of(address.owner) == owner {
        subjects.extend(["STREAM.CREATE", "STREAM.UPDATE"].map(|deed| api(deed, &stream)));
    }
    if reads {
        subjects.extend(["STREAM.INFO", "STREAM.MSG.GET"].map(|deed| api(deed, &stream)));
        // The client deletes a consumer by itself when it begins to read anew.
        subjects
            .extend(["CONSUMER.CREATE", "CONSUMER.DELETE"].map(|deed| format!("{}.*", api(deed, &stream))));
        subjects.push(format!("$JS.FC.{stream}.>"));
    }
    subjects
}

fn api(deed: &str, stream: &str) -> String {
    format!("$JS.API.{deed}.{stream}")
}

fn sorted(mut subjects: Vec<String>) -> Vec<String> {
    subjects.sort_unstable();
    subjects.dedup();
    subjects
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::catalog::ROWS;

    fn of(owner: Owner) -> Permissions {
        permissions(&"n1".parse().unwrap(), ROWS, owner)
    }

    #[test]
    fn the_prober_may_do_exactly_this() {
        let prober = of(Owner::Prober);
        assert_eq!(
            prober.publish.allow,
            [
                "$JS.API.CONSUMER.CREATE.n1_pod-lifecycle_probes.*",
                "$JS.API.CONSUMER.DELETE.n1_pod-lifecycle_probes.*",
                "$JS.API.STREAM.INFO.n1_pod-lifecycle_probes",
                "$JS.API.STREAM.MSG.GET.n1_pod-lifecycle_probes",
                "$JS.API.STREAM.PURGE.n1_prober_health",
                "$JS.API.STREAM.PURGE.n1_prober_verdict",
                "$JS.FC.n1_pod-lifecycle_probes.>",
                "node.n1.cri-bridge.cmd.exec-probe.*",
                "node.n1.prober.state.health",
                "node.n1.prober.state.health._complete",
                "node.n1.prober.state.verdict.*.*.*",
                "node.n1.prober.state.verdict._complete",
                "node.n1.status-reporter.cmd.record-event",
            ]
        );
        assert_eq!(prober.subscribe.allow, ["_INBOX_prober.>"]);
    }

    #[test]
    fn a_server_of_commands_hears_them_and_may_answer() {
        let mounter = of(Owner::VolumeMounter);
        assert_eq!(
            mounter.subscribe.allow,
            [
                "_INBOX_volume-mounter.>",
                "node.n1.volume-mounter.cmd.bind-subpath.*",
                "node.n1.volume-mounter.cmd.prepare-volumes.*",
                "node.n1.volume-mounter.cmd.release-volumes.*",
            ]
        );
        let answers: Vec<&String> =
            mounter.publish.allow.iter().filter(|subject| subject.starts_with("_INBOX_")).collect();
        assert_eq!(answers, ["_INBOX_cri-bridge.volume-mounter.*", "_INBOX_pod-lifecycle.volume-mounter.*"]);
    }

    #[test]
    fn only_the_trusted_make_streams() {
        let makers: Vec<Owner> = Owner::ALL
            .into_iter()
            .filter(|owner| of(*owner).publish.allow.iter().any(|subject| subject.contains("STREAM.CREATE")))
            .collect();
        let trusted =
            [Owner::ApiGate, Owner::Bulkhead, Owner::CriBridge, Owner::PodLifecycle, Owner::VolumeMounter];
        assert_eq!(makers, trusted);
    }

    #[test]
    fn every_stream_has_a_maker() {
        for (owner, row) in said(ROWS).filter(|(_, row)| row.kind == Kind::State) {
            let create = format!("$JS.API.STREAM.CREATE.n1_{owner}_{}", row.name);
            assert!(of(maker_of(owner)).publish.allow.contains(&create), "{create}");
        }
    }

    #[test]
    fn nobody_reads_what_he_says() {
        for (owner, row) in said(ROWS).filter(|(_, row)| row.kind == Kind::State) {
            let read = format!("$JS.API.CONSUMER.CREATE.n1_{owner}_{}.*", row.name);
            assert!(!of(owner).publish.allow.contains(&read), "{read}");
        }
    }

    #[test]
    fn wildcards_stand_only_for_keys_and_consumers() {
        for owner in Owner::ALL {
            let all = of(owner);
            for subject in all.publish.allow.iter().chain(&all.subscribe.allow) {
                let fixed = if subject.starts_with("node.") { 5 } else { 2 };
                let first = subject.split('.').position(|token| token == "*" || token == ">");
                assert!(first.is_none_or(|at| at >= fixed) || subject.starts_with("_INBOX_"), "{subject}");
            }
        }
    }
}
