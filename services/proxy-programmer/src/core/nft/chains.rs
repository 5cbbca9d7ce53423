//! Chains that belong to shapes, and their rules. Registers are loaded anew in each rule: newer kernels refuse to read what
//! another rule has left in them.
//!
//! ```text
//! word    0      1      2      3      4      5      6      7      8      9 …
//!         address(1 or 4) . protocol . port   0      shape         code                          look up an entry
//!                            client, up to word 6                  code          number          look up a slot
//!                            client, up to word 6                  code          endpoint . port found, remembered, gone to
//! ```

use super::{
    expression::{DynsetChange, Expression, Found, Meta, Register, Verdict},
    load::{self, CODE, ENDPOINT, NUMBER},
    shape::{self, At, Refusal},
};
use crate::core::{
    address::Family,
    node::Detector,
    table::{Scope, Way},
};
use std::fmt;

/// A chain that shapes share. The three things that it tells are for pods, for the host and for all others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SharedChain {
    /// Draws an endpoint, or finds the one that a client is held to, and sends the flow there.
    Dnat {
        /// By what the entry is found.
        at: At,
        /// Where to.
        ways: [Way; 3],
        /// How long a client is held.
        affinity: Option<u32>,
    },
    /// Refuses, or does not.
    Refuse([Refusal; 3]),
    /// Masquerades, or does not.
    Masquerade([bool; 3]),
}

/// How rules tell that a packet comes from a pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodTest {
    /// They cannot.
    None,
    /// Its source is in the set `pods`.
    Ranges,
    /// The name of the interface that it came in by begins with these bytes.
    Interface(Vec<u8>),
}

impl PodTest {
    /// A detector's, in a family.
    pub fn of(detector: &Detector, family: Family) -> Self {
        match detector {
            _ if !detector.can_tell(family) => Self::None,
            Detector::None => Self::None,
            Detector::ClusterCidr(_) | Detector::NodeCidr(_) => Self::Ranges,
            Detector::Bridge(name) => {
                let mut whole = name.clone().into_bytes();
                whole.resize(INTERFACE_NAME, 0);
                Self::Interface(whole)
            }
            Detector::InterfacePrefix(prefix) => {
                Self::Interface(prefix.bytes().take(INTERFACE_NAME).collect())
            }
        }
    }

    fn expressions(&self, family: Family) -> Option<Vec<Expression>> {
        let first = Register(0);
        match self {
            Self::None => None,
            Self::Ranges => Some(vec![load::source(family, first), load::is_in("pods", first)]),
            Self::Interface(name) => Some(vec![
                Expression::Meta { to: first, key: Meta::InputInterface },
                Expression::Compare { register: first, equal: true, value: name.clone() },
            ]),
        }
    }
}

const INTERFACE_NAME: usize = 16;

impl SharedChain {
    /// Its rules in a family.
    pub fn rules(&self, family: Family, pods: &PodTest) -> Vec<Vec<Expression>> {
        let verdict = |verdict| vec![vec![Expression::Verdict(verdict)]];
        match self {
            Self::Dnat { at, ways, affinity } => by_sender(*ways, family, pods, |way| match way {
                Way::To(scope, count) => Lot { family, at: *at, scope, count }.rules(*affinity),
                Way::Reject | Way::Drop => verdict(Verdict::Return),
            }),
            Self::Refuse(refusals) => by_sender(*refusals, family, pods, |refusal| match refusal {
                Refusal::None => verdict(Verdict::Return),
                Refusal::Reject => verdict(Verdict::Goto("reject".into())),
                Refusal::Drop => verdict(Verdict::Drop),
            }),
            Self::Masquerade(masquerade) => by_sender(*masquerade, family, pods, |masquerade| {
                if masquerade { vec![vec![Expression::Masquerade]] } else { verdict(Verdict::Return) }
            }),
        }
    }
}

