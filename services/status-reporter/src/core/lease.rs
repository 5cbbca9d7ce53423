//! The node's lease in `kube-node-lease`: the heartbeat that others go by
//! (`staging/src/k8s.io/component-helpers/apimachinery/lease`).

use super::{backoff, failure::Failure, time, time::Now};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use messages::NodeName;
use std::time::Duration;

/// Where the nodes' leases are.
pub(crate) const NAMESPACE: &str = "kube-node-lease";

/// What the renewal is told.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    /// The UID under which the node is registered; a node that is not has no lease.
    Node(Option<String>),
    /// It is time.
    Due,
    /// The answer to what was asked.
    Answered(Result<Box<Lease>, Failure>),
}

/// A request about the lease. There is one under way at most.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    /// GET it.
    Read,
    /// POST it.
    Create(Box<Lease>),
    /// PUT it.
    Replace(Box<Lease>),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Ask the API server.
    Ask(Ask),
    /// Say `Due` after this time; replaces what was asked for before.
    WakeAfter(Duration),
    /// It could not be renewed so many times in a row.
    Late(u32, Failure),
}

/// The renewal of one node's lease.
#[derive(Debug)]
pub(crate) struct Renewal {
    node: NodeName,
    duration: u32,
    uid: Option<String>,
    known: Option<Lease>,
    under_way: bool,
    failures: u32,
}

impl Renewal {
    /// For a node; `duration` is `nodeLeaseDurationSeconds`.
    pub(crate) fn new(node: NodeName, duration: u32) -> Self {
        Self { node, duration, uid: None, known: None, under_way: false, failures: 0 }
    }

    /// Takes a fact in.
    pub(crate) fn step(&mut self, now: Now, fact: Fact) -> Vec<Effect> {
        match fact {
            Fact::Node(uid) => {
                let begins = self.uid.is_none() && uid.is_some();
                self.uid = uid;
                if begins { self.renew(now) } else { Vec::new() }
            }
            Fact::Due => self.renew(now),
            Fact::Answered(answer) => {
                self.under_way = false;
                self.answered(now, answer)
            }
        }
    }

    fn renew(&mut self, now: Now) -> Vec<Effect> {
        if self.uid.is_none() || self.under_way {
            return Vec::new();
        }
        self.under_way = true;
        let next = match &self.known {
            Some(known) => Ask::Replace(Box::new(self.renewed(now, known.metadata.clone()))),
            None => Ask::Read,
        };
        vec![Effect::Ask(next)]
    }

    fn answered(&mut self, now: Now, answer: Result<Box<Lease>, Failure>) -> Vec<Effect> {
        match answer {
            // What was only read is still to be renewed.
            Ok(lease) if self.known.is_none() && !self.is_current(now, &lease) => {
                self.known = Some(*lease);
                self.renew(now)
            }
            Ok(lease) => {
                self.known = Some(*lease);
                self.failures = 0;
                vec![Effect::WakeAfter(self.interval(now))]
            }
            Err(Failure::NotFound) if self.known.is_none() => {
                self.under_way = true;
                vec![Effect::Ask(Ask::Create(Box::new(self.renewed(now, ObjectMeta::default()))))]
            }
            Err(failure) => self.failed(now, failure),
        }
    }

    fn failed(&mut self, now: Now, failure: Failure) -> Vec<Effect> {
        self.failures = self.failures.saturating_add(1);
        // Somebody else wrote it, or it is gone: look again.
        self.known = None;
        let pause = backoff::REGISTRATION.pause(self.failures, now.dice, &failure).min(self.interval(now));
        vec![Effect::Late(self.failures, failure), Effect::WakeAfter(pause)]
    }

    /// Whether a lease was renewed by us just now.
    fn is_current(&self, now: Now, lease: &Lease) -> bool {
        lease.spec.as_ref().and_then(|spec| spec.renew_time.clone()) == Some(time::micros(now.unix))
    }

