//! trace-recorder: remembers recent traces, and shows them.
//!
//! Every process of the node sends its spans, by OTLP over gRPC, to a Unix socket here (`adapters/otlp.rs`).
//! One actor (`actor.rs`) keeps the recent ones in a bounded ring ([`core::ring`]) and hands them on to the
//! operator's collector where there is one (`adapters/collector.rs`). Root asks at a second socket
//! (`adapters/query.rs`, [`client`]); a trace is drawn as text ([`waterfall`]) or as a page ([`html`]), or
//! written for programs ([`json`]).
//!
//! Nothing depends on it: when it is away, spans are dropped and pods start all the same. Not for metrics
//! and not for logs. It is untrusted: it has no capabilities, no credentials, and sees no pod's spec.
//!
//! `bulkhead trace` calls [`client::fetch`], [`client::list`] and the three `render`s.

mod actor;
mod adapters;
pub mod client;
pub mod core;
mod error;
pub mod html;
pub mod json;
#[cfg(test)]
mod samples;
pub mod waterfall;
mod wire;

pub use error::{Error, FetchError};

use crate::core::{ring::Limits, sample::Rate};
use actix::Actor as _;
use actor::Recorder;
use adapters::{
    collector::Collector,
    otlp, query,
    socket::{self, Peers},
};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// Records until told to stop.
///
/// # Errors
/// When a socket cannot be made or the configured collector's endpoint is not usable.
pub async fn run(service: chassis::Service) -> Result<(), Error> {
    open_to_others(&service.dir)?;
    let spans = socket::listen(&service.dir.join(wire::OTLP_SOCKET), Peers::Ours)?;
    let questions = socket::listen(&service.dir.join(wire::QUERY_SOCKET), Peers::Root)?;
    let recorder = Recorder::new(Limits::default(), collector(&service)?).start();
    service.health.ready();
    // Each may be dropped at any await: what was recorded is in the ring, and the ring goes with the process.
    tokio::select! {
        ended = otlp::serve(spans, recorder.clone()) => ended,
        () = query::serve(questions, recorder) => Ok(()),
        () = service.stop.told() => Ok(()),
    }
}

fn collector(service: &chassis::Service) -> Result<Option<(Collector, Rate)>, Error> {
    let Some(endpoint) = &service.config.otlp_endpoint else { return Ok(None) };
    let tracing = service.config.kubelet.tracing.as_ref();
    let rate = Rate::new(tracing.and_then(|tracing| tracing.sampling_rate_per_million));
    Ok(Some((Collector::start(endpoint)?, rate)))
}

/// Lets the other processes' users reach the socket in the folder, without letting them look around in it.
fn open_to_others(dir: &Path) -> Result<(), Error> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o711))
        .map_err(|source| Error::Folder { path: dir.to_owned(), source })
}
