//! Who acts: one `Peer` per process that may ask, and the one `Line` to the API server behind them.

pub(crate) mod line;
pub(crate) mod peer;
