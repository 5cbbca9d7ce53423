//! The process that writes packet rules: kube-proxy's job, by nf_tables.
//!
//! ```text
//! API server ─► api-gate ─► services, slices, node, ranges ─► Programmer ─► kernel (nf_tables)
//!                                                              Model, Programme, Conduct
//! ```
//!
//! [`mod@core`] holds the rules and has a map of them; `actors` the one actor that owns what is known and what is programmed; [`adapters`]
//! are the API server and the kernel; [`settings`] what it is told beside objects.

mod actors;
pub mod adapters;
pub mod core;
mod ports;
pub mod settings;

use crate::{
    actors::programmer::{Programmer, Saw},
    adapters::{NfTables, api_server},
    ports::Told,
    settings::{Mode, Settings},
};
use actix::{Actor, Addr};
use chassis::Service;
use futures::{Stream, StreamExt};
use kube::Client;
use messages::{proxy_programmer::Table, status_reporter::RecordEvent};
use std::{convert::Infallible, pin::pin, rc::Rc};
use tracing::info;

/// Programs services, as the node's configuration says, until told to stop. The rules stay.
pub async fn run(service: Service) -> Result<(), Infallible> {
    let settings = Settings::of_node(&service.config);
    run_with(service, settings).await
}

/// The same with these settings.
pub async fn run_with(service: Service, settings: Settings) -> Result<(), Infallible> {
    let client = service.api().filter(|_| settings.mode == Mode::Nftables);
    match client {
        Some(client) => begin(&service, client, settings),
        None => rest(&service, settings.mode).await,
    }
    service.stop.told().await;
    Ok(())
}

/// Says that nothing is programmed.
async fn rest(service: &Service, mode: Mode) {
    let why = match mode {
        Mode::None => "services are somebody else's to program",
        Mode::Nftables => "without an API server there are no services",
    };
    info!(why, "nothing is programmed");
    service.bus.say(&Table { mode: String::new(), service_ports: 0, endpoints: 0, committed_at: 0 }).await;
    service.health.ready();
}

fn begin(service: &Service, client: Client, settings: Settings) {
    let name = &service.config.node_name;
    let told = Rc::new(Teller(service.clone()));
    let kernel = Box::new(NfTables::default());
    let programmer = Programmer::new(settings, name.as_str(), kernel, told).start();
    actix::spawn(hand_on(api_server::services(client.clone()), programmer.clone()));
    actix::spawn(hand_on(api_server::slices(client.clone()), programmer.clone()));
    actix::spawn(hand_on(api_server::node(client.clone(), name), programmer.clone()));
    actix::spawn(hand_on(api_server::ranges(client), programmer));
}

/// One by one, so that no more is read than is taken.
async fn hand_on(sights: impl Stream<Item = api_server::Sight>, programmer: Addr<Programmer>) {
    let mut sights = pin!(sights);
    while let Some(sight) = sights.next().await {
        if programmer.send(Saw(sight)).await.is_err() {
            return;
        }
    }
}

/// The rest of the node.
struct Teller(Service);

impl Told for Teller {
    fn table(&self, table: Table) {
        let bus = self.0.bus.clone();
        actix::spawn(async move { bus.say(&table).await });
    }

    fn event(&self, event: RecordEvent) {
        self.0.events.record(event);
    }

    fn health(&self, waiting_for: Vec<String>) {
        self.0.health.waiting_for_all(waiting_for);
    }
}
