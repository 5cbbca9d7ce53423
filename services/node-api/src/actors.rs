//! Who owns what: the directory what was heard, the gate what callers were answered.

pub(crate) mod directory;
pub(crate) mod gate;
