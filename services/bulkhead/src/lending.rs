//! Files of root's that a process without rights needs: copies in its folder, made again whenever
//! the originals change.
//!
//! node-api serves with a certificate whose key is root's. It must not be able to read other files of
//! root's, so that the supervisor copies the ones it names ([`node_api::handed_over`]), unread.

use crate::files::{self, NotWritten, Readable};
use chassis::{config::NodeConfig, identity};
use messages::Owner;
use node_api::{HandedOver, handed_over};
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

/// Copies everything that is handed over.
///
/// # Errors
/// When an original cannot be read, or a copy not be written.
pub(crate) fn lend_all(config: &NodeConfig) -> Result<(), NotWritten> {
    handed_over(config).iter().try_for_each(lend)
}

fn lend(file: &HandedOver) -> Result<(), NotWritten> {
    let bytes = fs::read(&file.from).map_err(|source| NotWritten::copying(&file.from, source))?;
    files::write(&file.to, &bytes, Readable::By(identity::of(Owner::NodeApi)))
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
                let error = chassis::error::chain(&failure);
                warn!(error, "certificates have changed and could not be copied");
                said = true;
            }
            Err(_) => {}
        }
    }
}

/// When each original was written.
fn changes(config: &NodeConfig) -> BTreeMap<PathBuf, Option<SystemTime>> {
    let originals = handed_over(config).into_iter().map(|file| file.from);
    originals
        .map(|path| {
            let written = fs::metadata(&path).and_then(|file| file.modified()).ok();
            (path, written)
        })
        .collect()
}
