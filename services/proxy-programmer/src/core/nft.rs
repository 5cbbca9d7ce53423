//! The rules as nf_tables has them: a table, or the difference between two, in; operations of one transaction out. No netlink
//! here, only what is to be said by it; which packet goes which way through it is drawn in the service's README.
//!
//! ```text
//! Table, Difference ─► programme ─► operation: chains, rules, sets, elements
//!                        ├─ layout     what is there whatever the services are
//!                        ├─ shape      what services share, and which verdicts it leads to
//!                        ├─ chains     the rules of shapes        (load: their keys and registers)
//!                        └─ elements   what each service has of its own  (name: codes in keys)
//!                      operation ─► inventory: how much of what the kernel then holds
//! ```

pub mod chains;
pub mod elements;
pub mod expression;
pub mod inventory;
pub mod layout;
pub mod load;
pub mod name;
pub mod operation;
pub mod programme;
pub mod shape;
