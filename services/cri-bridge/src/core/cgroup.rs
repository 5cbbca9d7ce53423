//! The cgroups of pods: where they are, how big, and what is written into which file.
//!
//! Upstream: `pkg/kubelet/cm`. The tree below `cgroupRoot` is `kubepods`, in it the guaranteed
//! pods and `burstable` and `besteffort`, in those the rest, each as `pod<uid>`.

mod files;
mod sizes;
mod units;

pub(crate) use files::kernel_size;
pub use files::{Hierarchy, Write, writes};
pub(crate) use sizes::resource_name;
pub use sizes::{CpuQuota, MAX_SHARES, MIN_SHARES, Sizes, quota, shares};
pub use units::{COUNTED, kept_by_systemd, properties};

use super::qos::QosClass;
use messages::PodUid;

/// systemd's name for the top of the hierarchy.
const TOP_SLICE: &str = "-.slice";

/// Who manages cgroups with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// Nobody: folders are made as they are named.
    Cgroupfs,
    /// systemd: each is a slice, named for all above it.
    Systemd,
}

/// A cgroup's place as a list of names, the same for both drivers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Vec<String>);

impl Name {
    /// The name that a configured path stands for (`cgroupRoot`, `kubeReservedCgroup`).
    pub fn of_path(path: &str, driver: Driver) -> Self {
        match driver {
            Driver::Cgroupfs => {
                Self(path.split('/').filter(|part| !part.is_empty()).map(Into::into).collect())
            }
            Driver::Systemd => {
                let slice = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
                let parts = slice.strip_suffix(".slice").unwrap_or(slice).split('-');
                Self(parts.filter(|part| !part.is_empty()).map(|part| part.replace('_', "-")).collect())
            }
        }
    }

    fn child(&self, name: &str) -> Self {
        let mut parts = self.0.clone();
        parts.push(name.to_owned());
        Self(parts)
    }

    /// Whether it is the top of the hierarchy, which is never ours to size or to remove.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path below the mount of a hierarchy, which is also what the runtime is told.
    pub fn path(&self, driver: Driver) -> String {
        match driver {
            Driver::Cgroupfs => format!("/{}", self.0.join("/")),
            Driver::Systemd => self.slices().iter().map(|slice| format!("/{slice}")).collect(),
        }
    }

    /// The slice that it is to systemd; none for the top of the hierarchy.
    pub fn slice(&self) -> Option<String> {
        self.slices().pop()
    }

    /// The slice that it is in.
    pub fn slice_above(&self) -> String {
        self.slices().into_iter().rev().nth(1).unwrap_or_else(|| TOP_SLICE.to_owned())
    }

    /// The slices from the top down, each named for all above it; a `-` within a name would read
    /// as a level and so becomes `_`.
    pub fn slices(&self) -> Vec<String> {
        let escaped: Vec<_> = self.0.iter().map(|part| part.replace('-', "_")).collect();
        (1..=escaped.len()).map(|depth| format!("{}.slice", escaped[..depth].join("-"))).collect()
    }
}

/// How the pods' cgroups are laid out on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// `cgroupRoot`.
    pub root: Name,
    /// Who manages them.
    pub driver: Driver,
    /// `cgroupsPerQOS`. Without it pods have no cgroup of their own.
    pub per_qos: bool,
}

impl Layout {
    /// The cgroup of all pods.
    pub fn pods(&self) -> Name {
        if self.per_qos { self.root.child("kubepods") } else { self.root.clone() }
    }

    /// The cgroup of a class. Guaranteed pods stand directly below `kubepods`.
    pub fn class(&self, class: QosClass) -> Name {
        match class {
            QosClass::Guaranteed => self.pods(),
            QosClass::Burstable => self.pods().child("burstable"),
            QosClass::BestEffort => self.pods().child("besteffort"),
        }
    }

    /// A pod's cgroup.
    pub fn pod(&self, class: QosClass, uid: &PodUid) -> Name {
        if self.per_qos { self.class(class).child(&format!("pod{uid}")) } else { self.pods() }
    }

    /// Every place where a pod of this UID may have a cgroup, whatever its class was.
    pub fn anywhere(&self, uid: &PodUid) -> Vec<Name> {
        let all = [QosClass::Guaranteed, QosClass::Burstable, QosClass::BestEffort];
        if self.per_qos { all.map(|class| self.pod(class, uid)).into() } else { Vec::new() }
    }

    /// What the runtime is told as a sandbox's `cgroup_parent`.
    pub fn parent(&self, class: QosClass, uid: &PodUid) -> String {
        self.pod(class, uid).path(self.driver)
    }

    /// The UID in the name of a pod's folder, as it stands in a class' folder.
    pub fn uid_of_folder(&self, folder: &str) -> Option<PodUid> {
        let uid = match self.driver {
            Driver::Cgroupfs => folder.strip_prefix("pod")?.to_owned(),
            Driver::Systemd => {
                let last = folder.strip_suffix(".slice")?.rsplit('-').next()?;
                last.strip_prefix("pod")?.replace('_', "-")
            }
        };
        uid.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(root: &str, driver: Driver) -> Layout {
        Layout { root: Name::of_path(root, driver), driver, per_qos: true }
    }

    #[test]
    fn a_pods_cgroup_is_where_both_drivers_put_it() {
        use QosClass::{BestEffort, Burstable, Guaranteed};
        let slice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-poda_b.slice";
        let cases = [
            (Driver::Cgroupfs, "/", Burstable, "/kubepods/burstable/poda-b"),
            (Driver::Cgroupfs, "", BestEffort, "/kubepods/besteffort/poda-b"),
            (Driver::Cgroupfs, "/x/y", Guaranteed, "/x/y/kubepods/poda-b"),
            (Driver::Systemd, "/", Burstable, slice),
            (Driver::Systemd, "/", Guaranteed, "/kubepods.slice/kubepods-poda_b.slice"),
            (
                Driver::Systemd,
                "/own.slice",
                Guaranteed,
                "/own.slice/own-kubepods.slice/own-kubepods-poda_b.slice",
            ),
        ];
        for (driver, root, class, want) in cases {
            assert_eq!(layout(root, driver).parent(class, &"a-b".parse().unwrap()), want);
        }
    }

    #[test]
    fn without_classes_pods_share_the_root() {
        let layout = Layout { per_qos: false, ..layout("/x", Driver::Cgroupfs) };
        let uid = "a-b".parse().unwrap();
        assert_eq!(layout.parent(QosClass::Burstable, &uid), "/x");
        assert!(layout.anywhere(&uid).is_empty());
    }

    #[test]
    fn a_folder_tells_its_pod() {
        let cases = [
            (Driver::Cgroupfs, "poda-b", Some("a-b")),
            (Driver::Cgroupfs, "burstable", None),
            (Driver::Cgroupfs, "pod..", None),
            (Driver::Systemd, "kubepods-burstable-poda_b.slice", Some("a-b")),
            (Driver::Systemd, "kubepods-burstable.slice", None),
        ];
        for (driver, folder, want) in cases {
            let uid = layout("/", driver).uid_of_folder(folder);
            assert_eq!(uid.as_ref().map(PodUid::as_str), want, "{folder}");
        }
    }
}
