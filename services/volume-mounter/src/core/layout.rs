//! Where things stand below the root folder: the kubelet's own layout, so that each can take over
//! from the other.

use super::{
    path::VolumeName,
    volume::{EmptyDir, Plugin, Source, Volume},
};
use messages::{ContainerName, PodUid};
use std::path::{Path, PathBuf};

/// The pods' folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pods: PathBuf,
}

impl Layout {
    /// The layout below a root folder (`/var/lib/kubelet`).
    pub fn below(root: &Path) -> Self {
        Self { pods: root.join("pods") }
    }

    /// `pods`.
    pub fn pods(&self) -> &Path {
        &self.pods
    }

    /// `pods/<uid>`.
    pub fn pod(&self, pod: &PodUid) -> PathBuf {
        self.pods.join(pod.as_str())
    }

    /// `pods/<uid>/volumes`.
    pub fn volumes(&self, pod: &PodUid) -> PathBuf {
        self.pod(pod).join("volumes")
    }

    /// `pods/<uid>/plugins`.
    pub fn plugins(&self, pod: &PodUid) -> PathBuf {
        self.pod(pod).join("plugins")
    }

    /// The folder of a volume; `None` for those that have none of their own.
    pub fn volume(&self, pod: &PodUid, volume: &Volume) -> Option<PathBuf> {
        let plugin = plugin_folder(&volume.source)?;
        Some(self.volumes(pod).join(plugin).join(volume.name.as_str()))
    }

    /// `pods/<uid>/volume-subpaths/<volume>/<container>/<mount index>`.
    pub fn subpath(&self, pod: &PodUid, volume: &VolumeName, at: (&ContainerName, u32)) -> PathBuf {
        let (container, index) = at;
        let folder = self.pod(pod).join("volume-subpaths").join(volume.as_str());
        folder.join(container.as_str()).join(index.to_string())
    }
}

/// A plugin's name with `~` for `/`.
fn plugin_folder(source: &Source) -> Option<&'static str> {
    Some(match source {
        Source::EmptyDir(EmptyDir::Disk | EmptyDir::Memory { .. } | EmptyDir::HugePages { .. }) => {
            "kubernetes.io~empty-dir"
        }
        Source::Content(content) => match content.plugin {
            Plugin::ConfigMap => "kubernetes.io~configmap",
            Plugin::Secret => "kubernetes.io~secret",
            Plugin::DownwardApi => "kubernetes.io~downward-api",
            Plugin::Projected => "kubernetes.io~projected",
        },
        Source::HostPath { .. } | Source::Image | Source::Unsupported { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_are_the_kubelets() {
        let layout = Layout::below(Path::new("/var/lib/kubelet"));
        let pod = "u-1".parse().unwrap();
        let name = VolumeName::parse("data").unwrap();
        let volume = Volume { name: name.clone(), source: Source::EmptyDir(EmptyDir::Disk) };
        let path = layout.volume(&pod, &volume).unwrap();
        assert_eq!(path, Path::new("/var/lib/kubelet/pods/u-1/volumes/kubernetes.io~empty-dir/data"));
        let path = layout.subpath(&pod, &name, (&"app".parse().unwrap(), 3));
        assert_eq!(path, Path::new("/var/lib/kubelet/pods/u-1/volume-subpaths/data/app/3"));
    }
}
