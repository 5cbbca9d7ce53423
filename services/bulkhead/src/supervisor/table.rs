//! The table of processes, which the supervisor writes at each change and `bulkhead status` reads.

use super::core::{Fleet, Life};
use crate::{files, process::Process};
use chassis::identity;
use messages::Owner;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// All processes at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Table {
    /// The supervisor's process id.
    pub(crate) supervisor: u32,
    /// The others.
    pub(crate) processes: Vec<Entry>,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) name: String,
    /// Its id; none while it does not run.
    pub(crate) pid: Option<u32>,
    /// How often it was begun again.
    pub(crate) restarts: u32,
}

impl Table {
    /// The table of a fleet.
    pub(crate) fn of(fleet: &Fleet) -> Self {
        let entry = |(process, member): (&Process, &super::core::Member)| Entry {
            name: process.name().to_owned(),
            pid: match member.life {
                Life::Running(pid, _) => Some(pid),
                Life::Due(_) | Life::Beginning | Life::Over => None,
            },
            restarts: member.restarts,
        };
        Self { supervisor: std::process::id(), processes: fleet.members().iter().map(entry).collect() }
    }

    /// Where the table of a node stands.
    pub(crate) fn path(node_dir: &Path) -> PathBuf {
        node_dir.join(Owner::Bulkhead.name()).join("processes.json")
    }

    /// Writes it for root alone.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn write(&self, path: &Path) -> Result<(), files::NotWritten> {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        files::write(path, &bytes, files::Readable::By(identity::of(Owner::Bulkhead)))
    }

    /// Reads it.
    ///
    /// # Errors
    /// When there is none, or it is of another version.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }
}
