//! What becomes of the first packet of a flow, and why, in words: the table's meaning, told step by step. It is
//! what rules of every mode are held against, and what `bulkhead trace-packet` is to say.

use super::{
    address::{Family, Protocol},
    endpoints::Target,
    node::Entered,
    table::{Address, Claim, Course, Entry, Face, Hairpin, HealthPort, NodePort, Scope, SetId, Table, Way},
};
use std::net::IpAddr;

/// The first packet of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// How it came to this node.
    pub entered: Entered<'a>,
    /// To whom.
    pub to: Address,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to one of these; which is drawn by lot, each alike.
    Dnat {
        /// The set that they are of.
        set: SetId,
        /// Whom it may go to.
        to: Vec<Onward>,
    },
    /// It is answered with a refusal.
    Reject,
    /// It is let fall.
    Drop,
    /// No rule of ours concerns it.
    Untouched,
}

/// An endpoint, and how the packet goes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Onward {
    /// The endpoint.
    pub target: Target,
    /// Whether it gets the node's address as its source.
    pub masquerade: bool,
}

/// A packet's walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why, in order.
    pub reasons: Vec<String>,
}

/// Who sends a packet, as the rules tell senders apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    Pod,
    Host,
    Other,
}

/// Walks a packet. `remembered` is the endpoint that its client was last sent to, if affinity still holds.
pub fn walk(table: &Table, packet: &Packet<'_>, remembered: Option<Target>) -> Walk {
    let mut walker = Walker { table, packet, remembered, reasons: Vec::new() };
    let verdict = walker.verdict();
    Walk { verdict, reasons: walker.reasons }
}

struct Walker<'a> {
    table: &'a Table,
    packet: &'a Packet<'a>,
    remembered: Option<Target>,
    reasons: Vec<String>,
}

