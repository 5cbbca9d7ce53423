//! node-api: serves the kubelet's ports.
//!
//! 10250 (HTTPS) for whoever is known and allowed, 10248 for `/healthz`, 10255 where it is configured (`http.rs`). What it
//! tells, it has heard from the others (`actors/directory.rs`). Who a caller is and whether he may, the API server
//! says (`actors/gate.rs`), through api-gate. Exec, attach and port-forward are handed through to the runtime's
//! streaming server (`adapters/tunnel.rs`), which cri-bridge has prepare them; logs are read from descriptors that
//! cri-bridge opens (`adapters/log_file.rs`).
//!
//! It decides nothing about pods and speaks no CRI. It runs as a user of its own: wholly taken over, it can
//! exec for whom the API server allows it, and nothing more.

mod actors;
mod adapters;
mod core;
mod error;
mod http;
mod ports;
#[cfg(test)]
mod samples;

pub use adapters::certificates::{HandedOver, handed_over};
pub use error::Error;

use crate::http::{Node, Port};
use actix::Actor as _;
use actors::{
    directory::{DirectoryActor, hear_all},
    gate::{Gate, Rules},
};
use adapters::{
    certificates,
    client_ca::ClientCa,
    listener::{self, Tls},
    log_socket::LogSocket,
    reviews::ApiReviews,
};
use chassis::{Service, clock, config::NodeConfig};
use messages::Owner;
use std::{
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
    sync::Arc,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tracing::{info, warn};

/// Exec sessions, attachments and port-forwards at once; each holds some 100 KiB.
const STREAMS: usize = 256;

/// Serves the ports until told to stop.
///
/// # Errors
/// When a port cannot be had, or the TLS settings are not usable.
pub async fn run(service: Service) -> Result<(), Error> {
    let config = &service.config.kubelet;
    let directory = DirectoryActor::default().start();
    hear_all(&service.bus, &directory).await.map_err(Error::Bus)?;
    let node = node(&service, directory);
    if config.healthz_port != 0 {
        let listener = listener::listen(config.healthz_bind_address, config.healthz_port)?;
        actix::spawn(listener::serve_plain(listener, http::healthz(node.at(Port::Healthz))));
    }
    if config.enable_server {
        let listener = secure_listener(&service.config)?;
        actix::spawn(listener::serve_tls(listener, tls(&service.config)?, http::secure(node.clone())));
    }
    if config.read_only_port != 0 {
        let listener = listener::listen(config.address, config.read_only_port)?;
        actix::spawn(listener::serve_plain(listener, http::read_only(node.at(Port::ReadOnly))));
    }
    service.health.ready();
    service.stop.told().await;
    Ok(())
}

fn node(service: &Service, directory: actix::Addr<DirectoryActor>) -> Node {
    let reviews = service.api().map(|client| ApiReviews::new(client, service.config.node_name.clone()));
    let reviews = reviews.map(|reviews| Rc::new(reviews) as Rc<dyn ports::Reviews>);
    Node {
        port: Port::Secure,
        config: service.config.clone(),
        incarnation: service.incarnation,
        since: clock::now_boot(),
        directory,
        gate: Gate::new(Rules::of(&service.config), reviews).start(),
        bus: service.bus.clone(),
        logs: Arc::new(LogSocket(service.config.dir_of(Owner::CriBridge).join("logs.sock"))),
        streams: Arc::new(Semaphore::new(STREAMS)),
    }
}

/// Where 10250 listens: a standalone node is for its own machine.
fn secure_listener(config: &NodeConfig) -> Result<TcpListener, Error> {
    let kubelet = &config.kubelet;
    let standalone = config.is_standalone();
    let address = if standalone { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { kubelet.address };
    let listener = listener::listen(address, kubelet.port)?;
    info!(%address, port = kubelet.port, standalone, "serving");
    Ok(listener)
}

fn tls(config: &NodeConfig) -> Result<Tls, Error> {
    let (kubelet, now) = (&config.kubelet, clock::now_unix());
    let (suites, curves) = (&kubelet.tls_cipher_suites, &kubelet.tls_curve_preferences);
    let terms = core::tls::terms(&kubelet.tls_min_version, suites, curves).map_err(Error::Terms)?;
    if !terms.unknown.is_empty() {
        warn!(unknown = ?terms.unknown, "some TLS settings are not supported here and are left out");
    }
    let provider = Arc::new(terms.provider.clone());
    let client_ca = match &kubelet.authentication.x509.client_ca_file {
        Some(path) => Some(ClientCa::read(&certificates::readable(config, path), provider)?),
        None if config.is_standalone() => {
            Some(ClientCa::read(&certificates::standalone_client(config, now)?, provider)?)
        }
        None => None,
    };
    Tls::new(terms, certificates::serving(config, now)?, client_ca)
}
