//! The grammar of subjects: `node.{node}.{owner}.{kind}.{name}.{key…}`.
//!
//! The first token is literal, because newer NATS servers refuse a stream whose subjects begin
//! with a wildcard. The node comes second, so that several nodes can share a server.

use crate::{Key, Kind, Message, NodeName, Owner, Token};

/// The key under which an owner says that it has said everything of a state name. Begins with
/// `_`, which no [`Token`] does.
pub const COMPLETE: &str = "_complete";

/// The subject of one message.
pub fn of<M: Message>(node: &NodeName, message: &M) -> String {
    exact(node, M::OWNER, M::KIND, M::NAME, &message.key())
}

/// The subject of one key of a message type, under a given owner.
pub fn exact(node: &NodeName, owner: Owner, kind: Kind, name: &str, key: &Key) -> String {
    let mut subject = stem(node, owner, kind, name);
    for token in key.tokens() {
        subject.push('.');
        subject.push_str(token.as_str());
    }
    subject
}

/// The subject on which the owner says that a state name is complete.
pub fn complete(node: &NodeName, owner: Owner, name: &str) -> String {
    format!("{}.{COMPLETE}", stem(node, owner, Kind::State, name))
}

/// Every key of a message type, as a NATS filter. A message with no key (`keyed` false) is its
/// own filter.
pub fn all(node: &NodeName, owner: Owner, kind: Kind, name: &str, keyed: bool) -> String {
    let stem = stem(node, owner, kind, name);
    if keyed { format!("{stem}.>") } else { stem }
}

/// The stream that holds a state name. Stream names may hold no dot.
pub fn stream(node: &NodeName, owner: Owner, name: &str) -> String {
    format!("{}_{owner}_{name}", node.to_token())
}

/// A subject, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// The node.
    pub node: NodeName,
    /// The owner.
    pub owner: Owner,
    /// The kind.
    pub kind: Kind,
    /// The message's name.
    pub name: &'a str,
    /// The key; `None` for the `complete` marker.
    pub key: Option<Key>,
}

/// Takes a subject apart; `None` when it is none of ours.
pub fn parse(subject: &str) -> Option<Parsed<'_>> {
    let mut tokens = subject.split('.');
    if tokens.next()? != "node" {
        return None;
    }
    let node = NodeName::from_token(tokens.next()?).ok()?;
    let owner = Owner::named(tokens.next()?)?;
    let kind = match tokens.next()? {
        "cmd" => Kind::Command,
        "state" => Kind::State,
        "evt" => Kind::Event,
        _ => return None,
    };
    let name = tokens.next().filter(|name| !name.is_empty())?;
    let rest: Vec<&str> = tokens.collect();
    let key = if rest == [COMPLETE] { None } else { Some(key(&rest)?) };
    Some(Parsed { node, owner, kind, name, key })
}

fn key(tokens: &[&str]) -> Option<Key> {
    let tokens: Result<Vec<Token>, _> = tokens.iter().map(|token| token.parse()).collect();
    tokens.ok().map(Key::from)
}

fn stem(node: &NodeName, owner: Owner, kind: Kind, name: &str) -> String {
    format!("node.{}.{owner}.{}.{name}", node.to_token(), kind.token())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeName {
        "worker-1.example".parse().unwrap()
    }

    #[test]
    fn a_subject_is_read_as_it_is_built() {
        let key = Key::from(["u-1".parse::<Token>().unwrap(), "app".parse().unwrap()]);
        let subject = exact(&node(), Owner::Prober, Kind::State, "verdict", &key);
        assert_eq!(subject, "node.worker-1_example.prober.state.verdict.u-1.app");
        let parsed = parse(&subject).unwrap();
        assert_eq!((parsed.node, parsed.owner, parsed.kind), (node(), Owner::Prober, Kind::State));
        assert_eq!((parsed.name, parsed.key), ("verdict", Some(key)));
    }

    #[test]
    fn the_complete_marker_is_no_key() {
        let subject = complete(&node(), Owner::CriBridge, "runtime-pod");
        assert_eq!(parse(&subject).unwrap().key, None);
    }

    #[test]
    fn foreign_subjects_are_not_ours() {
        for subject in ["", "node", "node.a.nobody.cmd.x", "node.a.prober.x.y", "a.b.c", "node.a.prober.cmd"]
        {
            assert_eq!(parse(subject), None, "{subject:?}");
        }
    }
}
