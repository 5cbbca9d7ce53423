//! Expressions that load keys and look them up, and the registers that all rules use for them.

use super::expression::{Ct, Expression, Found, Header, Meta, Register};
use crate::core::address::Family;

/// Where an entry is loaded: a word of nothing, its shape, its code. `nft list` keeps in mind in which register a value begins, and
/// aborts where a rule goes on with a value that it cannot name; a register in the midst of one it only complains of.
pub const ENTRY: Register = Register(4);
/// Where the shape of an entry is then, two words.
pub const SHAPE: Register = Register(5);
/// Where the code of its service port is, two words.
pub const CODE: Register = Register(7);
/// Where the number of a slot is, behind the code.
pub const NUMBER: Register = Register(9);
/// Where an endpoint's address is, behind the code, and its port behind that.
pub const ENDPOINT: Register = Register(9);

const FIRST: Register = Register(0);

fn words(family: Family) -> u32 {
    u32::from(family.bits() / 32)
}

/// The register behind an address.
pub fn behind_address(family: Family, address: Register) -> Register {
    Register(address.0 + words(family))
}

/// Where a client's address is, so that the code is behind it.
pub fn client(family: Family) -> Register {
    Register(CODE.0 - words(family))
}

fn address(family: Family, to: Register, offset: u32) -> Expression {
    Expression::Payload { to, header: Header::Network, offset, length: 4 * words(family) }
}

/// Loads who sent the packet.
pub fn source(family: Family, to: Register) -> Expression {
    let offset = match family {
        Family::V4 => 12,
        Family::V6 => 8,
    };
    address(family, to, offset)
}

/// Loads to whom the packet is going.
pub fn destination(family: Family, to: Register) -> Expression {
    let offset = match family {
        Family::V4 => 16,
        Family::V6 => 24,
    };
    address(family, to, offset)
}

/// Loads the transport protocol and the port that the packet is going to, one behind the other.
pub fn port(to: Register) -> [Expression; 2] {
    [
        Expression::Meta { to, key: Meta::L4Proto },
        Expression::Payload { to: Register(to.0 + 1), header: Header::Transport, offset: 2, length: 2 },
    ]
}

/// The same of where the flow was going before it was translated.
fn original_port(to: Register) -> [Expression; 2] {
    [
        Expression::Meta { to, key: Meta::L4Proto },
        Expression::Ct { to: Register(to.0 + 1), key: Ct::OriginalPort },
    ]
}

fn original_destination(family: Family) -> Expression {
    let key = match family {
        Family::V4 => Ct::OriginalAddressV4,
        Family::V6 => Ct::OriginalAddressV6,
    };
    Expression::Ct { to: FIRST, key }
}

/// Holds if the key in a register is in a set.
pub fn is_in(set: &'static str, key: Register) -> Expression {
    Expression::Lookup { set, key, found: Found::Member }
}

fn entry_in(set: &'static str) -> Expression {
    Expression::Lookup { set, key: FIRST, found: Found::Data(ENTRY) }
}

/// Loads where the packet is going, as a key of addresses.
pub fn to(family: Family) -> Vec<Expression> {
    [vec![destination(family, FIRST)], port(behind_address(family, FIRST)).to_vec()].concat()
}

/// Loads code and shape by address, protocol and port.
pub fn entry_of_address(family: Family) -> Vec<Expression> {
    [to(family), vec![entry_in("services")]].concat()
}

/// Loads code and shape by protocol and port, wherever the packet is going.
pub fn entry_of_node_port() -> Vec<Expression> {
    [port(FIRST).to_vec(), vec![entry_in("node-ports")]].concat()
}

/// Loads code and shape by node port, if the packet is going to an address that answers there.
pub fn entry_at_node(family: Family) -> Vec<Expression> {
    let is_here = vec![destination(family, FIRST), is_in("node-addresses", FIRST)];
    [is_here, entry_of_node_port()].concat()
}

/// Loads code and shape by the address that the flow was going to first.
pub fn original_entry_of_address(family: Family) -> Vec<Expression> {
    let port = original_port(behind_address(family, FIRST));
    [vec![original_destination(family)], port.to_vec(), vec![entry_in("services")]].concat()
}

/// Loads code and shape by the node port that the flow was going to first.
pub fn original_entry_at_node(family: Family) -> Vec<Expression> {
    let is_here = vec![original_destination(family), is_in("node-addresses", FIRST)];
    [is_here, original_port(FIRST).to_vec(), vec![entry_in("node-ports")]].concat()
}

/// Follows what a map says of the shape that was loaded.
pub fn follow(set: &'static str) -> Expression {
    Expression::Lookup { set, key: SHAPE, found: Found::Verdict }
}
