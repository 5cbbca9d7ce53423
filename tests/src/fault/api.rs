//! A stand-in for the API server that passes everything on to the real one, except what a scenario wants refused or
//! broken. The node reaches it by a kubeconfig of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use http::{Method, StatusCode};

use super::Background;
use super::relay::{Relay, serve};
use super::wire::Wire;
use crate::control_plane::ControlPlane;
use crate::netns::Netns;

/// Where the node finds it, in the node's own namespace.
const NEAR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6443);
/// Where it stands, behind the wire.
const FAR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6444);

/// What a request asks for.
pub struct Asked<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, without the query.
    pub path: &'a str,
    /// It is a watch.
    pub watch: bool,
}

type Predicate = Box<dyn Fn(&Asked<'_>) -> bool + Send>;

/// What is not passed on as it is.
#[derive(Default)]
struct Orders {
    refusals: Vec<(Predicate, StatusCode)>,
    delays: Vec<(Predicate, Duration)>,
    late_answers: Vec<(Predicate, Duration)>,
    break_watches: bool,
}

/// The orders of a scenario, shared with the relay that carries them out.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Orders>>);

impl Shared {
    /// With what a request is refused, if it is.
    pub(super) fn refusal(&self, asked: &Asked<'_>) -> Option<StatusCode> {
        self.get().refusals.iter().find(|(which, _)| which(asked)).map(|(_, status)| *status)
    }

    /// By how much a request is held up.
    pub(super) fn delay(&self, asked: &Asked<'_>) -> Duration {
        self.get().delays.iter().filter(|(which, _)| which(asked)).map(|(_, time)| *time).sum()
    }

    /// By how much the answer to a request is held back.
    pub(super) fn answer_delay(&self, asked: &Asked<'_>) -> Duration {
        self.get().late_answers.iter().filter(|(which, _)| which(asked)).map(|(_, time)| *time).sum()
    }

    /// Whether watches break.
    pub(super) fn break_watches(&self) -> bool {
        self.get().break_watches
    }

    fn get(&self) -> MutexGuard<'_, Orders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stand-in. Dropped, it is gone, as an API server that was stopped.
pub struct ApiServer {
    kubeconfig: PathBuf,
    orders: Shared,
    wire: Wire,
    _server: Background,
}

impl ApiServer {
    /// A stand-in for the node called `name`, in the node's namespace.
    pub fn before(plane: &ControlPlane, netns: &Netns, name: &str) -> Result<Self> {
        let authority = plane.authority();
        let file = format!("{name}-by-wire");
        let identity = authority.client(&file, &format!("system:node:{name}"), &["system:nodes"])?;
        let kubeconfig = authority.kubeconfig(&file, &format!("https://{NEAR}"), &identity)?;
        let serving = authority.server(&format!("{file}-serving"), &[], &[&NEAR.ip().to_string()])?;
        let orders = Shared::default();
        let relay = Relay::new(&plane.node_kubeconfig(name)?, &serving, orders.clone())?;
        let server = Background::start(move || serve(FAR, relay), |work| netns.spawn(work));
        Ok(Self { kubeconfig, orders, wire: Wire::tcp(netns, NEAR, FAR), _server: server })
    }

    /// The file by which the node reaches it.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Refuses what `which` holds for with this status, in place of passing it on.
    pub fn answer(&self, which: impl Fn(&Asked<'_>) -> bool + Send + 'static, status: StatusCode) {
        self.orders.get().refusals.push((Box::new(which), status));
    }

    /// Passes what `which` holds for on later by `time`.
    pub fn hold_up(&self, which: impl Fn(&Asked<'_>) -> bool + Send + 'static, time: Duration) {
        self.orders.get().delays.push((Box::new(which), time));
    }

    /// Passes what `which` holds for on at once, and its answer back later by `time`.
    pub fn hold_back(&self, which: impl Fn(&Asked<'_>) -> bool + Send + 'static, time: Duration) {
        self.orders.get().late_answers.push((Box::new(which), time));
    }

    /// Breaks each watch off in the middle of the next event that it carries.
    pub fn break_watches(&self) {
        self.orders.get().break_watches = true;
    }

    /// Behaves as the real one does.
    pub fn pass(&self) {
        *self.orders.get() = Orders::default();
        self.wire.pass();
    }

    /// Lets requests arrive later by `time`.
    pub fn delay(&self, time: Duration) {
        self.wire.delay(time);
    }

    /// Accepts everything and answers nothing.
    pub fn stall(&self) {
        self.wire.stall();
    }

    /// Is away: connections end and are refused.
    pub fn cut(&self) {
        self.wire.cut();
    }
}