impl Walker<'_> {
    fn says(&mut self, reason: impl Into<String>) {
        self.reasons.push(reason.into());
    }

    fn verdict(&mut self) -> Verdict {
        let Packet { source, to, .. } = *self.packet;
        if Family::of(source) != Family::of(to.ip) {
            self.says(format!("{source} and {} are of different families: there is no such packet", to.ip));
            return Verdict::Untouched;
        }
        if let Some(claim) = self.table.addresses.get(&to) {
            return self.at_address(claim);
        }
        self.says(format!("{to} is no address of a service"));
        self.at_node_port().unwrap_or_else(|| self.at_nobody())
    }

    fn at_address(&mut self, claim: &Claim) -> Verdict {
        let Packet { source, to, .. } = *self.packet;
        let Claim { entry, sources } = claim;
        self.says(format!("{to} is {} of {}", face(entry.face), entry.port));
        if entry.guarded {
            let Some(range) = sources.iter().find(|range| range.contains(source)) else {
                self.says(format!("{source} is in none of its source ranges: dropped"));
                return Verdict::Drop;
            };
            self.says(format!("{source} is in its source range {range}"));
        }
        self.along(entry)
    }

    fn at_node_port(&mut self) -> Option<Verdict> {
        let Address { ip, protocol, port } = self.packet.to;
        let rules = &self.table.rules;
        if !is_own(self.table, ip) {
            return None;
        }
        let family = Family::of(ip);
        let is_answered = if ip.is_loopback() {
            rules.node_ports.localhost && ip.is_ipv4()
        } else {
            rules.node_ports.at.are_all(family) || self.table.node_port_addresses.contains(&ip)
        };
        if !is_answered {
            self.says(format!("{ip} is the node's own and answers at no node port: left to the host"));
            return Some(Verdict::Untouched);
        }
        let key = NodePort { family, protocol, port };
        if let Some(entry) = self.table.node_ports.get(&key) {
            self.says(format!("{ip} is the node's own and {port} is a node port of {}", entry.port));
            return Some(self.along(entry));
        }
        let health = self.table.health.get(&HealthPort { family, port });
        match health.filter(|_| protocol == Protocol::Tcp) {
            Some(health) => {
                let what = format!("{port} is the health check port of {}", health.service);
                self.says(what + ": the proxy itself answers");
            }
            None => self.says(format!("{ip} is the node's own and {port} no node port: left to the host")),
        }
        Some(Verdict::Untouched)
    }

    fn at_nobody(&mut self) -> Verdict {
        let Address { ip, .. } = self.packet.to;
        if self.table.cluster_ips.contains(&ip) {
            self.says(format!("{ip} is a cluster IP without such a port: rejected"));
            return Verdict::Reject;
        }
        if let Some(range) = self.table.service_ranges.iter().find(|range| range.contains(ip)) {
            self.says(format!("{ip} is of the service range {range} and given to nobody: dropped"));
            return Verdict::Drop;
        }
        self.says(format!("{ip} is nothing of ours"));
        Verdict::Untouched
    }

    /// Along the course of whoever sends it.
    fn along(&mut self, entry: &Entry) -> Verdict {
        let course = match self.sender() {
            Sender::Pod => entry.pods,
            Sender::Host => entry.host,
            Sender::Other => entry.others,
        };
        match course.way {
            Way::Reject => {
                self.says("the service has no endpoint anywhere: rejected");
                Verdict::Reject
            }
            Way::Drop => {
                self.says("its policy is Local and no endpoint is on this node: dropped");
                Verdict::Drop
            }
            Way::To(scope, _) => self.onward(entry, course, scope),
        }
    }

    fn sender(&mut self) -> Sender {
        let Packet { source, entered, .. } = *self.packet;
        let (sender, what) = if self.table.rules.pods.is_pod(source, entered) {
            (Sender::Pod, "a pod")
        } else if entered == Entered::FromHost || is_own(self.table, source) {
            (Sender::Host, "the host itself")
        } else {
            (Sender::Other, "neither a pod, as far as can be told, nor the host")
        };
        self.says(format!("{source} is {what}"));
        sender
    }

    fn onward(&mut self, entry: &Entry, course: Course, scope: Scope) -> Verdict {
        let set = SetId { port: entry.port.clone(), scope };
        let members = self.table.sets.get(&set).map(|members| &*members.targets).unwrap_or_default();
        let held = self.remembered.filter(|target| entry.affinity.is_some() && members.contains(target));
        self.says(format!("it goes to the {set}, {} of them", members.len()));
        if let (Some(target), Some(seconds)) = (held, entry.affinity) {
            self.says(format!("its client is held to {target} until {seconds} s after its last connection"));
        } else if entry.affinity.is_some() {
            self.says("its client is held to none of them yet");
        }
        let targets = held.map_or_else(|| members.to_vec(), |target| vec![target]);
        let to = targets.into_iter().map(|target| self.passed_on(entry, course, target)).collect();
        if course.masquerade {
            self.says("it is masqueraded");
        }
        Verdict::Dnat { set, to }
    }

    fn passed_on(&mut self, entry: &Entry, course: Course, target: Target) -> Onward {
        let hairpin = Hairpin { target, protocol: entry.port.protocol };
        let is_hairpin = target.ip == self.packet.source && self.table.hairpins.contains(&hairpin);
        if is_hairpin && !course.masquerade {
            self.says(format!("{target} would be sent to by itself: masqueraded, or it would answer itself"));
        }
        Onward { target, masquerade: course.masquerade || is_hairpin }
    }
}

fn is_own(table: &Table, ip: IpAddr) -> bool {
    ip.is_loopback() || table.rules.addresses.contains(&ip)
}

fn face(face: Face) -> &'static str {
    match face {
        Face::ClusterIp => "the cluster IP",
        Face::ExternalIp => "an external IP",
        Face::LoadBalancer => "a balancer's address",
        Face::NodePort => "a node port",
    }
}

#[cfg(test)]
mod tests;
