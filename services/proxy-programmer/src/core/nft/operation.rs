//! What is said to nf_tables, typed: the steps of a transaction. All of them are about the one table of a family that we own.

use super::expression::{Expression, Verdict};
use crate::core::address::Family;
use std::fmt;

/// How many elements one operation names at most, so that its list fits an attribute of 64 KiB.
pub const ELEMENTS_AT_MOST: usize = 500;

/// One step of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// In the table of which family.
    pub family: Family,
    /// What is done there.
    pub kind: Kind,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Makes the table, unless it is there.
    AddTable,
    /// Removes the table with all that is in it.
    DeleteTable,
    /// Makes a set or map.
    AddSet(Set),
    /// Makes a chain.
    AddChain(Chain),
    /// Removes a chain and its rules. Nothing may lead to it any more.
    DeleteChain(String),
    /// Puts a rule at the end of a chain.
    AddRule {
        /// The chain.
        chain: String,
        /// What the rule does, in order; it ends early where an expression does not hold.
        rule: Vec<Expression>,
    },
    /// Adds elements, none of which is there.
    AddElements {
        /// The set or map.
        set: &'static str,
        /// The elements.
        elements: Vec<SetElement>,
    },
    /// Removes elements, all of which are there. What they mean is not looked at.
    DeleteElements {
        /// The set or map.
        set: &'static str,
        /// The elements.
        elements: Vec<SetElement>,
    },
}

impl fmt::Display for Operation {
    /// What an operator is told of an operation that failed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::AddTable => f.write_str("add the table"),
            Kind::DeleteTable => f.write_str("delete the table"),
            Kind::AddSet(set) => write!(f, "add set {}", set.name),
            Kind::AddChain(chain) => write!(f, "add chain {}", chain.name),
            Kind::DeleteChain(chain) => write!(f, "delete chain {chain}"),
            Kind::AddRule { chain, rule } => write!(f, "add a rule of {} expressions to {chain}", rule.len()),
            Kind::AddElements { set, elements } => write!(f, "add {} elements to {set}", elements.len()),
            Kind::DeleteElements { set, elements } => {
                write!(f, "delete {} elements of {set}", elements.len())
            }
        }?;
        write!(f, " ({})", self.family)
    }
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Where packets come into it, if not from another chain.
    pub base: Option<BaseChain>,
}

/// Where a base chain is hooked in. Its policy is to accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseChain {
    /// Its type.
    pub type_: ChainType,
    /// The hook.
    pub hook: Hook,
    /// Its place among the chains of that hook.
    pub priority: i32,
}

/// What a base chain may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainType {
    /// Let pass or not: sees every packet.
    Filter,
    /// Translate addresses: sees the first packet of a flow.
    Nat,
}

/// A hook of netfilter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// In from a wire, before routing.
    Prerouting,
    /// To the host itself.
    Input,
    /// Through the host.
    Forward,
    /// From the host itself.
    Output,
    /// Out to a wire, after routing.
    Postrouting,
}

/// A field of a key or value. In registers and in elements each fills whole words of 4 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// An address of a family.
    Address(Family),
    /// A transport protocol.
    Protocol,
    /// A port.
    Port,
    /// 4 bytes of our own.
    Word,
}

impl Field {
    /// Its length in bytes, unpadded.
    pub fn length(self) -> usize {
        match self {
            Self::Address(family) => usize::from(family.bits() / 8),
            Self::Protocol => 1,
            Self::Port => 2,
            Self::Word => 4,
        }
    }

    /// Its length in bytes, padded to words.
    pub fn padded(self) -> usize {
        self.length().next_multiple_of(4)
    }
}

/// A set or map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: &'static str,
    /// The fields of its key.
    pub key: Vec<Field>,
    /// What a map leads to; a set leads to nothing.
    pub data: Option<Data>,
    /// How its elements are kept.
    pub kind: SetKind,
}

/// How elements are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetKind {
    /// Each by itself, until it is removed.
    Plain,
    /// Intervals of keys.
    Intervals,
    /// Packets add elements, which end by themselves; at most so many.
    Dynamic(u32),
}

/// What a map's elements lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// A verdict.
    Verdict,
    /// Data of these fields.
    Fields(Vec<Field>),
}

/// An element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetElement {
    /// Its key, or the first key of an interval.
    pub key: Vec<u8>,
    /// How far it reaches.
    pub reach: Reach,
    /// Where it leads.
    pub value: Option<Value>,
}

/// How far an element reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Its key alone; in a set of intervals of one field, all keys up to the next end.
    Key,
    /// The key is the first that lies behind an interval.
    End,
    /// In a set of intervals of several fields: up to this key.
    To(Vec<u8>),
}

/// Where an element leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// To a verdict.
    Verdict(Verdict),
    /// To data.
    Data(Vec<u8>),
}
