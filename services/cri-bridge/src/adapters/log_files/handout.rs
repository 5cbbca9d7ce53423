//! The socket at which node-api gets container logs as open files, with notices while they grow. The
//! protocol stands in this service's README.

mod wire;

use crate::{
    actors::{
        pod::{Found, Instances},
        relay::{Relay, Whose},
    },
    core::{names, rotation},
};
use actix::Addr;
use chassis::{error, identity};
use messages::{
    Owner,
    cri_bridge::{Container, ContainerState},
};
use rustix::fs::OFlags;
use std::{
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tracing::{debug, warn};
use wire::{Answer, FileTold, Instance, Notice, Refusal, Request};

/// Readers at once; more are turned away.
const READERS: usize = 256;
/// How long a reader may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a log is looked at for its readers. Looking is one call to the kernel; watching would need
/// one of the few inotify instances that the machine has for each reader.
const LOOK: Duration = Duration::from_millis(100);
/// After how many looks it is asked whether the container still runs.
const LOOKS_PER_QUESTION: u32 = 10;
/// The most files of one log that are handed out.
const FILES: usize = 64;

/// Hands out logs below `pod_logs` to root and node-api.
pub struct Handout {
    listener: UnixListener,
    relay: Addr<Relay>,
    pod_logs: PathBuf,
}

impl Handout {
    /// Listens at a socket, which only root and node-api can reach.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn listen(socket: &Path, relay: Addr<Relay>, pod_logs: PathBuf) -> io::Result<Self> {
        if let Some(folder) = socket.parent() {
            // Others may pass through and see nothing.
            fs::set_permissions(folder, Permissions::from_mode(0o711))?;
        }
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(socket)?;
        fs::set_permissions(socket, Permissions::from_mode(0o600))?;
        let reader = identity::of(Owner::NodeApi);
        // Without the right to give files away there is no other user to serve.
        if let Err(error) = chown(socket, Some(reader.uid), Some(reader.gid)) {
            warn!(%error, "only this user can read logs");
        }
        Ok(Self { listener, relay, pod_logs })
    }

    /// Serves for ever.
    pub async fn serve(self) {
        let readers = Arc::new(Semaphore::new(READERS));
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "a reader of logs could not be accepted");
                    sleep(PATIENCE).await;
                    continue;
                }
            };
            let Ok(place) = readers.clone().try_acquire_owned() else { continue };
            if !is_known(&stream) {
                warn!("a stranger asked for logs");
                continue;
            }
            let reader = Reader { stream, relay: self.relay.clone(), pod_logs: self.pod_logs.clone() };
            actix::spawn(async move {
                if let Err(error) = reader.serve().await {
                    debug!(error = error::chain(&error), "a reader of logs is gone");
                }
                drop(place);
            });
        }
    }
}

fn is_known(stream: &UnixStream) -> bool {
    let allowed = [0, identity::of(Owner::NodeApi).uid, rustix::process::geteuid().as_raw()];
    stream.peer_cred().is_ok_and(|peer| allowed.contains(&peer.uid()))
}

struct Reader {
    stream: UnixStream,
    relay: Addr<Relay>,
    pod_logs: PathBuf,
}

/// A log that was handed out.
struct Log {
    folder: PathBuf,
    name: String,
    container: Container,
    live: File,
}

impl Reader {
    async fn serve(mut self) -> io::Result<()> {
        let request =
            timeout(PATIENCE, wire::read_request(&mut self.stream)).await.map_err(io::Error::other)?;
        let found = match request? {
            Some(request) => self.find(&request).await.map(|log| (request, log)),
            None => Err(Refusal::BadRequest),
        };
        let ((request, log), files) = match found
            .and_then(|(request, log)| open(log).map(|(l, f)| ((request, l), f)))
        {
            Ok(opened) => opened,
            Err(refusal) => return wire::send(&self.stream, &Answer::Refused { error: refusal }, &[]).await,
        };
        let answer = Answer::Files {
            container_id: log.container.id.clone(),
            attempt: log.container.attempt,
            running: log.container.state == ContainerState::Running,
            files: files.iter().map(|(name, _)| told(name)).collect(),
        };
        let descriptors: Vec<&File> = files.iter().map(|(_, file)| file).collect();
        wire::send(&self.stream, &answer, &descriptors).await?;
        drop(files);
        self.watch(&request, log).await
    }

