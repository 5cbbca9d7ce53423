//! Container logs: what was asked for ([`options`]), which instance's log that is ([`target`]), how a line of
//! it is read ([`line`]), and what of it is answered ([`printer`]).

pub(crate) mod line;
pub(crate) mod options;
pub(crate) mod printer;
pub(crate) mod target;
