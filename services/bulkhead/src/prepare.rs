//! What stands on disk before the first process begins: folders, keys, the bus server's configuration
//! and `node.json`. Everything is written anew at each start, save the keys and the port.

use crate::{
    bus_server::{self, Keys, NoKeys},
    files::{self, NotWritten, Readable},
    lending,
    process::Process,
};
use chassis::{config::NodeConfig, identity};
use messages::Owner;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Why the node's files could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPrepared {
    /// A folder or file.
    #[error("the node's files could not be written")]
    Files(#[from] NotWritten),
    /// The bus keys.
    #[error("the bus keys could not be had")]
    Keys(#[from] NoKeys),
    /// No port for the bus.
    #[error("no port for the bus could be had")]
    Port(#[source] io::Error),
}

/// The folders of the kubelet and of all processes.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn folders(config: &NodeConfig) -> Result<(), NotWritten> {
    let root = identity::of(Owner::Bulkhead);
    for outer in [&config.root_dir, &config.dir()] {
        if !outer.exists() {
            files::folder(outer, root)?;
        }
        files::let_pass(outer)?;
    }
    files::folder(&config.dir_of(Owner::Bulkhead), root)?;
    for process in Process::all() {
        files::folder(&process.dir(&config.dir()), process.identity())?;
    }
    Ok(())
}

/// Gives the bus an address, everyone a key, and writes the settings for all. `port` chooses, and is
/// told the one of an earlier life. Returns the bus server's configuration file.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn node(
    config: &mut NodeConfig,
    port: impl FnOnce(Option<u16>) -> io::Result<u16>,
) -> Result<PathBuf, NotPrepared> {
    let dir = config.dir();
    let earlier =
        NodeConfig::read(&config.root_dir).ok().and_then(|config| bus_server::port_of(&config.bus.url));
    let port = port(earlier).map_err(NotPrepared::Port)?;
    config.bus.url = bus_server::url(port);
    let bus_file = bus_configuration(config, port, &Keys::of_node(&dir)?)?;
    url_headers(config)?;
    lending::lend_all(config)?;
    let text = serde_json::to_vec_pretty(config).unwrap_or_default();
    files::write(&NodeConfig::path(&config.root_dir), &text, Readable::ByAll)?;
    Ok(bus_file)
}

fn bus_configuration(config: &NodeConfig, port: u16, keys: &Keys) -> Result<PathBuf, NotWritten> {
    let dir = Process::Bus.dir(&config.dir());
    let text = bus_server::configuration(&config.node_name, port, &dir, keys);
    let path = dir.join("nats.conf");
    files::write(&path, format!("{text:#}").as_bytes(), Readable::By(Process::Bus.identity()))?;
    Ok(path)
}

/// Headers of `staticPodURL` may hold a token; in `node.json` they are masked.
fn url_headers(config: &NodeConfig) -> Result<(), NotWritten> {
    let headers = config.kubelet.static_pod_url_header.reveal();
    let path = config.url_header_path();
    if headers.is_empty() {
        return remove(&path);
    }
    let text = serde_json::to_vec(headers).unwrap_or_default();
    files::write(&path, &text, Readable::By(identity::of(Owner::PodLifecycle)))
}

fn remove(path: &Path) -> Result<(), NotWritten> {
    match fs::remove_file(path) {
        Err(failure) if failure.kind() != io::ErrorKind::NotFound => Err(NotWritten::removing(path, failure)),
        _ => Ok(()),
    }
}
