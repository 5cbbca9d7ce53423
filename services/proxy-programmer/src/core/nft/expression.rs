//! The expressions that rules are made of, as far as ours need them.

/// A register: one of 16 words of 4 bytes; longer values fill those behind it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register(pub u32);

/// What a rule does or asks. One that does not hold ends its rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// Loads bytes of the packet.
    Payload {
        /// Where to.
        to: Register,
        /// Of which header.
        header: Header,
        /// From which byte on.
        offset: u32,
        /// How many.
        length: u32,
    },
    /// Loads what is known beside the packet.
    Meta {
        /// Where to.
        to: Register,
        /// What.
        key: Meta,
    },
    /// Loads what conntrack knows of the flow.
    Ct {
        /// Where to.
        to: Register,
        /// What.
        key: Ct,
    },
    /// Clears the bits of a word that the mask has not.
    And {
        /// The word.
        register: Register,
        /// The bits that stay.
        mask: u32,
    },
    /// Whether a register holds this, or anything but this.
    Compare {
        /// The register.
        register: Register,
        /// Whether it shall be equal.
        equal: bool,
        /// To what.
        value: Vec<u8>,
    },
    /// Whether a key is in a set, and what a map says of it.
    Lookup {
        /// The set or map.
        set: &'static str,
        /// Where the key is.
        key: Register,
        /// What to do with what is found.
        found: Found,
    },
    /// Draws a lot.
    Random {
        /// Where to.
        to: Register,
        /// From 0 to below this.
        below: u32,
    },
    /// Changes a dynamic map from the packet's way.
    Dynset {
        /// The map.
        set: &'static str,
        /// How.
        change: DynsetChange,
        /// Where the key is.
        key: Register,
        /// Where the value is.
        data: Register,
    },
    /// Sends the flow to another destination; the last of its rule.
    Dnat {
        /// Where the address is.
        address: Register,
        /// Where the port is.
        port: Register,
    },
    /// Gives the flow the address of the interface that it leaves by; the last of its rule.
    Masquerade,
    /// Refuses the packet with an answer; the last of its rule.
    Reject(Answer),
    /// Where the packet goes next.
    Verdict(Verdict),
}

/// A header of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// IPv4's or IPv6's.
    Network,
    /// TCP's, UDP's or SCTP's.
    Transport,
}

/// What is known beside the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meta {
    /// The transport protocol.
    L4Proto,
    /// The name of the interface that it came in by, 16 bytes.
    InputInterface,
}

/// What conntrack knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ct {
    /// The flow's state, as bits.
    State,
    /// The flow's status, as bits.
    Status,
    /// Where the flow was going before it was translated: the address.
    OriginalAddressV4,
    /// The same in IPv6.
    OriginalAddressV6,
    /// Where the flow was going before it was translated: the port.
    OriginalPort,
}

/// What to do with what a look-up finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Being there is all.
    Member,
    /// Load the value.
    Data(Register),
    /// Follow the verdict.
    Verdict,
}

/// What happens in a dynamic map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DynsetChange {
    /// The element is there for so many seconds from now on. What it leads to stays, if it is there already.
    Update(u32),
    /// It is gone.
    Delete,
}

/// How a packet is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// By a TCP reset.
    TcpReset,
    /// By ICMP: port unreachable.
    PortUnreachable,
}

/// Where a packet goes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// On, as far as this hook's chain is concerned.
    Accept,
    /// Nowhere.
    Drop,
    /// Back to the chain that it came from.
    Return,
    /// Through a chain and back.
    Jump(String),
    /// Through a chain, and from there to where this one would return.
    Goto(String),
}
