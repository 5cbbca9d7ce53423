//! The rules of the proxy: services and endpoint slices in, one table out, and the difference between two
//! tables. No async, no clock, no IO; and, but for [`nft`], nothing that only nftables, iptables or IPVS knows.
//!
//! ```text
//! Service ──► service ─────────────┐                            ┌─► walk        what becomes of a packet
//!                                  ├─► claims ─► draft ─► table ┤
//! EndpointSlice ─► slice ─► endpoints    │          ▲           └─► difference  what to add and remove
//! node's facts ──► node ─────────────────┘          │           └─► nft         both as nf_tables' operations
//!   (facts)                           model: takes changes, redoes what they touch
//!
//! conduct: what is written next, and what a refusal leads to ─► narrowing: which services are at fault;  pace: how soon
//! ```
//!
//! Whatever is wrong in an object becomes a [`fault::Fault`]; the rest of it, and everybody else, goes on.

pub mod address;
pub mod claims;
pub mod conduct;
pub mod difference;
pub mod draft;
pub mod endpoints;
pub mod facts;
pub mod fault;
pub mod model;
pub mod name;
pub mod narrowing;
pub mod nft;
pub mod node;
pub mod pace;
pub mod service;
pub mod slice;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
pub mod walk;
