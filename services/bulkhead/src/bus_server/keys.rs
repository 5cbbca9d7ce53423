//! The nkeys by which the bus server knows the processes: one seed each, kept over restarts.
//!
//! They are kept in the supervisor's own folder and given to each process as a copy that its user
//! alone may read, so that nothing need be read back from a folder of somebody else.

use crate::files;
use chassis::identity;
use messages::Owner;
use nkeys::KeyPair;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The file in a process' folder that holds its seed; [`chassis::run`] reads it.
const SEED: &str = "bus.seed";
/// The folder of the supervisor that holds all of them.
const KEPT: &str = "bus-keys";

/// Everyone's key.
pub(crate) struct Keys(BTreeMap<Owner, KeyPair>);

/// Why the keys could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoKeys {
    /// A seed could not be read.
    #[error("could not read the bus key {path}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A seed could not be written.
    #[error("could not write a bus key")]
    Write(#[source] files::NotWritten),
    /// A key has no seed.
    #[error("a bus key has no seed")]
    Seed(#[source] nkeys::error::Error),
}

impl Keys {
    /// New keys for everyone, kept nowhere.
    #[cfg(test)]
    pub(crate) fn fresh() -> Self {
        Self(Owner::ALL.into_iter().map(|owner| (owner, KeyPair::new_user())).collect())
    }

    /// The keys of a node, of which every process gets its own. What is missing or broken is made.
    ///
    /// # Errors
    /// When a file can be neither read nor written.
    pub(crate) fn of_node(node_dir: &Path) -> Result<Self, NoKeys> {
        let kept = node_dir.join(Owner::Bulkhead.name()).join(KEPT);
        files::folder(&kept, identity::of(Owner::Bulkhead)).map_err(NoKeys::Write)?;
        let keys = Owner::ALL.into_iter().map(|owner| {
            let key = kept_or_new(&kept.join(format!("{owner}.seed")))?;
            give(&key, &node_dir.join(owner.name()).join(SEED), owner)?;
            Ok((owner, key))
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// The half that the server knows.
    pub(crate) fn public(&self, owner: Owner) -> String {
        self.0.get(&owner).map(KeyPair::public_key).unwrap_or_default()
    }
}

fn kept_or_new(path: &Path) -> Result<KeyPair, NoKeys> {
    match fs::read_to_string(path) {
        Ok(seed) => {
            if let Ok(key) = KeyPair::from_seed(seed.trim()) {
                return Ok(key);
            }
        }
        Err(source) if source.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(NoKeys::Read { path: path.to_owned(), source }),
    }
    let key = KeyPair::new_user();
    give(&key, path, Owner::Bulkhead)?;
    Ok(key)
}

fn give(key: &KeyPair, path: &Path, owner: Owner) -> Result<(), NoKeys> {
    let seed = key.seed().map_err(NoKeys::Seed)?;
    files::write(path, seed.as_bytes(), files::Readable::By(identity::of(owner))).map_err(NoKeys::Write)
}
