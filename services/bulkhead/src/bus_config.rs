//! `bulkhead bus-config`: everything that stands on disk before a node begins, for where something
//! else than our supervisor starts the processes (`deploy/compose`).

use crate::{
    bus_server,
    kubelet::arguments::Arguments,
    prepare, settings,
    up::{self, Asked},
};
use anyhow::bail;
use chassis::config::{Base, NodeConfig};
use std::{ffi::OsString, process::ExitCode};

/// Writes folders, keys, `node.json` and `nats.conf`.
///
/// # Errors
/// When the command line is not usable, or a file cannot be written.
pub(crate) fn bus_config(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    match up::read(up::ours(), arguments)? {
        Asked::Node(arguments) => write(*arguments),
        Asked::Told(code) => Ok(code),
    }
}

fn write(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut config = settings::node_config(arguments, Base::AnyMachine)?;
    if !rustix::process::geteuid().is_root() {
        bail!("files for several users are root's to make; run it with: sudo");
    }
    prepare::folders(&config)?;
    let bus = prepare::node(&mut config, bus_server::same_port)?;
    println!("{}\n{}", NodeConfig::path(&config.root_dir).display(), bus.display());
    Ok(ExitCode::SUCCESS)
}
