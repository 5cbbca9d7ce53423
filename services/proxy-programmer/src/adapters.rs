//! The real outside: the kernel's nf_tables, by netlink, and the API server, through api-gate.

pub(crate) mod api_server;
mod kernel;
pub mod netlink;

pub(crate) use kernel::NfTables;
