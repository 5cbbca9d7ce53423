//! The real outside: the API server behind api-gate, and the machine's addresses.

pub(crate) mod addresses;
pub(crate) mod api_server;
mod object;
