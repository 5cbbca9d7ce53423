//! For tests only (feature `testing`): a bus server of a test's own, and a service on it.
