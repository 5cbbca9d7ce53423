//! The outside world: sockets, files, the API server's reviews, the runtime's streaming server.

pub(crate) mod certificates;
pub(crate) mod client_ca;
pub(crate) mod listener;
pub(crate) mod log_file;
pub(crate) mod log_socket;
pub(crate) mod pem;
pub(crate) mod process_table;
pub(crate) mod reviews;
pub(crate) mod run;
pub(crate) mod tunnel;
