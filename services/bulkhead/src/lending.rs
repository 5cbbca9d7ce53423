//! Files of root's that a process without rights needs: copies in its folder, made again whenever
//! the originals change.
//!
//! node-api serves with a certificate whose key is root's. It must not be able to read other files of
//! root's, so that the supervisor copies these three, unread.

use crate::files::{self, NotWritten, Readable};
use chassis::{
    config::{Lent, NodeConfig},
    identity,
};
use messages::Owner;
use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};
use tokio::time::sleep;
use tracing::{info, warn};

/// How often the originals are looked at.
const AGAIN: Duration = Duration::from_secs(10);

/// Copies everything that is lent.
///
/// # Errors
/// When an original cannot be read, or a copy not be written.
pub(crate) fn lend_all(config: &NodeConfig) -> Result<(), NotWritten> {
    Lent::ALL.into_iter().try_for_each(|lent| lend(config, lent))
}

fn lend(config: &NodeConfig, lent: Lent) -> Result<(), NotWritten> {
    let (Some(original), Some(copy)) = (lent.original(&config.kubelet), config.lent(lent)) else {
        return Ok(());
    };
    let bytes = fs::read(original).map_err(|source| NotWritten::copying(original, source))?;
    files::write(&copy, &bytes, Readable::By(identity::of(Owner::NodeApi)))
}

/// Copies again what has changed, for ever. A failure is said once and tried again.
pub(crate) async fn keep_lending(config: NodeConfig) {
    let (mut seen, mut said) = (changes(&config), false);
    loop {
        sleep(AGAIN).await;
        let now = changes(&config);
        if now == seen {
            continue;
        }
        match lend_all(&config) {
            Ok(()) => {
                info!("certificates have changed and were copied");
                (seen, said) = (now, false);
            }
            Err(failure) if !said => {
                warn!(
                    error = chassis::error::chain(&failure),
                    "certificates have changed and could not be copied"
                );
                said = true;
            }
            Err(_) => {}
        }
    }
}

/// When each original was written.
fn changes(config: &NodeConfig) -> BTreeMap<PathBuf, Option<SystemTime>> {
    let originals = Lent::ALL.into_iter().filter_map(|lent| lent.original(&config.kubelet));
    originals
        .map(|path| (path.to_owned(), fs::metadata(path).and_then(|file| file.modified()).ok()))
        .collect()
}
