//! One file of the journal: `{"version":1,"value":…}`, replaced whole.

use super::VERSION;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// What stands in a file. The version comes first, and is looked at before the value.
#[derive(Serialize)]
pub(super) struct Wrapped<T> {
    pub(super) version: u32,
    pub(super) value: T,
}

#[derive(Deserialize)]
struct JustVersion {
    version: u32,
}

#[derive(Deserialize)]
struct JustValue<T> {
    value: T,
}

/// Why there is no value.
pub(super) enum ReadFailure {
    Missing,
    Io(io::Error),
    /// Why, without a value of the file.
    NotUnderstood(String),
}

pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ReadFailure> {
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ReadFailure::Missing,
        _ => ReadFailure::Io(error),
    })?;
    let JustVersion { version } = parse(&bytes)?;
    if version > VERSION {
        return Err(ReadFailure::NotUnderstood(format!(
            "it is of version {version}, this executable knows {VERSION}"
        )));
    }
    parse::<JustValue<T>>(&bytes).map(|wrapped| wrapped.value)
}

/// serde's message may repeat a value, which could be part of a pod's spec; its place may not.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ReadFailure> {
    serde_json::from_slice(bytes).map_err(|error| {
        ReadFailure::NotUnderstood(format!(
            "not the expected JSON at line {}, column {}",
            error.line(),
            error.column()
        ))
    })
}

/// Writes a file beside it, makes that durable, and gives it the name.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (draft, file) = draft(path, bytes)?;
    file.sync_all()?;
    fs::rename(draft, path)?;
    sync_folder(path)
}

/// Writes a file beside it and gives it the name.
pub(super) fn swap(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (draft, _) = draft(path, bytes)?;
    fs::rename(draft, path)
}

fn draft(path: &Path, bytes: &[u8]) -> io::Result<(PathBuf, File)> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    Ok((draft, file))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// The names of a folder's files without `.json`; none for a folder that is not there.
pub(super) fn stems(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut stems = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        stems.extend(name.to_str().and_then(|name| name.strip_suffix(".json")).map(str::to_owned));
    }
    stems.sort_unstable();
    Ok(stems)
}
