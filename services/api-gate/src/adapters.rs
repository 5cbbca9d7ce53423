//! The real outside: the API server, the kubeconfig and its files, and the peers' sockets.

pub(crate) mod api_server;
pub(crate) mod kubeconfig;
pub(crate) mod socket;
