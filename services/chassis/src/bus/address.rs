//! Where a message type stands in the catalog, and which subjects that makes on this node.

use super::BusError;
use messages::{
    Key, Kind, Message, NodeName, Owner,
    catalog::{ROWS, Row},
    subject,
};

/// A message type's place.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) node: NodeName,
    /// The owner token in its subjects.
    pub(super) owner: Owner,
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    /// How many tokens its keys have.
    pub(super) key_tokens: usize,
    /// Who may call, or read.
    pub(super) others: &'static [Owner],
}

impl Address {
    /// The place of `M` under its own owner.
    pub(super) fn of<M: Message>(node: &NodeName) -> Result<Self, BusError> {
        let row = ROWS
            .iter()
            .find(|row| (row.owner, row.kind, row.name) == (M::OWNER, M::KIND, M::NAME))
            .ok_or(BusError::NotInCatalog { name: M::NAME })?;
        Ok(Self::of_row(node, row.owner, row))
    }

    /// The place of `M` as `owner` says it: what everyone says of himself, or what he alone says.
    pub(super) fn said_by<M: Message>(node: &NodeName, owner: Owner) -> Result<Self, BusError> {
        let address = Self::of::<M>(node)?;
        if address.owner == owner {
            return Ok(address);
        }
        let said_by_each = ROWS.iter().any(|row| row.name == M::NAME && row.is_said_by_each());
        if said_by_each {
            Ok(Self { owner, ..address })
        } else {
            Err(BusError::NotOurs { name: M::NAME, owner })
        }
    }

    /// The place of a row as `owner` says or receives it.
    pub(super) fn of_row(node: &NodeName, owner: Owner, row: &'static Row) -> Self {
        Self {
            node: node.clone(),
            owner,
            kind: row.kind,
            name: row.name,
            key_tokens: row.key.len(),
            others: row.others,
        }
    }

    pub(super) fn subject(&self, key: &Key) -> String {
        subject::exact(&self.node, self.owner, self.kind, self.name, key)
    }

    /// The subject of the marker that everything was said.
    pub(super) fn complete(&self) -> String {
        subject::complete(&self.node, self.owner, self.name)
    }

    /// Every key and nothing else: one `*` per token. A `>` would ask for more than is allowed.
    pub(super) fn pattern(&self) -> String {
        let mut pattern = self.subject(&Key::none());
        for _ in 0..self.key_tokens {
            pattern.push_str(".*");
        }
        pattern
    }

    /// What the stream of the state holds: every key, and the marker. The server refuses subjects that
    /// overlap, as the pattern of a key of one token and the marker would.
    pub(super) fn stream_subjects(&self) -> Vec<String> {
        let stem = self.subject(&Key::none());
        if self.key_tokens == 0 { vec![stem, self.complete()] } else { vec![format!("{stem}.>")] }
    }

    /// The stream that holds the state.
    pub(super) fn stream(&self) -> String {
        subject::stream(&self.node, self.owner, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::{cri_bridge::StopPod, health::Health, prober::Verdict};

    fn node() -> NodeName {
        "n1".parse().unwrap()
    }

    #[test]
    fn a_pattern_has_a_star_for_each_token_of_the_key() {
        let cases = [
            (Address::of::<StopPod>(&node()), "node.n1.cri-bridge.cmd.stop-pod.*"),
            (Address::of::<Verdict>(&node()), "node.n1.prober.state.verdict.*.*.*"),
            (Address::said_by::<Health>(&node(), Owner::Prober), "node.n1.prober.state.health"),
        ];
        for (address, pattern) in cases {
            assert_eq!(address.unwrap().pattern(), pattern);
        }
    }

    #[test]
    fn only_the_owner_says_a_state() {
        let foreign = Address::said_by::<Verdict>(&node(), Owner::NodeApi);
        assert!(matches!(foreign, Err(BusError::NotOurs { name: "verdict", owner: Owner::NodeApi })));
        assert!(Address::said_by::<Verdict>(&node(), Owner::Prober).is_ok());
    }
}
