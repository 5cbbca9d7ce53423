//! What goes on all the time, each a task that ends with the process: following the runtime
//! ([`events`]), telling of it ([`runtime`]) and of the machine ([`machine`]), hearing the others
//! ([`hearing`]), saying what pods' actors have to
//! say ([`saying`]), rotating logs ([`rotation`]).

pub mod events;
pub mod hearing;
pub mod machine;
pub mod rotation;
pub mod runtime;
pub mod saying;
