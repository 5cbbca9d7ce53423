//! The pods' cgroups, whoever manages them: systemd is told of each as a slice where it does, and the files are
//! written in any case.

use super::{
    cgroupfs::{CgroupError, Files},
    systemd::{Property, Systemd},
};
use crate::core::cgroup::{COUNTED, Driver, Hierarchy, Layout, Name, Sizes, kept_by_systemd, properties};
use messages::PodUid;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use zbus::zvariant::Value;

/// The pods' cgroups on this machine.
#[derive(Debug)]
pub struct Cgroups {
    files: Arc<Files>,
    systemd: Option<Systemd>,
}

impl Cgroups {
    /// Cgroups as these files.
    pub fn new(files: Files) -> Self {
        let systemd = (files.layout().driver == Driver::Systemd).then(Systemd::default);
        Self { files: Arc::new(files), systemd }
    }

    /// How they are laid out.
    pub fn layout(&self) -> &Layout {
        self.files.layout()
    }

    /// v1 or v2.
    pub fn hierarchy(&self) -> Hierarchy {
        self.files.hierarchy()
    }

    /// Fails when `cgroupRoot` is not there: nobody else will make it, and making it here would hide a
    /// mistake in its name.
    ///
    /// # Errors
    /// As it says.
    pub fn check_root(&self) -> Result<(), CgroupError> {
        self.files.check_root()
    }

    /// Makes a cgroup where it is missing, and sizes it.
    ///
    /// # Errors
    /// When it could not be made. A size that the kernel refuses is the last to be reported, after all others
    /// were written.
    pub async fn ensure(&self, name: Name, sizes: Sizes) -> Result<(), CgroupError> {
        let sizes = match &self.systemd {
            Some(systemd) => self.ensure_slice(systemd, &name, sizes).await?,
            None => sizes,
        };
        self.with_files(move |files| files.ensure(&name, &sizes)).await
    }

    /// Sizes a cgroup that is there.
    ///
    /// # Errors
    /// With the last size that was refused.
    pub async fn size(&self, name: Name, sizes: Sizes) -> Result<(), CgroupError> {
        let sizes = match (&self.systemd, name.slice()) {
            (Some(systemd), Some(unit)) => {
                let sizes = kept_by_systemd(&sizes);
                systemd.set(&unit, &self.properties(&sizes)).await?;
                sizes
            }
            _ => sizes,
        };
        self.with_files(move |files| files.size(&name, &sizes)).await
    }

    /// Whether a pod has a cgroup, wherever.
    pub async fn exists(&self, uid: PodUid) -> bool {
        self.with_files(move |files| files.exists(&uid)).await
    }

    /// Kills what is left in a pod's cgroups and removes them.
    ///
    /// # Errors
    /// When something of it stays after several tries.
    pub async fn remove(&self, uid: PodUid) -> Result<(), CgroupError> {
        if let Some(systemd) = &self.systemd {
            let of = uid.clone();
            for name in self.with_files(move |files| files.killed(&of)).await {
                if let Some(unit) = name.slice() {
                    systemd.stop(&unit).await?;
                }
            }
        }
        self.with_files(move |files| files.remove(&uid)).await
    }

    /// Gives back the sizes that systemd keeps.
    async fn ensure_slice(&self, systemd: &Systemd, name: &Name, sizes: Sizes) -> Result<Sizes, CgroupError> {
        let sizes = kept_by_systemd(&sizes);
        let (Some(unit), above) = (name.slice(), name.slice_above()) else { return Ok(sizes) };
        let mut born_with: Vec<Property<'_>> = vec![
            ("Description", Value::from(format!("Pods of Kubernetes ({unit})"))),
            ("Wants", Value::from(vec![above])),
            ("DefaultDependencies", Value::from(false)),
        ];
        born_with.extend(COUNTED.map(|counted| (counted, Value::from(true))));
        born_with.extend(self.properties(&sizes));
        systemd.ensure(&unit, &born_with).await?;
        Ok(sizes)
    }

    fn properties(&self, sizes: &Sizes) -> Vec<Property<'static>> {
        let numbers = properties(sizes, self.hierarchy()).into_iter();
        numbers.map(|(name, number)| (name, Value::from(number))).collect()
    }

    /// Files block, for milliseconds when the kernel is busy.
    async fn with_files<T: Send + 'static>(&self, deed: impl FnOnce(&Files) -> T + Send + 'static) -> T {
        let files = self.files.clone();
        spawn_blocking(move || deed(&files)).await.expect("work on cgroups does not panic")
    }
}
