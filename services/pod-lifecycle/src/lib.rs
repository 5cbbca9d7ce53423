//! Decides what each pod of the node should be doing next, and tells what has become of it.
//!
//! Pods come from the API server, from files and from a URL. They are admitted, and each begins a life
//! here: its images, volumes, sandbox and containers are asked for from their owners, its restarts
//! and back-offs decided, its status composed, and its end seen through. This service touches neither
//! the runtime nor a mount; it asks, hears what is, and decides anew.
//!
//! - [`core`]: the rules, without async, clock or IO. [`core::life::Life`] is one pod,
//!   [`core::roster::Roster`] all of them.
//! - `actors`: `node` hears everything and keeps the roster; one `pod` per life steps it and performs
//!   its effects.
//! - [`ports`] and [`adapters`]: where pods come from, and the journal's writer.
//!
//! What is accepted is journaled, with its status and its clocks: with the API server away and every
//! process killed, pods go on being restarted and probed.

mod actors;
pub mod adapters;
mod config;
pub mod core;
mod error;
pub mod ports;

pub use error::Error;

use crate::core::{
    life::Record,
    roster::{Lives, Roster},
};
use actix::{Actor, Addr, AsyncContext};
use actors::{Empty, Hearings, Leave, NodeActor, Parts};
use adapters::{api, apparmor, files, folder::Folder, scribe::Scribe, url};
use chassis::{Journal, Service};
use messages::{Outcome, PodUid, pod_lifecycle::RemovePods};
use ports::News;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// News that may wait for the node's actor.
const DESK: usize = 16;

/// Runs the service until it is told to stop. Pods go on without it.
///
/// # Errors
/// When the bus or the journal cannot be used at all. A bus that is away is waited for.
pub async fn run(service: Service) -> Result<(), Error> {
    service.health.waiting_for("the pods of the journal");
    let records = remembered(&service.journal)?;
    let hearings = Hearings::begin(&service.bus).await.map_err(Error::Hear)?;
    let (desk, news) = mpsc::channel(DESK);
    let scribe = Scribe::begin(service.journal.clone());
    let node = start(&service, records, scribe.clone(), hearings, news)?;
    follow_sources(&service, desk)?;
    let emptying = node.clone();
    let serving = service.bus.serve::<RemovePods, _, _>(move |_| {
        emptying.do_send(Empty);
        std::future::ready(Outcome::Accepted)
    });
    let serving = serving.await.map_err(Error::Serve)?;
    service.stop.told().await;
    drop(serving);
    // Fails only when the actor has gone already.
    let _ = node.send(Leave).await;
    scribe.flush().await;
    Ok(())
}

/// The lives of the journal.
fn remembered(journal: &Journal) -> Result<Vec<(PodUid, Record)>, Error> {
    let mut records = Vec::new();
    for name in journal.names("pods").map_err(Error::Journal)? {
        let uid = name.strip_prefix("pods/").and_then(|uid| uid.parse::<PodUid>().ok());
        let record = journal.load::<Record>(&name).map_err(Error::Journal)?;
        records.extend(uid.zip(record));
    }
    Ok(records)
}

fn start(
    service: &Service,
    records: Vec<(PodUid, Record)>,
    scribe: Scribe<Record>,
    hearings: Hearings,
    news: mpsc::Receiver<News>,
) -> Result<Addr<NodeActor>, Error> {
    let lives: Lives = service.journal.load("lives").map_err(Error::Journal)?.unwrap_or_default();
    let settings = config::roster(&service.config, apparmor::is_enabled());
    let parts = Parts {
        bus: service.bus.clone(),
        events: service.events.clone(),
        health: service.health.clone(),
        scribe,
        lives: Scribe::begin(service.journal.clone()),
        rules: config::rules(service),
        roster: Roster::new(settings, lives, &records),
        records,
    };
    Ok(NodeActor::create(|ctx| {
        hearings.attach(ctx);
        ctx.add_stream(ReceiverStream::new(news));
        NodeActor::new(parts)
    }))
}

/// Begins to follow every source that is configured.
fn follow_sources(service: &Service, desk: ports::Desk) -> Result<(), Error> {
    let (config, node) = (&service.config.kubelet, service.config.node_name.clone());
    if let Some(path) = config.static_pod_path.clone() {
        let folder = Folder::new(path, node.clone());
        actix::spawn(files::follow(folder, config.file_check_frequency.get(), desk.clone()));
    }
    if !config.static_pod_url.is_empty() {
        let headers = service.config.read_url_headers().map_err(Error::Headers)?;
        let source = url::Source { url: config.static_pod_url.clone(), headers, node: node.clone() };
        actix::spawn(url::follow(source, config.http_check_frequency.get(), desk.clone()));
    }
    if let Some(client) = service.api() {
        actix::spawn(api::follow(client, node, desk));
    }
    Ok(())
}
