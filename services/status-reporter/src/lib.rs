//! The only process that writes what the API server knows of this node and its pods: the node object, its
//! lease, pods' statuses, mirror pods, the deletion of pods that have ended, and events.
//!
//! It decides nothing about pods. pod-lifecycle composes each status; here it is merged with what others
//! write, put in order, sent at once, and sent again until the API server has it:
//!
//! ```text
//!   pod-lifecycle.state.status ─► Pods ─► Pod (one each) ──┐
//!   machine, runtime, health ───► Node ─► Lease            ├─► api-gate ─► API server
//!   cmd.record-event ───────────► Events ──────────────────┘
//! ```
//!
//! `core` holds the rules: `core::node` the node object and its conditions, `core::pod` one pod's next
//! deed, `core::pods` whose an object is, `core::turns` who writes first, `core::events` counting and
//! limiting. `actors` own them and do what they return; `adapters` are the API server and the machine.
//!
//! Standalone nobody is written to: the node is said as it would be registered, events go to the log, and
//! starts of pods are told of in the trace all the same.

mod actors;
mod adapters;
mod core;
mod error;
mod ports;

use crate::{
    actors::{
        ApiIsBack, NodeUid, ears,
        events::{Events, Record},
        lease::Lease,
        node::{self, Node},
        pods::{self, Pods},
    },
    adapters::{addresses::Machine, api_server::ApiServer},
    core::{events::Recorder, lease::Renewal, node::Reporter, time::Now},
    ports::Api,
};
use actix::{Actor, Addr};
use chassis::{Asked, Service, Serving, clock};
use messages::status_reporter::{RecordEvent, RecordEventReply};
use std::rc::Rc;

pub use error::Error;

/// Reports until told to stop.
///
/// # Errors
/// When it cannot take its place on the bus, or read what it remembers.
pub async fn run(service: Service) -> Result<(), Error> {
    let api = service
        .api()
        .map(|client| -> Rc<dyn Api> { Rc::new(ApiServer::new(client, service.config.node_name.clone())) });
    let events = Events::new(recorder(&service), api.clone()).start();
    let starts = service.journal.load(pods::STARTS)?.unwrap_or_default();
    let pods = Pods::new(service.clone(), api.clone(), starts).start();
    let node = begin_node(&service, api, &events, &pods)?;
    ears::of_node(&service.bus, &node).await?;
    ears::of_pods(&service.bus, &pods).await?;
    let _serving = serve_events(&service, events).await?;
    service.stop.told().await;
    Ok(())
}

fn begin_node(
    service: &Service,
    api: Option<Rc<dyn Api>>,
    events: &Addr<Events>,
    pods: &Addr<Pods>,
) -> Result<Addr<Node>, Error> {
    let config = &service.config;
    let lease = api.clone().map(|api| {
        let renewal = Renewal::new(config.node_name.clone(), config.kubelet.node_lease_duration_seconds);
        Lease::new(renewal, api).start()
    });
    let mut of_uid = vec![pods.clone().recipient::<NodeUid>()];
    of_uid.extend(lease.clone().map(Addr::recipient));
    let mut of_return = vec![pods.clone().recipient::<ApiIsBack>(), events.clone().recipient()];
    of_return.extend(lease.map(Addr::recipient));
    let remembered = if api.is_some() { service.journal.load(node::REMEMBERED)? } else { None };
    Ok(Node::new(node::Parts {
        service: service.clone(),
        reporter: Reporter::new(config.clone(), remembered, now()),
        api,
        addresses: Rc::new(Machine::new(config.clone())),
        events: events.clone(),
        of_uid,
        of_return,
    })
    .start())
}

/// Takes everybody's events, our own library's among them.
async fn serve_events(service: &Service, events: Addr<Events>) -> Result<Serving, Error> {
    let (ours, to) = (service.events.clone(), events.clone());
    actix::spawn(async move {
        loop {
            to.do_send(Record(ours.next().await));
        }
    });
    let serving = service.bus.serve(move |asked: Asked<RecordEvent>| {
        let taking = events.send(Record(asked.command));
        async move { taking.await.unwrap_or_else(|_| unavailable()) }
    });
    Ok(serving.await?)
}

/// The actor has ended, with the process.
fn unavailable() -> RecordEventReply {
    RecordEventReply::Refused { refusal: messages::Refusal::Unavailable }
}

fn recorder(service: &Service) -> Recorder {
    let kubelet = &service.config.kubelet;
    Recorder::new(service.config.node_name.clone(), (kubelet.event_record_qps, kubelet.event_burst), now())
}

fn now() -> Now {
    Now { boot: clock::now_boot(), unix: clock::now_unix(), dice: rand::random() }
}
