//! The real outside: the kernel's nf_tables, by netlink.

pub mod netlink;
