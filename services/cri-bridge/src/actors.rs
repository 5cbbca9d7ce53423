//! The actors: one per pod ([`pod`]), the relay that knows them all ([`relay`]), and the turnstile
//! before the runtime ([`gate`]).

pub mod gate;
pub mod pod;
pub mod relay;
