//! The real outside: the kernel (in worker processes), the file system, the API server.

pub mod api;
pub mod atomic;
pub mod folders;
pub mod kernel;
pub mod shared;
pub mod subpath;
pub mod workers;