/// Rules that tell senders apart as far as it makes a difference: a pod, else the host, else anybody.
fn by_sender<T: Copy + PartialEq>(
    outcomes: [T; 3],
    family: Family,
    pods: &PodTest,
    rules_for: impl Fn(T) -> Vec<Vec<Expression>>,
) -> Vec<Vec<Expression>> {
    let [pod, host, others] = outcomes;
    let is_host = vec![load::source(family, Register(0)), load::is_in("host-addresses", Register(0))];
    let mut senders = vec![(Vec::new(), others)];
    if host != others {
        senders.push((is_host, host));
    }
    if let Some(is_pod) = pods.expressions(family).filter(|_| pod != others || host != others) {
        senders.push((is_pod, pod));
    }
    let told = |(test, outcome): (Vec<Expression>, T)| {
        let rules = rules_for(outcome).into_iter();
        rules.map(move |rule| test.iter().cloned().chain(rule).collect()).collect::<Vec<_>>()
    };
    senders.into_iter().rev().flat_map(told).collect()
}

/// The drawing of lots among a number of endpoints.
#[derive(Clone, Copy)]
struct Lot {
    family: Family,
    at: At,
    scope: Scope,
    count: u32,
}

impl Lot {
    fn rules(self, affinity: Option<u32>) -> Vec<Vec<Expression>> {
        match affinity {
            None => vec![[self.code(), self.draw(), self.go()].concat()],
            // the last one is for when no more clients can be remembered
            Some(seconds) => vec![self.held(seconds), self.remembered(seconds), self.rules(None).concat()],
        }
    }

    /// To the endpoint that the client is held to, while it is a member; and the time begins anew.
    fn held(self, seconds: u32) -> Vec<Expression> {
        let members = match self.scope {
            Scope::Cluster => "members",
            Scope::Local => "local-members",
        };
        let client = load::client(self.family);
        let held = [
            load::source(self.family, client),
            Expression::Lookup { set: "clients", key: client, found: Found::Data(ENDPOINT) },
            load::is_in(members, CODE),
            self.clients(DynsetChange::Update(seconds)),
        ];
        [self.code(), held.to_vec(), self.go()].concat()
    }

    /// To an endpoint by lot, which is remembered. What was remembered before goes first, since no update changes whom an
    /// element leads to.
    fn remembered(self, seconds: u32) -> Vec<Expression> {
        let client = load::client(self.family);
        let remember = [
            load::source(self.family, client),
            self.clients(DynsetChange::Delete),
            self.clients(DynsetChange::Update(seconds)),
        ];
        [self.code(), self.draw(), remember.to_vec(), self.go()].concat()
    }

    fn clients(self, change: DynsetChange) -> Expression {
        Expression::Dynset { set: "clients", change, key: load::client(self.family), data: ENDPOINT }
    }

    fn code(self) -> Vec<Expression> {
        match self.at {
            At::Address => load::entry_of_address(self.family),
            At::NodePort => load::entry_of_node_port(),
        }
    }

    fn draw(self) -> Vec<Expression> {
        let set = match self.scope {
            Scope::Cluster => "cluster",
            Scope::Local => "local",
        };
        vec![
            Expression::Random { to: NUMBER, below: self.count },
            Expression::Lookup { set, key: CODE, found: Found::Data(ENDPOINT) },
        ]
    }

    fn go(self) -> Vec<Expression> {
        vec![Expression::Dnat { address: ENDPOINT, port: load::behind_address(self.family, ENDPOINT) }]
    }
}

impl fmt::Display for SharedChain {
    /// Its name. The kernel takes up to 255 bytes; the longest has about a hundred.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dnat { at, ways, affinity } => {
                write!(f, "dnat-{}", shape::at(*at))?;
                by_name(f, ways.map(shape::way))?;
                affinity.iter().try_for_each(|seconds| write!(f, ".held-{seconds}s"))
            }
            Self::Refuse(refusals) => {
                f.write_str("refuse")?;
                by_name(
                    f,
                    refusals.map(|refusal| match refusal {
                        Refusal::None => "pass",
                        Refusal::Reject => "reject",
                        Refusal::Drop => "drop",
                    }),
                )
            }
            Self::Masquerade(masquerade) => {
                f.write_str("masquerade")?;
                by_name(f, masquerade.map(|it| if it { "always" } else { "never" }))
            }
        }
    }
}

fn by_name<T: PartialEq + fmt::Display>(f: &mut fmt::Formatter<'_>, told: [T; 3]) -> fmt::Result {
    let [pods, host, others] = told;
    if pods == host && host == others {
        return write!(f, ".{others}");
    }
    write!(f, ".pods-{pods}.host-{host}.others-{others}")
}

#[cfg(test)]
mod tests;
