//! Container logs: rotating them, and handing them to node-api as open files.

pub mod handout;

use crate::core::rotation::{self, Rotation};
use flate2::{Compression, write::GzEncoder};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Why a log was not rotated.
#[derive(Debug, thiserror::Error)]
#[error("could not {deed} {path}", path = .path.display())]
pub struct LogError {
    deed: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

fn failed(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError {
    let path = path.to_owned();
    move |source| LogError { deed, path, source }
}

/// Makes room, compresses what is old and moves the live log aside; tells where to. Blocks.
///
/// # Errors
/// At the first file that can't be treated so.
pub fn rotate(log: &Path, max_files: usize, time: &str) -> Result<PathBuf, LogError> {
    let (folder, name) = parts(log)?;
    let Rotation { remove, compress } = rotation::plan(&rotated(&folder, &name)?, max_files);
    for file in remove {
        let file = folder.join(file);
        fs::remove_file(&file).map_err(failed("remove", &file))?;
    }
    for file in compress {
        self::compress(&folder, &file)?;
    }
    let moved = folder.join(format!("{name}.{time}"));
    fs::rename(log, &moved).map_err(failed("move", log))?;
    Ok(moved)
}

/// Undoes the move of a log that the runtime did not open anew.
///
/// # Errors
/// When it cannot be moved.
pub fn put_back(moved: &Path, log: &Path) -> Result<(), LogError> {
    fs::rename(moved, log).map_err(failed("move back", moved))
}

fn parts(log: &Path) -> Result<(PathBuf, String), LogError> {
    let folder = log.parent().map(Path::to_owned);
    let name = log.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    folder.zip(name).ok_or_else(|| failed("name", log)(io::ErrorKind::InvalidInput.into()))
}

fn rotated(folder: &Path, name: &str) -> Result<Vec<String>, LogError> {
    let prefix = format!("{name}.");
    let names = names(folder).map_err(failed("list", folder))?;
    Ok(names.into_iter().filter(|file| file.starts_with(&prefix)).collect())
}

/// The names of a folder's files.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
    names.filter_map(io::Result::transpose).collect()
}

/// Compresses a file into one beside it. The original goes once that is whole.
fn compress(folder: &Path, file: &str) -> Result<(), LogError> {
    let (done, draft) = rotation::compressed_names(file);
    let (original, done, draft) = (folder.join(file), folder.join(done), folder.join(draft));
    let write = || -> io::Result<()> {
        let mut input = File::open(&original)?;
        let output = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&draft)?;
        let mut encoder = GzEncoder::new(output, Compression::default());
        io::copy(&mut input, &mut encoder)?;
        encoder.finish()?.sync_all()?;
        fs::rename(&draft, &done)
    };
    write().map_err(failed("compress", &original))?;
    fs::remove_file(&original).map_err(failed("remove", &original))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    #[test]
    fn a_log_is_moved_and_the_one_before_is_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("0.log");
        for time in ["1", "2", "3"] {
            fs::write(&log, format!("round {time}\n")).unwrap();
            rotate(&log, 3, time).unwrap();
        }
        let mut left = names(folder.path()).unwrap();
        left.sort();
        assert_eq!(left, ["0.log.2.gz", "0.log.3"]);
        let mut text = String::new();
        let file = File::open(folder.path().join("0.log.2.gz")).unwrap();
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
        assert_eq!(text, "round 2\n");
    }

    #[test]
    fn a_move_can_be_undone() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("0.log");
        fs::write(&log, "a").unwrap();
        let moved = rotate(&log, 5, "1").unwrap();
        assert!(!log.exists());
        put_back(&moved, &log).unwrap();
        assert!(log.exists());
    }
}
