//! What a process remembers across its lives: small JSON files of its own, which nobody else reads.
//!
//! Only for what cannot be read back from the API server, the runtime, the kernel or the file system.
//! Each file is written whole and takes the old one's place at once, so that a killed process leaves
//! the old or the new. A file that cannot be read is moved aside and reported, never a reason to die:
//! the owner then rebuilds as if on a new machine.
//!
//! What is jotted down is safe from the end of the process and left to the kernel to bring to the
//! disk. Waiting for the disk would cost each pod's start a few milliseconds, many where the disk is
//! busy, and guard only against a crash of the machine, after which no pod of before runs, nothing
//! of before is mounted, and all but the last half minute is there.

mod file;

use file::{ReadFailure, Wrapped};
use messages::Incarnation;
use rustix::fs::Mode;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};
use tracing::error;

/// Version of the files that this executable writes, and the newest it reads.
pub const VERSION: u32 = 1;

/// The file that holds the incarnation.
const INCARNATION: &str = "incarnation";

/// The journal of one process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Journal {
    dir: PathBuf,
}

/// Why the journal failed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The name is no name of a journal file.
    #[error("{name:?} is no journal name: one or two parts of [A-Za-z0-9._-] that begin with no dot")]
    BadName {
        /// What was given.
        name: String,
    },
    /// The value has no JSON form.
    #[error("the journal entry {name:?} cannot be written as JSON")]
    Unwritable {
        /// Of which file.
        name: String,
        /// What serde said.
        #[source]
        source: serde_json::Error,
    },
    /// The file system said no.
    #[error("could not {deed} {path}", path = path.display())]
    Io {
        /// Read, write, remove or list.
        deed: &'static str,
        /// Which file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

impl Journal {
    /// The journal in a folder, which is made (0700) when it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(dir: &Path) -> Result<Self, JournalError> {
        make_dir(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// The value of a name (`restarts`, or `pods/<uid>`); `None` when there is none, or when it could
    /// not be understood and was moved aside.
    ///
    /// # Errors
    /// When the name is bad or the file system fails.
    pub fn load<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, JournalError> {
        let path = self.path(name)?;
        match file::read(&path) {
            Ok(value) => Ok(Some(value)),
            Err(ReadFailure::Missing) => Ok(None),
            Err(ReadFailure::Io(source)) => Err(JournalError::Io { deed: "read", path, source }),
            Err(ReadFailure::NotUnderstood(why)) => {
                self.set_aside(&path, &why)?;
                Ok(None)
            }
        }
    }

    /// Writes the value of a name, readable for this user alone, and waits until it is on the disk.
    ///
    /// # Errors
    /// When the name or value is bad or the file system fails.
    pub fn save<T: Serialize>(&self, name: &str, value: &T) -> Result<(), JournalError> {
        self.write(name, value, file::replace)
    }

    /// The same without waiting for the disk.
    ///
    /// # Errors
    /// As [`Journal::save`].
    pub fn jot<T: Serialize>(&self, name: &str, value: &T) -> Result<(), JournalError> {
        self.write(name, value, file::swap)
    }

    fn write<T: Serialize>(
        &self,
        name: &str,
        value: &T,
        put: fn(&Path, &[u8]) -> io::Result<()>,
    ) -> Result<(), JournalError> {
        let path = self.path(name)?;
        let bytes = serde_json::to_vec(&Wrapped { version: VERSION, value })
            .map_err(|source| JournalError::Unwritable { name: name.to_owned(), source })?;
        if let Some(folder) = path.parent().filter(|folder| *folder != self.dir) {
            make_dir(folder)?;
        }
        put(&path, &bytes).map_err(|source| JournalError::Io { deed: "write", path, source })
    }

    /// Removes a name; no error when there is none. A crash of the machine may bring it back: entries
    /// are held against the world at each start anyway.
    ///
    /// # Errors
    /// When the name is bad or the file system fails.
    pub fn remove(&self, name: &str) -> Result<(), JournalError> {
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(JournalError::Io { deed: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    /// The names in a folder of the journal (`pods` gives `pods/<uid>`…), or those at its top for the
    /// empty text; sorted.
    ///
    /// # Errors
    /// When the folder's name is bad or the file system fails.
    pub fn names(&self, folder: &str) -> Result<Vec<String>, JournalError> {
        let (path, prefix) = match folder {
            "" => (self.dir.clone(), String::new()),
            folder if is_part(folder) => (self.dir.join(folder), format!("{folder}/")),
            other => return Err(JournalError::BadName { name: other.to_owned() }),
        };
        let stems = file::stems(&path).map_err(|source| JournalError::Io { deed: "list", path, source })?;
        Ok(stems.into_iter().filter(|stem| is_part(stem)).map(|stem| prefix.clone() + &stem).collect())
    }

    /// A new life: greater than every earlier one, and remembered before it is used. Where the journal
    /// was lost, the wall clock (`now`, nanoseconds) keeps it greater all the same.
    ///
    /// # Errors
    /// When it cannot be remembered.
    pub fn raise_incarnation(&self, now: i64) -> Result<Incarnation, JournalError> {
        let last = self.load::<Incarnation>(INCARNATION)?.unwrap_or_default();
        let by_clock = u64::try_from(now / 1_000_000).unwrap_or_default();
        let next = Incarnation(last.0.saturating_add(1).max(by_clock));
        self.save(INCARNATION, &next)?;
        Ok(next)
    }

    fn path(&self, name: &str) -> Result<PathBuf, JournalError> {
        let parts: Vec<&str> = name.split('/').collect();
        if parts.len() > 2 || !parts.iter().all(|part| is_part(part)) {
            return Err(JournalError::BadName { name: name.to_owned() });
        }
        Ok(self.dir.join(format!("{name}.json")))
    }

    fn set_aside(&self, path: &Path, why: &str) -> Result<(), JournalError> {
        let bad = path.with_extension("bad");
        error!(path = %path.display(), moved_to = %bad.display(), why, "a journal file was not understood");
        fs::rename(path, bad).map_err(|source| JournalError::Io {
            deed: "move aside",
            path: path.to_owned(),
            source,
        })
    }
}

fn make_dir(dir: &Path) -> Result<(), JournalError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(Mode::RWXU.bits())
        .create(dir)
        .map_err(|source| JournalError::Io { deed: "make", path: dir.to_owned(), source })
}

/// One part of a name: what can neither leave the folder nor be taken for one of our own suffixes.
fn is_part(part: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=128).contains(&part.len()) && !part.starts_with('.') && part.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
