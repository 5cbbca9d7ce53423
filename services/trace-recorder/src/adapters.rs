//! Where traces come from and go to: sockets, and nothing that decides.

pub(crate) mod collector;
pub(crate) mod otlp;
pub(crate) mod query;
pub(crate) mod socket;
