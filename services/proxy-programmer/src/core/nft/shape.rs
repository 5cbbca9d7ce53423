//! Shapes: all that decides what the rules for an address or node port are, apart from who its endpoints are. Services
//! share shapes, and chains belong to shapes: so there are few chains, however many services.

use super::{
    chains::SharedChain,
    expression::Verdict,
    name::{self, Code},
};
use crate::core::table::{Course, Entry, Face, Scope, Way};
use std::fmt;

/// What an entry is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// Address, protocol and port.
    Address,
    /// Protocol and port.
    NodePort,
}

/// A shape.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    at: At,
    courses: [Course; 3],
    affinity: Option<u32>,
    guarded: bool,
}

/// How traffic is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// It is not.
    None,
    /// With an answer.
    Reject,
    /// Without.
    Drop,
}

/// What the maps of shapes lead to, and the chains that they need for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leads {
    /// Map by map.
    pub verdicts: Vec<(&'static str, Verdict)>,
    /// The chains.
    pub chains: Vec<SharedChain>,
}

impl Shape {
    /// The shape of an entry.
    pub fn of(entry: &Entry) -> Self {
        let Entry { face, pods, host, others, affinity, guarded, .. } = *entry;
        let at = if face == Face::NodePort { At::NodePort } else { At::Address };
        Self { at, courses: [pods, host, others], affinity, guarded }
    }

    /// What it is called in maps: the same in every life of the proxy.
    pub fn code(&self) -> Code {
        name::code(&[&self.to_string()])
    }

    /// Where packets to an entry of this shape go at each station of their way.
    pub fn leads(&self) -> Leads {
        let mut leads = Leads { verdicts: Vec::new(), chains: Vec::new() };
        leads.verdicts.push(("dnat", self.dnat(&mut leads.chains)));
        leads.verdicts.extend(self.refusal(&mut leads.chains).map(|verdict| ("refusals", verdict)));
        leads.verdicts.extend(self.masquerade(&mut leads.chains).map(|verdict| ("masquerades", verdict)));
        leads.verdicts.extend(self.guarded.then(|| ("guards", Verdict::Goto("source-ranges".into()))));
        leads
    }

    /// Who is nobody's endpoint is let pass, to be refused later: or a node port of the same number would take it.
    fn dnat(&self, chains: &mut Vec<SharedChain>) -> Verdict {
        let ways = self.courses.map(|course| course.way);
        if !ways.iter().any(|way| matches!(way, Way::To(..))) {
            return Verdict::Accept;
        }
        let chain = SharedChain::Dnat { at: self.at, ways, affinity: self.affinity };
        let verdict = Verdict::Goto(chain.to_string());
        chains.push(chain);
        verdict
    }

    fn refusal(&self, chains: &mut Vec<SharedChain>) -> Option<Verdict> {
        let refusals = self.courses.map(|course| match course.way {
            Way::To(..) => Refusal::None,
            Way::Reject => Refusal::Reject,
            Way::Drop => Refusal::Drop,
        });
        match refusals {
            [Refusal::None, Refusal::None, Refusal::None] => None,
            [Refusal::Reject, Refusal::Reject, Refusal::Reject] => Some(Verdict::Goto("reject".into())),
            [Refusal::Drop, Refusal::Drop, Refusal::Drop] => Some(Verdict::Drop),
            _ => {
                let chain = SharedChain::Refuse(refusals);
                let verdict = Verdict::Goto(chain.to_string());
                chains.push(chain);
                Some(verdict)
            }
        }
    }

    /// Jumps, since whoever is not masqueraded for its shape may still be a hairpin.
    fn masquerade(&self, chains: &mut Vec<SharedChain>) -> Option<Verdict> {
        let masquerade = self.courses.map(|course| course.masquerade);
        let is_any = masquerade.contains(&true);
        is_any.then(|| {
            let chain = SharedChain::Masquerade(masquerade);
            let verdict = Verdict::Jump(chain.to_string());
            chains.push(chain);
            verdict
        })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(at(self.at))?;
        for course in self.courses {
            write!(f, ".{}", way(course.way))?;
            f.write_str(if course.masquerade { "+masquerade" } else { "" })?;
        }
        self.affinity.iter().try_for_each(|seconds| write!(f, ".held-{seconds}s"))?;
        f.write_str(if self.guarded { ".guarded" } else { "" })
    }
}

/// How names tell what an entry is found by.
pub fn at(at: At) -> &'static str {
    match at {
        At::Address => "address",
        At::NodePort => "node-port",
    }
}

/// How names tell a way.
pub fn way(way: Way) -> String {
    match way {
        Way::To(Scope::Cluster, count) => format!("cluster-{count}"),
        Way::To(Scope::Local, count) => format!("local-{count}"),
        Way::Reject => "reject".into(),
        Way::Drop => "drop".into(),
    }
}