    fn renewed(&self, now: Now, metadata: ObjectMeta) -> Lease {
        let name = self.node.to_string();
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: name.clone(),
            uid: self.uid.clone().unwrap_or_default(),
            ..OwnerReference::default()
        };
        Lease {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(NAMESPACE.to_owned()),
                owner_references: Some(vec![owner]),
                managed_fields: None,
                ..metadata
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(name),
                lease_duration_seconds: Some(i32::try_from(self.duration).unwrap_or(i32::MAX)),
                renew_time: Some(time::micros(now.unix)),
                ..LeaseSpec::default()
            }),
        }
    }

    /// A quarter of the lease's duration, spread by four percent.
    fn interval(&self, now: Now) -> Duration {
        (Duration::from_secs(u64::from(self.duration)) / 4).mul_f64(1.0 + 0.04 * now.dice.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::BootTime;

    fn now(second: u64) -> Now {
        let nanoseconds = second * 1_000_000_000;
        Now { boot: BootTime(nanoseconds), unix: i64::try_from(nanoseconds).unwrap(), dice: 0.0 }
    }

    fn renewal() -> Renewal {
        Renewal::new("node-1".parse().unwrap(), 40)
    }

    fn registered(renewal: &mut Renewal) -> Vec<Effect> {
        renewal.step(now(1), Fact::Node(Some("uid".to_owned())))
    }

    fn lease_in(effects: &[Effect]) -> Box<Lease> {
        match effects {
            [Effect::Ask(Ask::Create(lease) | Ask::Replace(lease))] => lease.clone(),
            other => panic!("{other:?}"),
        }
    }

    const TEN_SECONDS: Effect = Effect::WakeAfter(Duration::from_secs(10));

    #[test]
    fn a_node_that_is_not_registered_has_no_lease() {
        assert_eq!(renewal().step(now(1), Fact::Due), []);
    }

    #[test]
    fn a_missing_lease_is_made_and_then_renewed_every_ten_seconds() {
        let mut renewal = renewal();
        assert_eq!(registered(&mut renewal), [Effect::Ask(Ask::Read)]);
        let lease = lease_in(&renewal.step(now(1), Fact::Answered(Err(Failure::NotFound))));
        let spec = lease.spec.clone().unwrap();
        assert_eq!(
            (spec.holder_identity.as_deref(), spec.lease_duration_seconds),
            (Some("node-1"), Some(40))
        );
        assert_eq!(lease.metadata.owner_references.as_ref().unwrap()[0].uid, "uid");

        let mut lease = *lease;
        lease.metadata.resource_version = Some("7".to_owned());
        assert_eq!(renewal.step(now(1), Fact::Answered(Ok(Box::new(lease)))), [TEN_SECONDS]);
        let renewed = lease_in(&renewal.step(now(11), Fact::Due));
        assert_eq!(renewed.metadata.resource_version.as_deref(), Some("7"), "nobody else may write it");
        assert_eq!(renewed.spec.unwrap().renew_time, Some(time::micros(11_000_000_000)));
    }

    #[test]
    fn a_lease_of_an_earlier_life_is_taken_over() {
        let mut renewal = renewal();
        registered(&mut renewal);
        let effects = renewal.step(now(1), Fact::Answered(Ok(Box::default())));
        assert!(matches!(effects.as_slice(), [Effect::Ask(Ask::Replace(_))]), "{effects:?}");
    }

    #[test]
    fn a_failure_is_repeated_soon_and_looks_again_first() {
        let mut renewal = renewal();
        registered(&mut renewal);
        let lease = lease_in(&renewal.step(now(1), Fact::Answered(Ok(Box::default()))));
        renewal.step(now(1), Fact::Answered(Ok(lease)));
        renewal.step(now(11), Fact::Due);
        let effects = renewal.step(now(11), Fact::Answered(Err(Failure::Conflict)));
        assert_eq!(
            effects,
            [Effect::Late(1, Failure::Conflict), Effect::WakeAfter(Duration::from_millis(50))]
        );
        assert_eq!(renewal.step(now(12), Fact::Due), [Effect::Ask(Ask::Read)]);
        assert_eq!(renewal.step(now(12), Fact::Due), [], "one at a time");
    }
}
