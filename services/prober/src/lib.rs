//! Decides whether containers are well: started, live, ready.
//!
//! pod-lifecycle tells which probes there are ([`messages::pod_lifecycle::Probes`]); this service
//! carries them out and says what their thresholds settle on ([`messages::prober::Verdict`]). It knows no
//! pod spec, has no credentials and restarts nothing: acting on a verdict is pod-lifecycle's.
//!
//! - [`core`]: the rules, without async, clock or IO.
//! - `actors`: `pods` hears, remembers and says; one `worker` per container and probe keeps time.
//! - [`adapters`]: http, tcp and grpc from here, exec through cri-bridge; [`ports`] is what the
//!   actors see of them.

mod actors;
pub mod adapters;
pub mod core;
mod error;
pub mod ports;

pub use error::Error;

use actix::Actor;
use chassis::Service;
use std::rc::Rc;

/// Runs the service until it is told to stop. Probes in flight are dropped: they change nothing.
///
/// # Errors
/// When the bus can't be heard at all. A bus that is away is waited for.
pub async fn run(service: Service) -> Result<(), Error> {
    let target = Rc::new(adapters::Outside::new(service.bus.clone()));
    let stop = service.stop.clone();
    let ledger = actors::remember(&service).await;
    service.health.waiting_for("the list of pods to probe");
    let hearing = service.bus.hear().await.map_err(Error::Hear)?;
    actors::Pods::new(service, target, ledger, hearing).start();
    stop.told().await;
    Ok(())
}
