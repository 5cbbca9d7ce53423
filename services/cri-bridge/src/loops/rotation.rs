//! Rotating the logs of running containers that have grown too large.

use crate::{
    actors::relay::{Relay, RunningLogs},
    adapters::log_files,
    config::LogRotation,
    ports::World,
};
use actix::Addr;
use chassis::{clock, error};
use jiff::{Timestamp, tz::TimeZone};
use std::{path::PathBuf, rc::Rc};
use tokio::{task::spawn_blocking, time::sleep};
use tracing::warn;

/// Rotates logs for ever, one after the other.
pub async fn rotate(world: Rc<World>, relay: Addr<Relay>) {
    let LogRotation { max_size, max_files, every } = world.settings.log_rotation.clone();
    let Some(max_size) = max_size else { return };
    loop {
        sleep(every).await;
        let logs = relay.send(RunningLogs).await.unwrap_or_default();
        for (container_id, path) in logs {
            if let Err(why) = look_at(&world, &container_id, path.clone(), (max_size, max_files)).await {
                warn!(log = %path.display(), why, "a log is not rotated");
            }
        }
    }
}

async fn look_at(world: &World, id: &str, log: PathBuf, limits: (u64, usize)) -> Result<(), String> {
    let (max_size, max_files) = limits;
    let size = std::fs::metadata(&log).map(|metadata| metadata.len());
    match size {
        // Somebody removed it: the runtime makes it anew.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return reopen(world, id).await,
        Err(error) => return Err(error.to_string()),
        Ok(size) if size < max_size => return Ok(()),
        Ok(_) => {}
    }
    let (path, time) = (log.clone(), timestamp());
    let moved = spawn_blocking(move || log_files::rotate(&path, max_files, &time));
    let moved = moved.await.expect("rotating a log does not panic").map_err(|bad| error::chain(&bad))?;
    if let Err(why) = reopen(world, id).await {
        // It is tried again next time, with the log under its own name.
        log_files::put_back(&moved, &log).map_err(|bad| format!("{why}; {}", error::chain(&bad)))?;
        return Err(why);
    }
    Ok(())
}

async fn reopen(world: &World, id: &str) -> Result<(), String> {
    world.runtime.reopen_log(id).await.map_err(|error| error.shown())
}

/// The local time as log files carry it: `20260131-235959`.
fn timestamp() -> String {
    let now = Timestamp::from_nanosecond(clock::now_unix().into()).unwrap_or_default();
    now.to_zoned(TimeZone::system()).strftime("%Y%m%d-%H%M%S").to_string()
}
