//! Mounts: makes, fills, keeps fresh and takes away the pods' volumes, and with them the pods' folders.
//!
//! pod-lifecycle says which pods there are and asks for their volumes; cri-bridge takes mount sources
//! from what is said here. Nobody else mounts, and nobody else writes below `pods/<uid>/volumes`.
//!
//! - [`core`]: the rules, without async, clock or IO; [`core::progress`] is a pod's state machine.
//! - `actors`: `pods` hears and routes, a `pod` actor per pod, `watches` follows objects.
//! - `make` and `gather`: one volume, from its sources to its files.
//! - [`ports`] and [`adapters`]: the kernel, the file system, the API server.
//! - [`worker`]: the short-lived process that does what may hang.

mod actors;
pub mod adapters;
pub mod core;
mod error;
mod gather;
mod make;
pub mod ports;
pub mod worker;

pub use error::Error;

use actix::Actor;
use adapters::{api::Api, shared::Shared, workers::Workers};
use chassis::Service;
use messages::volume_mounter::InUse;
use ports::{Mounter, Objects, Tools};
use std::rc::Rc;
use tokio::sync::watch;

/// Runs the service until it is told to stop. A mount in hand is a process of its own, and ends by
/// itself.
///
/// # Errors
/// When the bus can't be used at all. A bus that is away is waited for.
pub async fn run(service: Service) -> Result<(), Error> {
    let objects = Shared::new(Rc::new(Api::new(service.api())));
    run_with(service, Rc::new(Workers::new()), Rc::new(objects)).await
}

/// Runs the service with another outside world.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    service: Service,
    mounter: Rc<dyn Mounter>,
    objects: Rc<dyn Objects>,
) -> Result<(), Error> {
    let (bus, stop) = (service.bus.clone(), service.stop.clone());
    service.health.waiting_for("the list of pods");
    let (allocatable, known) = watch::channel(None);
    let tools = Tools { mounter, objects, allocatable: known };
    let hearings = (bus.hear().await.map_err(Error::Hear)?, bus.hear().await.map_err(Error::Hear)?);
    let pods = actors::Pods::new(service, tools, allocatable, hearings).start();
    pods.do_send(actors::Restore);
    let serving = actors::serve(&bus, &pods).await.map_err(Error::Serve)?;
    bus.say(&InUse::default()).await;
    bus.complete::<InUse>().await;
    stop.told().await;
    drop(serving);
    Ok(())
}
