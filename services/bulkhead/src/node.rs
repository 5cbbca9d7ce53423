//! A look at a running node over its bus, for the commands that people call. Reads only, as the
//! catalog allows `bulkhead`; it needs the supervisor's key, and so root.

use anyhow::Context;
use chassis::{Bus, Heard, bus::Access, config::NodeConfig};
use futures::future::join_all;
use messages::{Incarnation, Owner, State, health::Health};
use std::{path::Path, time::Duration};
use tokio::time::{Instant, timeout_at};

/// How long the bus may take to answer, and an owner to have said everything.
const PATIENCE: Duration = Duration::from_secs(2);

/// The settings of a node that was begun at least once.
///
/// # Errors
/// When none was, below this folder.
pub(crate) fn config(root_dir: &Path) -> anyhow::Result<NodeConfig> {
    NodeConfig::read(root_dir)
        .with_context(|| format!("no node was started with --root-dir {}", root_dir.display()))
}

/// Runs `look` with the node's bus.
///
/// # Errors
/// When the bus does not answer, or `look` fails.
pub(crate) fn visit<T>(
    config: &NodeConfig,
    look: impl AsyncFnOnce(&Bus) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let bus = connect(config).await?;
        look(&bus).await
    })
}

async fn connect(config: &NodeConfig) -> anyhow::Result<Bus> {
    let seed = config.dir_of(Owner::Bulkhead).join("bus.seed");
    let access = Access::with_seed(&config.bus.url, &seed)?;
    let bus = Bus::connect(config.node_name.clone(), Owner::Bulkhead, Incarnation(0), Some(access)).await?;
    let deadline = Instant::now() + PATIENCE;
    while !bus.is_connected() {
        anyhow::ensure!(Instant::now() < deadline, "the bus at {} does not answer", config.bus.url);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(bus)
}

/// Everything that an owner says of a state, as far as it has said it by now.
///
/// # Errors
/// When the catalog does not let us hear it.
pub(crate) async fn all<S: State>(bus: &Bus) -> anyhow::Result<Vec<S>> {
    let deadline = Instant::now() + PATIENCE;
    let mut hearing = bus.hear::<S>().await?;
    let mut heard = Vec::new();
    while let Ok(one) = timeout_at(deadline, hearing.next()).await {
        match one {
            Heard::Value { state, .. } => heard.push(state),
            Heard::Gone { key } => heard.retain(|state: &S| state.key() != key),
            Heard::Complete => break,
        }
    }
    Ok(heard)
}

/// What each process last said of its health.
///
/// # Errors
/// When the catalog does not let us hear it.
pub(crate) async fn health(bus: &Bus, owners: &[Owner]) -> anyhow::Result<Vec<Health>> {
    let deadline = Instant::now() + PATIENCE;
    let one = async |owner: Owner| {
        let mut hearing = bus.hear_from::<Health>(owner).await?;
        let heard = timeout_at(deadline, hearing.next()).await;
        anyhow::Ok(match heard {
            Ok(Heard::Value { state, .. }) => Some(state),
            _ => None,
        })
    };
    let heard: anyhow::Result<Vec<Option<Health>>> =
        join_all(owners.iter().map(|owner| one(*owner))).await.into_iter().collect();
    Ok(heard?.into_iter().flatten().collect())
}
