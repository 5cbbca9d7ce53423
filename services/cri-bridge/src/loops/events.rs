//! Following the runtime: events where it has them, lists where not, and a list after each connect.
//!
//! An event only names what to read again, and the list makes right whatever was missed, so nothing is
//! correct only because an event came. The reader passes events on and never waits for the bus.

use crate::{
    actors::relay::{Everything, Relay, RuntimeEvent},
    adapters::containerd::RuntimeError,
    core::labels::PodIdentity,
    ports::World,
};
use actix::Addr;
use chassis::{clock, error};
use futures::{StreamExt, TryFutureExt};
use proto::runtime::v1 as cri;
use std::{pin::pin, rc::Rc, time::Duration};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};
use tracing::{debug, info};

/// How often everything is listed beside events.
const WITH_EVENTS: Duration = Duration::from_secs(60);
/// When everything is listed once more after subscribing: by then the runtime has begun to send.
const SUBSCRIBED: Duration = Duration::from_secs(1);
/// How often everything is listed without them: as often as the kubelet does.
const WITHOUT_EVENTS: Duration = Duration::from_secs(1);
/// Pauses between tries to reach the runtime, from the first to the longest: a node has two seconds to catch up
/// once its runtime is back.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(500));

/// After so long a time the next failure is a first one.
const GOOD_RUN: Duration = Duration::from_secs(3);

/// How the runtime is followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Following {
    /// Everything was listed at least once in this life.
    pub is_complete: bool,
    /// The runtime has events.
    pub has_events: bool,
}

/// Follows the runtime for ever.
pub async fn follow(world: Rc<World>, relay: Addr<Relay>, following: watch::Sender<Following>) {
    let mut pause = PAUSES.0;
    loop {
        let before = clock::now_boot();
        let ended = with_events(&world, &relay, &following).await;
        if ended.is_unimplemented() {
            note(&following, |it| it.has_events = false);
            info!("the runtime has no events: it is listed every second");
            let ended = without_events(&world, &relay, &following).await;
            debug!(error = error::chain(&ended), "the runtime cannot be listed");
        } else {
            debug!(error = error::chain(&ended), "the runtime's events ended");
        }
        if clock::now_boot().since(before) > GOOD_RUN {
            pause = PAUSES.0;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn note(following: &watch::Sender<Following>, change: impl FnOnce(&mut Following)) {
    following.send_if_modified(|now| {
        let before = *now;
        change(now);
        *now != before
    });
}

/// Returns when the stream or a list fails.
///
/// containerd answers the call with its first event only. So everything is listed while the answer is
/// still awaited, and once more when the subscription must be in force.
async fn with_events(
    world: &World,
    relay: &Addr<Relay>,
    following: &watch::Sender<Following>,
) -> RuntimeError {
    let mut events = pin!(world.runtime.events().try_flatten_stream());
    let mut until_list = pin!(sleep(Duration::ZERO));
    let mut is_first = true;
    loop {
        // Cancel-safe: a stream's next message is not lost, and a pause goes on where it was.
        tokio::select! {
            biased;
            event = events.next() => match event {
                Some(Ok(event)) => pass_on(relay, event),
                Some(Err(failed)) => return failed,
                None => return RuntimeError::Empty { call: "GetContainerEvents", what: "more events" },
            },
            () = &mut until_list => {
                if let Err(failed) = list(world, relay, following).await {
                    return failed;
                }
                // A runtime without events has said so by the second list.
                note(following, |it| it.has_events |= !is_first);
                until_list.set(sleep(if is_first { SUBSCRIBED } else { WITH_EVENTS }));
                is_first = false;
            }
        }
    }
}

async fn without_events(
    world: &World,
    relay: &Addr<Relay>,
    following: &watch::Sender<Following>,
) -> RuntimeError {
    let mut listing = interval(WITHOUT_EVENTS);
    listing.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        listing.tick().await;
        if let Err(failed) = list(world, relay, following).await {
            return failed;
        }
    }
}

fn pass_on(relay: &Addr<Relay>, event: cri::ContainerEventResponse) {
    let what = event.container_event_type();
    let labels = event.pod_sandbox_status.map(|status| status.labels);
    let pod = labels.and_then(|labels| PodIdentity::of(&labels)).map(|identity| identity.uid);
    relay.do_send(RuntimeEvent { id: event.container_id, pod, what });
}

async fn list(
    world: &World,
    relay: &Addr<Relay>,
    following: &watch::Sender<Following>,
) -> Result<(), RuntimeError> {
    let at = clock::now_boot();
    let sandboxes = world.runtime.list_sandboxes(None);
    let containers = world.runtime.list_containers(None);
    let (sandboxes, containers) = futures::try_join!(sandboxes, containers)?;
    // Fails only when the process is ending.
    let _ = relay.send(Everything { sandboxes, containers, at }).await;
    note(following, |it| it.is_complete = true);
    Ok(())
}
