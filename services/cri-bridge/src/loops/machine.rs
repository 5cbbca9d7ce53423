//! Telling of the machine, for the node object.

use crate::{
    adapters::{
        containerd::Containerd,
        machine::{self, Hardware, Identity},
    },
    config::Settings,
    core::cgroup::{Hierarchy, resource_name},
};
use chassis::Bus;
use messages::cri_bridge::{Image, Machine};
use std::time::Duration;
use tokio::time::{interval, sleep};

/// How often what changes is looked at: free space and images.
const EVERY: Duration = Duration::from_secs(60);
/// How often the runtime is asked for its images until it has answered once.
const UNTIL_FIRST: Duration = Duration::from_millis(500);

/// What there is to tell of.
pub struct Told {
    /// The other processes.
    pub bus: Bus,
    /// For its images.
    pub runtime: Containerd,
    /// Settings.
    pub settings: Settings,
    /// The machine.
    pub hardware: Hardware,
    /// cgroup v1 or v2.
    pub hierarchy: Hierarchy,
}

/// Tells of the machine for ever: at once, again with the first list of images, and at each change.
pub async fn tell(of: Told) {
    let identity = Identity::read();
    let mut told = of.machine(&identity, Vec::new());
    of.bus.say(&told).await;
    let mut images = loop {
        match of.list().await {
            Some(images) => break images,
            None => sleep(UNTIL_FIRST).await,
        }
    };
    let mut ticks = interval(EVERY);
    loop {
        ticks.tick().await;
        images = of.list().await.unwrap_or(images);
        let now = of.machine(&identity, images.clone());
        if now != told {
            of.bus.say(&now).await;
            told = now;
        }
    }
}

impl Told {
    async fn list(&self) -> Option<Vec<Image>> {
        let images = self.runtime.list_images().await.ok()?;
        Some(machine::images(&images, self.settings.max_images))
    }

    fn machine(&self, identity: &Identity, images: Vec<Image>) -> Machine {
        let size = |size: &u64| resource_name(*size).trim_start_matches("hugepages-").to_owned();
        let Hardware { cpus, memory, swap, hugepages, .. } = &self.hardware;
        Machine {
            cpus: *cpus,
            memory: *memory,
            swap: *swap,
            hugepages: hugepages.iter().map(|(bytes, all)| (size(bytes), *all)).collect(),
            nodefs: machine::filesystem(&self.settings.root_dir),
            machine_id: identity.machine_id.clone(),
            system_uuid: identity.system_uuid.clone(),
            boot_id: identity.boot_id.clone(),
            kernel_version: identity.kernel_version.clone(),
            os_image: identity.os_image.clone(),
            cgroup_version: if self.hierarchy == Hierarchy::V1 { 1 } else { 2 },
            images,
        }
    }
}
