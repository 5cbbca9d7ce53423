//! node-api
