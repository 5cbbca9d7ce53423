//! The only process that speaks CRI: sandboxes, containers, images, the pods' cgroups, their logs.
//!
//! The map: [`core`] makes CRI requests of pods' specs and judges commands; [`actors`] own what is
//! known, one per pod; [`deeds`] are what they do to the runtime; [`adapters`] are the world outside,
//! gathered in [`ports`]; [`loops`] are what goes on all the time; `start` is how it begins.

pub mod actors;
pub mod adapters;
pub mod config;
pub mod core;
pub mod deeds;
mod error;
pub mod loops;
pub mod ports;
mod start;

pub use error::Error;

use crate::{
    actors::relay::Relay,
    adapters::log_files::handout::Handout,
    loops::{events::Following, hearing::Facts},
    ports::World,
    start::Begun,
};
use actix::{Actor, Addr};
use chassis::Service;
use messages::{cri_bridge::RuntimePod, pod_lifecycle, status_reporter, volume_mounter};
use tokio::{sync::watch, task::JoinSet};
use tracing::info;

/// Runs the service until it is told to leave.
///
/// # Errors
/// When it cannot do its work here at all.
pub async fn run(service: Service) -> Result<(), Error> {
    // Cancel-safe: what is under way in the runtime is found there by the next life.
    tokio::select! {
        ended = live(&service) => ended,
        () = service.stop.told() => Ok(()),
    }
}

async fn live(service: &Service) -> Result<(), Error> {
    // Tasks end with this set.
    let mut tasks = JoinSet::new();
    let Begun { world, node, following, hardware } = start::begin(service, &mut tasks).await?;
    let bus = &service.bus;
    let relay = Relay::new(world.clone()).start();
    let followed = world.following.clone();
    let facts = Facts::of(&world, hardware);
    let pods = bus.hear::<pod_lifecycle::Pod>().await?;
    let volumes = bus.hear::<volume_mounter::Volumes>().await?;
    let objects = bus.hear::<status_reporter::Node>().await?;
    let logs = handout(service, &world, &relay)?;
    tasks.spawn_local(loops::hearing::node(objects, facts, node.clone()));
    let health = service.health.clone();
    tasks.spawn_local(loops::runtime::tell(world.clone(), node, followed.clone(), health));
    tasks.spawn_local(loops::events::follow(world.clone(), relay.clone(), following));
    adopted(followed).await;
    bus.complete::<RuntimePod>().await;
    tasks.spawn_local(loops::hearing::pods(pods, relay.clone()));
    tasks.spawn_local(loops::hearing::volumes(volumes, relay.clone()));
    tasks.spawn_local(loops::rotation::rotate(world, relay.clone()));
    tasks.spawn_local(logs.serve());
    let _serving = loops::hearing::serve(bus, &relay).await?;
    info!("ready for pods");
    std::future::pending().await
}

fn handout(service: &Service, world: &World, relay: &Addr<Relay>) -> Result<Handout, Error> {
    let path = service.dir.join("logs.sock");
    let pod_logs = world.settings.pod_logs().to_owned();
    Handout::listen(&path, relay.clone(), pod_logs).map_err(|source| Error::LogSocket { path, source })
}

/// Returns once everything that the runtime holds was listed and said.
async fn adopted(mut followed: watch::Receiver<Following>) {
    // Fails only when the task that follows the runtime has ended, with the process.
    let _ = followed.wait_for(|following| following.is_complete).await;
}
