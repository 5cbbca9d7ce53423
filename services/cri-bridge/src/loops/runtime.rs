//! Telling of the runtime: whether it answers, what it is, what it can do.

use super::events::Following;
use crate::{
    core::{cgroup::Driver, node::Node},
    ports::World,
};
use chassis::{HealthHandle, error};
use messages::cri_bridge::{Condition, Runtime, RuntimeHandler};
use proto::runtime::v1 as cri;
use std::{collections::BTreeSet, rc::Rc, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// How often the runtime is asked, and how long its answer is waited for: as the kubelet does.
const EVERY: Duration = Duration::from_secs(5);
/// How often it is asked while it does not answer.
const WHILE_AWAY: Duration = Duration::from_millis(500);

/// Tells of the runtime for ever.
pub async fn tell(
    world: Rc<World>,
    node: watch::Sender<Arc<Node>>,
    mut following: watch::Receiver<Following>,
    health: HealthHandle,
) {
    let driver = world.cgroups.layout().driver;
    let mut told = self::away(driver, String::new());
    let mut is_first = true;
    loop {
        // Copied before the wait: a borrow held across it would stop the whole thread at the next change.
        let seen = *following.borrow();
        let now = ask(&world, &told, seen).await;
        note_handlers(&node, &now);
        note_health(&health, &now, *following.borrow());
        if is_first || now != told {
            world.bus.say(&now).await;
        }
        is_first = false;
        let pause = if now.reachable { EVERY } else { WHILE_AWAY };
        told = now;
        // Sooner, when something is known anew; a change is not lost when the time is up first.
        if !matches!(timeout(pause, following.changed()).await, Ok(Ok(())) | Err(_)) {
            sleep(pause).await;
        }
    }
}

/// A runtime that was not met yet.
pub fn away(driver: Driver, error: String) -> Runtime {
    Runtime {
        reachable: false,
        error,
        name: String::new(),
        version: String::new(),
        conditions: Vec::new(),
        handlers: Vec::new(),
        supplemental_groups_policy: false,
        events: false,
        cgroup_driver: if driver == Driver::Systemd { "systemd" } else { "cgroupfs" }.to_owned(),
    }
}

/// The runtime as it is now; while it does not answer, as it was last.
async fn ask(world: &World, last: &Runtime, following: Following) -> Runtime {
    let version = async {
        // Who it is changes only while it is away.
        if last.reachable { Ok(None) } else { world.runtime.version().await.map(Some) }
    };
    match futures::try_join!(version, world.runtime.status(EVERY)) {
        Err(away) => Runtime { reachable: false, error: error::chain(&away), ..last.clone() },
        Ok((version, status)) => {
            let (name, version) = version.map_or_else(
                || (last.name.clone(), last.version.clone()),
                |version| (version.runtime_name, version.runtime_version),
            );
            Runtime { name, version, events: following.has_events, ..read(last, status) }
        }
    }
}

fn read(last: &Runtime, status: cri::StatusResponse) -> Runtime {
    let condition = |it: cri::RuntimeCondition| Condition {
        kind: it.r#type,
        holds: it.status,
        reason: it.reason,
        message: it.message,
    };
    let handler = |it: cri::RuntimeHandler| {
        let features = it.features.unwrap_or_default();
        RuntimeHandler {
            name: it.name,
            recursive_read_only_mounts: features.recursive_read_only_mounts,
            user_namespaces: features.user_namespaces,
        }
    };
    Runtime {
        reachable: true,
        error: String::new(),
        conditions: status.status.unwrap_or_default().conditions.into_iter().map(condition).collect(),
        handlers: status.runtime_handlers.into_iter().map(handler).collect(),
        supplemental_groups_policy: status
            .features
            .is_some_and(|features| features.supplemental_groups_policy),
        ..last.clone()
    }
}

fn note_handlers(node: &watch::Sender<Arc<Node>>, runtime: &Runtime) {
    let capable = runtime.handlers.iter().filter(|handler| handler.recursive_read_only_mounts);
    let capable: BTreeSet<String> = capable.map(|handler| handler.name.clone()).collect();
    node.send_if_modified(|node| {
        let changed = node.rro_handlers != capable;
        if changed {
            *node = Arc::new(Node { rro_handlers: capable, ..(**node).clone() });
        }
        changed
    });
}

fn note_health(health: &HealthHandle, runtime: &Runtime, following: Following) {
    if !runtime.reachable {
        health.waiting_for("the runtime");
    } else if following.is_complete {
        health.ready();
    } else {
        health.waiting_for("the runtime's list of pods");
    }
}
