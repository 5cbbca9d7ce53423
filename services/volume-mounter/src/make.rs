//! Makes one volume, or fills it anew. Whatever was done before is found and left as it is.

use crate::{
    adapters::{atomic, folders},
    core::{
        downward::Allocatable,
        memory,
        ownership::{self, Access},
        path::RelativePath,
        payload::{self, Material, Payload},
        record::Owned,
        reference::Reference,
        token::Lease,
        volume::{Content, EmptyDir, HostPathType, Plugin, Source, Volume},
    },
    error::Unmade,
    gather::{Gathered, Known, Need, Versions},
    ports::{Deed, FileSystem, Tools},
};
use chassis::{
    clock,
    telemetry::{self, Peer},
};
use futures::future::try_join;
use k8s_openapi::jiff;
use messages::{BootTime, pod_lifecycle::Pod};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::OnceCell, task::spawn_blocking, time::timeout};

/// So long a volume waits for the node's allocatable resources to be told.
const ALLOCATABLE_PATIENCE: Duration = Duration::from_secs(2);
/// A token that could not be renewed is tried again after this.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);

/// Everything about one making.
pub(crate) struct Job {
    pub(crate) tools: Rc<Tools>,
    pub(crate) pod: Arc<Pod>,
    pub(crate) volume: Volume,
    /// The volume's folder, for those that have one.
    pub(crate) folder: Option<PathBuf>,
    /// What the journal knows of it.
    pub(crate) owned: Owned,
    pub(crate) checked: Rc<OnceCell<()>>,
    pub(crate) first_seen: BootTime,
    pub(crate) told: BTreeMap<Reference, Known>,
}

/// A volume that is whole.
pub(crate) struct Made {
    pub(crate) owned: Owned,
    /// When it must be filled anew at the latest.
    pub(crate) next: Option<Duration>,
    /// What it was filled from.
    pub(crate) versions: Versions,
}

/// A volume that is not whole.
pub(crate) struct Failed {
    pub(crate) why: Unmade,
    /// What was looked at, and was not enough: a later version may be.
    pub(crate) versions: Versions,
}

impl<E: Into<Unmade>> From<E> for Failed {
    fn from(why: E) -> Self {
        Self { why: why.into(), versions: Versions::new() }
    }
}

/// What the journal is told before a volume is made.
pub(crate) fn intent(volume: &Volume, folder: Option<&Path>) -> Owned {
    let folder = folder.map(|folder| folder.to_string_lossy().into_owned());
    let (host_path, relabel) = match &volume.source {
        Source::HostPath { path, .. } => (Some(path.clone()), false),
        Source::EmptyDir(_) | Source::Content(_) => (folder, true),
        Source::Image | Source::Unsupported { .. } => (None, false),
    };
    Owned {
        host_path,
        mounted: is_mounted(&volume.source),
        read_only: matches!(volume.source, Source::Content(_)),
        selinux_relabel: relabel,
        ..Owned::default()
    }
}

/// Whether a file system of its own carries a volume. Secrets never touch the disk.
fn is_mounted(source: &Source) -> bool {
    match source {
        Source::EmptyDir(EmptyDir::Disk) => false,
        Source::EmptyDir(_) => true,
        Source::Content(content) => content.plugin != Plugin::ConfigMap,
        Source::HostPath { .. } | Source::Image | Source::Unsupported { .. } => false,
    }
}

impl Job {
    pub(crate) async fn make(self) -> Result<Made, Failed> {
        match &self.volume.source {
            Source::Unsupported { what } => return Err(Unmade::Unsupported(what).into()),
            Source::Image => {}
            Source::HostPath { path, kind } => self.check_host_path(path, *kind).await?,
            Source::EmptyDir(dir) => self.make_empty_dir(dir).await?,
            Source::Content(content) => return self.fill(content).await,
        }
        Ok(self.whole(BTreeMap::new(), Versions::new()))
    }

    fn whole(&self, leases: BTreeMap<String, Lease>, versions: Versions) -> Made {
        let now = clock::now_unix();
        let waits = leases.values().map(|lease| lease.wait(now));
        let waits = waits.map(|wait| if wait.is_zero() { RENEWAL_PAUSE } else { wait });
        let next = waits.min();
        let owned = Owned { ready: true, leases, ..intent(&self.volume, self.folder.as_deref()) };
        Made { owned, next, versions }
    }

    async fn check_host_path(&self, path: &str, kind: HostPathType) -> Result<(), Unmade> {
        if kind == HostPathType::Any {
            return Ok(());
        }
        self.perform(Deed::CheckHostPath { path: path.into(), kind }).await
    }