    async fn find(&self, request: &Request) -> Result<(PathBuf, Container), Refusal> {
        let pod =
            self.relay.send(Whose(request.pod.clone())).await.ok().flatten().ok_or(Refusal::UnknownPod)?;
        let found = pod.send(Instances(request.container.clone())).await.ok().flatten();
        let Found { namespace, name, instances } = found.ok_or(Refusal::UnknownPod)?;
        let instances = instances.ok_or(Refusal::UnknownContainer)?;
        let chosen = match &request.instance {
            Instance::Latest => instances.first(),
            Instance::Previous => instances.get(1),
            Instance::Id(id) => instances.iter().find(|it| it.id == *id),
        };
        let container = chosen.ok_or(Refusal::NoInstance)?.clone();
        let folder = names::pod_log_directory(&self.pod_logs, &namespace, &name, &request.pod);
        Ok((folder.join(request.container.as_str()), container))
    }

    /// Tells of growth and rotation until the container has ended or the reader has gone.
    async fn watch(&mut self, request: &Request, mut log: Log) -> io::Result<()> {
        let mut size = log.live.metadata()?.len();
        for look in 1_u32.. {
            // Cancel-safe: nothing that a reader sends is awaited or lost.
            tokio::select! {
                gone = wire::gone(&self.stream) => return gone,
                () = sleep(LOOK) => {}
            }
            let asks = look.is_multiple_of(LOOKS_PER_QUESTION);
            let has_ended = asks && !self.runs(request, &log.container.id).await;
            let grown = log.live.metadata()?.len();
            if grown != size {
                size = grown;
                wire::send(&self.stream, &Notice::Grown, &[]).await?;
            }
            if let Some(live) = log.moved() {
                let notice = Notice::Rotated { files: vec![told(&log.name)] };
                wire::send(&self.stream, &notice, &[&live]).await?;
                size = 0;
                log.live = live;
            }
            if has_ended {
                return wire::send(&self.stream, &Notice::Ended, &[]).await;
            }
        }
        Ok(())
    }

    async fn runs(&self, request: &Request, id: &str) -> bool {
        let latest = Request { instance: Instance::Id(id.to_owned()), ..request.clone() };
        let found = self.find(&latest).await;
        found.is_ok_and(|(_, container)| container.state == ContainerState::Running)
    }
}

impl Log {
    /// The new live file, if another has taken its name.
    fn moved(&self) -> Option<File> {
        let now = open_one(&self.folder.join(&self.name)).ok()?;
        let (new, old) = (now.metadata().ok()?, self.live.metadata().ok()?);
        ((new.dev(), new.ino()) != (old.dev(), old.ino())).then_some(now)
    }
}

/// Opens the files of a log, oldest first.
fn open((folder, container): (PathBuf, Container)) -> Result<(Log, Vec<(String, File)>), Refusal> {
    let name = format!("{}.log", container.attempt);
    let names = super::names(&folder).map_err(|_| Refusal::NoLog)?;
    let mut files = rotation::files_of(&name, &names);
    if files.last() != Some(&name) {
        return Err(Refusal::NoLog);
    }
    let superfluous = files.len().saturating_sub(FILES);
    files.drain(..superfluous);
    let opened = files.into_iter().map(|file| {
        let opened = open_one(&folder.join(&file));
        opened.map(|opened| (file, opened))
    });
    // One that was rotated away meanwhile is missing and no harm.
    let opened: Vec<(String, File)> = opened.filter_map(Result::ok).collect();
    let live = opened.last().filter(|(file, _)| *file == name).and_then(|(_, live)| live.try_clone().ok());
    let live = live.ok_or(Refusal::Unreadable)?;
    Ok((Log { folder, name, container, live }, opened))
}

fn open_one(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a plain file")) }
}

fn told(name: &str) -> FileTold {
    FileTold { name: name.to_owned(), gzip: rotation::is_compressed(name) }
}
