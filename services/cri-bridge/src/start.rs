//! How cri-bridge begins: it waits for the runtime, makes sure that nobody else runs pods there, and
//! makes the cgroups above the pods'.

use crate::{
    Error,
    actors::gate::Gate,
    adapters::{
        api_server::ApiServer,
        cgroupfs::{CgroupError, Files, Tree},
        cgroups::Cgroups,
        containerd::{Containerd, RuntimeError},
        machine::Hardware,
        pod_files::Claims,
    },
    config::{self, Settings},
    core::{cgroup::Sizes, labels::PodIdentity, names, node::Node, qos::QosClass, turnstile},
    loops::{self, events::Following, machine::Told},
    ports::World,
};
use actix::Actor;
use chassis::{Service, clock, error};
use messages::{
    cri_bridge::Runtime,
    status_reporter::{About, RecordEvent, Severity},
};
use proto::runtime::v1 as cri;
use std::{
    collections::BTreeMap, fs, num::NonZero, rc::Rc, sync::Arc, thread::available_parallelism, time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::sleep,
};

/// Pauses between tries to reach the runtime, from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(500));

/// What the service works with from now on.
pub(crate) struct Begun {
    /// The world.
    pub(crate) world: Rc<World>,
    /// Sets the node's facts.
    pub(crate) node: watch::Sender<Arc<Node>>,
    /// Sets how the runtime is followed.
    pub(crate) following: watch::Sender<Following>,
    /// The machine.
    pub(crate) hardware: Hardware,
}

/// Begins. Tells of the machine at once, and of the runtime's absence while it lasts.
pub(crate) async fn begin(service: &Service, tasks: &mut JoinSet<()>) -> Result<Begun, Error> {
    let settings = Settings::of(&service.config)?;
    let hardware = Hardware::read();
    let tree = Tree::of(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default());
    let runtime = Containerd::at(&settings.runtime_socket, &settings.image_socket, settings.patience);
    tasks.spawn_local(loops::machine::tell(Told {
        bus: service.bus.clone(),
        runtime: runtime.clone(),
        settings: settings.clone(),
        hardware: hardware.clone(),
        hierarchy: tree.hierarchy(),
    }));
    let claims = Claims::in_folder(service.dir.join("pods")).map_err(Error::Claims)?;
    let (driver, sandboxes) = meet(service, &runtime, &settings).await;
    refuse_others(&sandboxes, &claims, settings.takeover)?;
    let cgroups = Cgroups::new(Files::new(tree, settings.layout(driver)));
    set_up(service, &cgroups, &settings, &hardware).await?;
    let hierarchy = cgroups.hierarchy();
    let layout = cgroups.layout().clone();
    let (node, known) = watch::channel(Arc::new(settings.node(&hardware, hierarchy, layout, None)));
    let (following, followed) = watch::channel(Following::default());
    let (sayings, said) = mpsc::unbounded_channel();
    tasks.spawn_local(loops::saying::say(service.bus.clone(), said));
    let at_once = turnstile::at_once(available_parallelism().map_or(1, NonZero::get));
    let world = World {
        sayings,
        runtime,
        api: ApiServer::new(service.api()),
        cgroups,
        bus: service.bus.clone(),
        events: service.events.clone(),
        claims,
        links: names::LINKS.into(),
        starts: Gate::new(at_once).with_patience(turnstile::PATIENCE).start(),
        // An end waits more and works less.
        ends: Gate::new(2 * at_once).with_patience(turnstile::PATIENCE).start(),
        pulls: Gate::new(settings.pulls_at_once).with_rate(settings.pull_rate).start(),
        settings,
        node: known,
        following: followed,
    };
    Ok(Begun { world: Rc::new(world), node, following, hardware })
}

/// Waits for the runtime; tells its cgroup driver and the sandboxes that it holds.
async fn meet(
    service: &Service,
    runtime: &Containerd,
    settings: &Settings,
) -> (Option<cri::CgroupDriver>, Vec<cri::PodSandbox>) {
    service.health.waiting_for("the runtime");
    let driver = settings.layout(None).driver;
    let mut told: Option<Runtime> = None;
    let mut pause = PAUSES.0;
    loop {
        let away = match look(runtime).await {
            Ok(met) => return met,
            Err(away) => loops::runtime::away(driver, error::chain(&away)),
        };
        if told.as_ref() != Some(&away) {
            service.bus.say(&away).await;
            told = Some(away);
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

async fn look(
    runtime: &Containerd,
) -> Result<(Option<cri::CgroupDriver>, Vec<cri::PodSandbox>), RuntimeError> {
    runtime.version().await?;
    futures::try_join!(runtime.cgroup_driver(), runtime.list_sandboxes(None))
}

/// CRI has one name space for everybody: of two owners of pods each would stop the other's. Only running
/// ones count; what a reboot left behind is nobody's.
fn refuse_others(sandboxes: &[cri::PodSandbox], claims: &Claims, takeover: bool) -> Result<(), Error> {
    let running = sandboxes.iter().filter(|it| it.state() == cri::PodSandboxState::SandboxReady);
    let others: Vec<PodIdentity> = running
        .filter_map(|sandbox| PodIdentity::of(&sandbox.labels))
        .filter(|pod| !claims.holds(&pod.uid))
        .collect();
    match others.first() {
        Some(pod) if !takeover => {
            let example = format!("{}/{}", pod.namespace, pod.name);
            Err(Error::OthersPods { count: others.len(), example })
        }
        // From now on they are ours, in later lives too.
        _ => others.iter().try_for_each(|pod| claims.claim(&pod.uid)).map_err(Error::Claims),
    }
}

/// Makes the cgroups above the pods' and sizes them. A size that the kernel refuses (there is more in use
/// already) is told of; pods run without it.
async fn set_up(
    service: &Service,
    cgroups: &Cgroups,
    settings: &Settings,
    hardware: &Hardware,
) -> Result<(), Error> {
    let layout = cgroups.layout();
    if !layout.per_qos {
        return Ok(());
    }
    cgroups.check_root()?;
    let none = BTreeMap::new();
    let reserved = settings.reserved.as_ref().unwrap_or(&none);
    let pages: Vec<u64> = hardware.hugepages.keys().copied().collect();
    let all = Sizes::of_all_pods(&config::capacity(hardware), reserved, &pages);
    match cgroups.ensure(layout.pods(), all).await {
        Ok(()) => tell(
            service,
            Severity::Normal,
            "NodeAllocatableEnforced",
            "Updated Node Allocatable limit across pods",
        ),
        Err(refused @ CgroupError::Write { .. }) => {
            let path = layout.pods().path(layout.driver);
            let message =
                format!("Failed to update Node Allocatable Limits {path:?}: {}", error::chain(&refused));
            tell(service, Severity::Warning, "FailedNodeAllocatableEnforcement", &message);
        }
        Err(fatal) => return Err(fatal.into()),
    }
    for class in [QosClass::Burstable, QosClass::BestEffort] {
        cgroups.ensure(layout.class(class), Sizes::of_class(class, 0, &pages)).await?;
    }
    Ok(())
}

fn tell(service: &Service, severity: Severity, reason: &str, message: &str) {
    service.events.record(RecordEvent {
        about: About::Node,
        severity,
        reason: reason.to_owned(),
        message: message.to_owned(),
        at: clock::now_unix(),
    });
}