    async fn make_empty_dir(&self, dir: &EmptyDir) -> Result<(), Unmade> {
        let folder = self.folder()?;
        match dir {
            EmptyDir::Disk => folders::make_open(folder)?,
            EmptyDir::Memory { limit } => {
                let size = memory::tmpfs_size(&self.pod.object, &*self.allocatable().await, limit.as_ref())?;
                self.mount(FileSystem::Tmpfs { size }).await?;
            }
            EmptyDir::HugePages { page } => {
                let page = memory::page_size(&self.pod.object, page.as_deref())?;
                self.mount(FileSystem::Hugetlbfs { page }).await?;
            }
        }
        match ownership::fs_group(&self.pod.object) {
            Some(group) => Ok(folders::give_root_to_group(folder, group, Access::ReadWrite)?),
            None => Ok(()),
        }
    }

    /// Mounts and fetches side by side, then writes.
    async fn fill(&self, content: &Content) -> Result<Made, Failed> {
        let folder = self.folder()?;
        let need = Need {
            tools: &self.tools,
            pod: &self.pod,
            checked: &self.checked,
            first_seen: self.first_seen,
            told: &self.told,
        };
        let gathering = need.gather(content, folder, &self.owned.leases);
        let ((), gathered) = try_join(self.make_folder(), gathering).await?;
        let versions = gathered.versions();
        let payload = self.payload(content, &gathered).await;
        let payload = payload.map_err(|why| Failed { why, versions: versions.clone() })?;
        let group = ownership::fs_group(&self.pod.object);
        let writing = write(folder.to_owned(), payload, group);
        telemetry::noting((Peer::Kernel, "write files"), Vec::new(), writing).await?;
        let leases = gathered.tokens.iter().map(|(path, (_, lease))| (path.as_str().to_owned(), *lease));
        Ok(self.whole(leases.collect(), versions))
    }

    async fn payload(&self, content: &Content, gathered: &Gathered) -> Result<Payload, Unmade> {
        let tokens: BTreeMap<RelativePath, Vec<u8>> =
            gathered.tokens.iter().map(|(path, (token, _))| (path.clone(), token.clone())).collect();
        let shows_resources = payload::shows_resources(content);
        let allocatable = if shows_resources { self.allocatable().await } else { Rc::default() };
        let material = Material {
            pod: &self.pod.object,
            allocatable: &allocatable,
            objects: &gathered.contents(),
            tokens: &tokens,
        };
        Ok(payload::assemble(content, &material)?)
    }

    async fn make_folder(&self) -> Result<(), Unmade> {
        if is_mounted(&self.volume.source) {
            let size = memory::tmpfs_size(&self.pod.object, &*self.allocatable().await, None)?;
            self.mount(FileSystem::Tmpfs { size }).await
        } else {
            Ok(folders::make_open(self.folder()?)?)
        }
    }

    /// A volume that is whole was mounted before, and a refill needs no worker process.
    async fn mount(&self, what: FileSystem) -> Result<(), Unmade> {
        if self.owned.ready {
            return Ok(());
        }
        self.perform(Deed::Mount { at: self.folder()?.to_owned(), what }).await
    }

    async fn perform(&self, deed: Deed) -> Result<(), Unmade> {
        let performing = async { self.tools.mounter.perform(&deed).await.map_err(Unmade::Mount) };
        telemetry::call(deed.span(), performing).await
    }

    /// Nothing, while nobody tells: a bound that is not known binds nobody.
    async fn allocatable(&self) -> Rc<Allocatable> {
        let mut told = self.tools.allocatable.clone();
        let waiting = timeout(ALLOCATABLE_PATIENCE, told.wait_for(Option::is_some));
        let waiting = telemetry::noting((Peer::ApiServer, "wait for node object"), Vec::new(), waiting);
        let told = waiting.await.ok().and_then(|told| told.ok()?.clone());
        told.unwrap_or_default()
    }

    fn folder(&self) -> Result<&Path, Unmade> {
        self.folder.as_deref().ok_or(Unmade::Interrupted)
    }
}

/// Writes beside the thread that does everything else.
async fn write(root: PathBuf, payload: Payload, group: Option<u32>) -> Result<(), Unmade> {
    let stamp = stamp();
    let writing = spawn_blocking(move || atomic::write(&root, &payload, &stamp, group));
    writing.await.map_err(|_| Unmade::Interrupted)??;
    Ok(())
}

/// The time and something random, as the kubelet names its versions.
fn stamp() -> String {
    let now = jiff::Timestamp::from_nanosecond(clock::now_unix().into()).unwrap_or_default();
    format!("{}.{}", now.strftime("%Y_%m_%d_%H_%M_%S"), rand::random::<u32>())
}
