//! The only process that holds the node's credentials, and the one way to the API server for all others.
//!
//! The Node authorizer knows one identity, so giving each process a key of its own would be for show.
//! Instead each process has a Unix socket here, at which the kernel tells who calls, and may ask what its
//! column of `messages::catalog::API_RULES` says:
//!
//! ```text
//!   cri-bridge.sock ─────► Peer ─┐
//!   status-reporter.sock ► Peer ─┼─► Line ── HTTP/2, TLS ──► API server
//!   node-api.sock ───────► Peer ─┘    credentials, budget, back-off
//! ```
//!
//! `core` holds the rules (what a request asks, who may, in which order, whether anybody is there),
//! `actors` the two kinds of actors, `adapters` sockets, files and TLS. Nothing here understands an object
//! that passes, and nothing is kept of it.
//!
//! Not here: what peers do with answers, their watches' caches, and retries of 403 and 404 for a freshly
//! bound pod. Standalone there is no API server: nothing is served.

mod actors;
mod adapters;
mod core;
mod error;
mod ports;

use crate::{
    actors::{
        line::{Line, Parts},
        peer::Peer,
    },
    adapters::{api_server::ApiServer, kubeconfig::KubeconfigFile, socket},
    core::{budget::Budget, rules},
    ports::{BoxError, Connect, Credentials, Keys, Upstream},
};
use actix::{Actor, Addr};
use chassis::{api, clock, config::NodeConfig};
use messages::catalog::API_RULES;
use std::{path::Path, rc::Rc};
use tracing::info;

pub use error::Error;

/// Serves the peers until told to stop.
///
/// # Errors
/// When the credentials cannot be used, or a socket cannot be made.
pub async fn run(service: chassis::Service) -> Result<(), Error> {
    let _gate = match &service.config.kubeconfig {
        Some(kubeconfig) => Some(open(&service, kubeconfig)?),
        None => {
            info!("standalone: there is no API server to ask");
            service.health.ready();
            None
        }
    };
    service.stop.told().await;
    Ok(())
}

fn open(service: &chassis::Service, kubeconfig: &Path) -> Result<Vec<Addr<Peer>>, Error> {
    let line = line(service, kubeconfig)?.start();
    socket::open_folder(&service.dir)?;
    let peers = rules::peers(API_RULES).into_iter().map(|owner| {
        let listener = socket::listen(&api::socket(&service.config, owner))?;
        Ok(Peer::new(owner, API_RULES, line.clone().recipient(), listener).start())
    });
    peers.collect()
}

fn line(service: &chassis::Service, kubeconfig: &Path) -> Result<Line, Error> {
    // Another provider may be linked in too; then rustls wants to be told which.
    let _already_told = rustls::crypto::ring::default_provider().install_default();
    let mut keys = KubeconfigFile::new(kubeconfig);
    let credentials = keys.read().map_err(Error::Credentials)?;
    info!(server = %credentials.server, "the API server");
    let upstream = Rc::new(ApiServer::new(credentials).map_err(Error::Credentials)?);
    Ok(Line::new(Parts {
        keys: Box::new(keys),
        connect: connect(),
        upstream,
        budget: budget(&service.config),
        health: service.health.clone(),
    }))
}

fn connect() -> Connect {
    Box::new(|credentials: Credentials| -> Result<Rc<dyn Upstream>, BoxError> {
        Ok(Rc::new(ApiServer::new(credentials)?))
    })
}

fn budget(config: &NodeConfig) -> Budget {
    let kubelet = &config.kubelet;
    let requests = (kubelet.kube_api_qps, kubelet.kube_api_burst);
    let events = (kubelet.event_record_qps, kubelet.event_burst);
    Budget::new(requests, events, clock::now_boot())
}
