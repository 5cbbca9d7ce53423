//! The weight of the burstable class: what all its pods request.

use crate::{
    core::{cgroup::Sizes, qos::QosClass, resources::PodDemand},
    ports::World,
};
use chassis::error;
use messages::{
    PodUid,
    pod_lifecycle::{Pod, Stage},
};
use std::{collections::BTreeMap, rc::Rc};
use tracing::warn;

/// Thousandths of a CPU that each burstable pod requests.
pub(super) struct Classes {
    world: Rc<World>,
    burstable: BTreeMap<PodUid, i64>,
    written: Option<i64>,
}

impl Classes {
    pub(super) fn new(world: Rc<World>) -> Self {
        Self { world, burstable: BTreeMap::new(), written: None }
    }

    /// A pod was said, or is known no more. Writes the new weight where it changes.
    pub(super) fn heard(&mut self, uid: &PodUid, pod: Option<&Pod>) {
        match pod.filter(|pod| pod.stage == Stage::Running).and_then(request) {
            Some(milli) => drop(self.burstable.insert(uid.clone(), milli)),
            None => drop(self.burstable.remove(uid)),
        }
        let sum: i64 = self.burstable.values().sum();
        let is_first = self.written.is_none();
        if self.written.replace(sum) == Some(sum)
            || !self.world.cgroups.layout().per_qos
            || is_first && sum == 0
        {
            return;
        }
        let world = self.world.clone();
        actix::spawn(async move {
            let name = world.cgroups.layout().class(QosClass::Burstable);
            let sizes = Sizes::of_class(QosClass::Burstable, sum, &[]);
            if let Err(bad) = world.cgroups.size(name, sizes).await {
                warn!(error = error::chain(&bad), "the burstable class keeps its weight");
            }
        });
    }
}

/// What a burstable pod requests; `None` for pods of other classes.
fn request(pod: &Pod) -> Option<i64> {
    // What cannot be read is told of when the pod's cgroup is made.
    let demand = PodDemand::of(&pod.object).ok()?;
    let cpu = demand.requests_with_overhead().get("cpu").map(|cpu| cpu.milli_value());
    (QosClass::of(&demand) == QosClass::Burstable).then_some(cpu.unwrap_or_default())
}
