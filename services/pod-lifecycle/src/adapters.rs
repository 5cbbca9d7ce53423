//! The sources of pods as they really are: a folder, a URL, the API server.

pub mod api;
pub mod apparmor;
pub mod files;
pub mod folder;
pub mod scribe;
pub mod url;
