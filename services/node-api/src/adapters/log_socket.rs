//! Log files from cri-bridge, at its socket `logs.sock` (`services/cri-bridge/README.md`): this process may not
//! read the folder of the logs, so it is given open descriptors, and is told when they grow or are replaced.
//!
//! cri-bridge may be restarted while somebody follows a log: the log is then asked for again, and goes on in
//! whatever files came after the one that was being read.

mod conversation;

use crate::{
    core::directory::LogTarget,
    ports::{Change, Changes, Logs, NoLog, OpenLog},
};
use conversation::{Conversation, Opened};
use futures::{FutureExt, future::BoxFuture};
use std::{collections::VecDeque, fs::File, io, os::unix::fs::MetadataExt, path::PathBuf, time::Duration};
use tokio::time::{sleep, timeout};
use tracing::debug;

/// How long cri-bridge may take to open a log.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may be away while a log is followed.
const ABSENCE: Duration = Duration::from_secs(30);
/// The pause between tries.
const PAUSE: Duration = Duration::from_millis(250);

/// The socket.
#[derive(Debug, Clone)]
pub(crate) struct LogSocket(pub(crate) PathBuf);

impl Logs for LogSocket {
    fn open(&self, target: LogTarget) -> BoxFuture<'static, Result<OpenLog, NoLog>> {
        let path = self.0.clone();
        async move {
            let Opened { files, is_growing, conversation } = open(&path, &target).await?;
            let live = files.last().and_then(id);
            let watch = Watch { path, target, conversation, live, waiting: VecDeque::new() };
            Ok(OpenLog { files, is_growing, changes: Box::new(watch) })
        }
        .boxed()
    }
}

async fn open(path: &std::path::Path, target: &LogTarget) -> Result<Opened, NoLog> {
    let away = |_| NoLog::Away(io::ErrorKind::TimedOut.into());
    timeout(PATIENCE, conversation::open(path, target)).await.map_err(away)?
}

/// Which file a descriptor is of: device and inode. Inodes are not used again while somebody reads them.
type FileId = (u64, u64);

fn id(file: &File) -> Option<FileId> {
    file.metadata().ok().map(|meta| (meta.dev(), meta.ino()))
}

/// What happens to a log, over as many connections as it takes.
#[derive(Debug)]
struct Watch {
    path: PathBuf,
    target: LogTarget,
    conversation: Conversation,
    /// The file that is being read.
    live: Option<FileId>,
    /// What happened while nobody told.
    waiting: VecDeque<Change>,
}

impl Changes for Watch {
    fn next(&mut self) -> BoxFuture<'_, Change> {
        async move {
            // Cancel-safe: what was learned is kept before the next await.
            if self.waiting.is_empty() {
                match self.conversation.notice().await {
                    Some(change) => self.waiting.push_back(change),
                    None => self.resume().await,
                }
            }
            let change = self.waiting.pop_front().unwrap_or(Change::Lost);
            if let Change::Rotated(file) = &change {
                self.live = id(file);
            }
            change
        }
        .boxed()
    }
}

impl Watch {
    /// Asks for the log again until there is an answer, or for as long as that makes sense.
    async fn resume(&mut self) {
        let again = async {
            loop {
                match open(&self.path, &self.target).await {
                    Ok(opened) => return opened,
                    Err(failure) => debug!(%failure, "a followed log has to wait"),
                }
                sleep(PAUSE).await;
            }
        };
        if let Ok(opened) = timeout(ABSENCE, again).await {
            self.go_on(opened);
        }
    }

    /// Notes what happened meanwhile: the files that came after the one that is being read, and its end.
    fn go_on(&mut self, Opened { mut files, is_growing, conversation }: Opened) {
        let known = files.iter().position(|file| id(file).is_some() && id(file) == self.live);
        let newer = files.split_off(known.map_or(files.len().saturating_sub(1), |known| known + 1));
        self.waiting.extend(newer.into_iter().map(Change::Rotated));
        self.waiting.push_back(if is_growing { Change::Grown } else { Change::Ended });
        self.conversation = conversation;
    }
}
