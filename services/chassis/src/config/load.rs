//! From files and flags to the effective `KubeletConfiguration`.
//!
//! The order is the stock kubelet's (`cmd/kubelet/app/server.go`): `--config`, then the `*.conf`
//! files below `--config-dir` in the order of their paths, then flags; what a later one names wins.
//! Called once, by the supervisor, before anything is opened or started.

use super::{
    ConfigError, KubeletConfiguration, document,
    faults::{Fault, Faults},
    layers, rules,
};
use serde_json::{Map, Value, json};
use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

/// What holds where there is no `--config`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// The kubelet's command line without `--config` is older than the secure defaults: everyone may
    /// do everything, and 10255 is open. Kept, because a takeover must not change what is served.
    StockFlags,
    /// `bulkhead up`: upstream's secure defaults on any machine, a laptop with swap or cgroup v1 too.
    AnyMachine,
}

/// Where the settings come from. Not to be printed: the flags may hold a token.
#[derive(Clone)]
pub struct Sources {
    /// What holds without a file.
    pub base: Base,
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--config-dir`.
    pub dir: Option<PathBuf>,
    /// Flags as the fields that they stand for.
    pub flags: Value,
}

/// Reads, covers and checks.
///
/// # Errors
/// When a file cannot be read, or with everything that is wrong in one file, in the flags, or in the
/// whole.
pub fn load(sources: &Sources, machine: rules::Machine) -> Result<KubeletConfiguration, ConfigError> {
    let mut tree = match &sources.file {
        Some(path) => first_file(path)?,
        None => sources.base.tree(),
    };
    layers::without_zeros(&mut tree);
    layers::with_dependent_defaults(&mut tree);
    for path in drop_ins(sources.dir.as_deref())? {
        layers::merge(&mut tree, file(&path)?);
    }
    layers::without_zeros(&mut tree);
    document::read(&sources.flags).map_err(ConfigError::Flags)?;
    layers::cover_with_flags(&mut tree, sources.flags.clone());
    let configuration = normalised(document::read(&tree).map_err(ConfigError::Broken)?);
    Faults(rules::broken(&configuration, machine)).into_result().map_err(ConfigError::Broken)?;
    Ok(configuration)
}

impl Base {
    fn tree(self) -> Value {
        match self {
            Self::StockFlags => json!({
                "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
                "authorization": {"mode": "AlwaysAllow"},
                "readOnlyPort": 10255,
            }),
            Self::AnyMachine => json!({"failCgroupV1": false, "failSwapOn": false}),
        }
    }
}

fn first_file(path: &Path) -> Result<Value, ConfigError> {
    let mut tree = file(path)?;
    let absolute = std::path::absolute(path).map_err(|source| unreadable(path, source))?;
    layers::with_paths_from(&mut tree, absolute.parent().unwrap_or(Path::new("/")));
    let mut without_nulls = Value::Object(Map::new());
    layers::merge(&mut without_nulls, tree);
    Ok(without_nulls)
}

/// A file's tree, of which every field is known and holds what it can.
fn file(path: &Path) -> Result<Value, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| unreadable(path, source))?;
    let wrong = |faults| ConfigError::File { path: path.to_owned(), faults };
    let tree = document::parse(&text).map_err(wrong)?;
    let mut present = Value::Object(Map::new());
    layers::merge(&mut present, tree.clone());
    layers::without_zeros(&mut present);
    document::read(&present).map_err(wrong)?;
    Ok(tree)
}

/// The `*.conf` files below a folder, in the order of their paths.
fn drop_ins(dir: Option<&Path>) -> Result<Vec<PathBuf>, ConfigError> {
    let Some(dir) = dir else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|source| unreadable(&folder, source))? {
            let entry = entry.map_err(|source| unreadable(&folder, source))?;
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if path.extension() == Some(OsStr::new("conf")) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path, source: io::Error) -> ConfigError {
    ConfigError::Read { path: path.to_owned(), source }
}

/// Values that say the same are made the same.
fn normalised(mut configuration: KubeletConfiguration) -> KubeletConfiguration {
    configuration.pod_pids_limit = configuration.pod_pids_limit.max(-1);
    for path in [
        &mut configuration.static_pod_path,
        &mut configuration.tls_cert_file,
        &mut configuration.tls_private_key_file,
        &mut configuration.authentication.x509.client_ca_file,
    ] {
        path.take_if(|path| path.as_os_str().is_empty());
    }
    configuration
}

/// What is wrong with `--node-labels`.
///
/// # Errors
/// Every label that a node may not set on itself.
pub fn check_node_labels<'a>(
    labels: impl Iterator<Item = (&'a String, &'a String)>,
) -> Result<(), ConfigError> {
    let faults = labels
        .filter_map(|(key, value)| super::labels::fault_of_node_label(key, value))
        .map(|problem| Fault::new("--node-labels", problem))
        .collect();
    Faults(faults).into_result().map_err(ConfigError::Flags)
}

#[cfg(test)]
mod tests;
