//! One connection to cri-bridge's socket: a request, an answer, and notices, each a line of JSON; with some come
//! descriptors (`SCM_RIGHTS`).

use crate::{
    core::directory::LogTarget,
    ports::{Change, NoLog},
};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    path::Path,
};
use tokio::{
    io::{AsyncWriteExt, Interest},
    net::UnixStream,
};

/// The longest line it may say.
const LONGEST: usize = 64 << 10;
/// The most descriptors that the kernel lets anybody send at once.
const MOST: usize = 253;

#[derive(Deserialize)]
struct Named {
    gzip: bool,
}

/// What cri-bridge says, one per line. As many descriptors come with a line as it names files.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Error {
        error: String,
    },
    Notice {
        notice: String,
        #[serde(default)]
        files: Vec<Named>,
    },
    Opened {
        files: Vec<Named>,
        running: bool,
    },
}

/// A log that cri-bridge has opened.
pub(super) struct Opened {
    /// The files that are not packed, the oldest first.
    pub(super) files: Vec<File>,
    /// The container runs.
    pub(super) is_growing: bool,
    /// What is said from now on.
    pub(super) conversation: Conversation,
}

/// A connection, what was read of its next line, and descriptors that were not handed on yet.
#[derive(Debug)]
pub(super) struct Conversation {
    stream: UnixStream,
    begun: Vec<u8>,
    files: VecDeque<File>,
}

/// Asks for a log.
pub(super) async fn open(path: &Path, target: &LogTarget) -> Result<Opened, NoLog> {
    let mut stream = UnixStream::connect(path).await.map_err(NoLog::Away)?;
    let request = json!({"pod": target.pod, "container": target.container, "instance": target.instance});
    stream.write_all(format!("{request}\n").as_bytes()).await.map_err(NoLog::Away)?;
    let mut conversation = Conversation { stream, begun: Vec::new(), files: VecDeque::new() };
    match conversation.line().await.map_err(NoLog::Away)? {
        Some(Said::Opened { files, running: is_growing }) => {
            let opened = conversation.take(&files).ok_or(NoLog::Unreadable)?;
            let plain = opened.into_iter().zip(files).filter(|(_, named)| !named.gzip).map(|(file, _)| file);
            Ok(Opened { files: plain.collect(), is_growing, conversation })
        }
        Some(Said::Error { error }) => Err(NoLog::Refused(error)),
        Some(Said::Notice { .. }) | None => Err(NoLog::Unreadable),
    }
}

impl Conversation {
    /// The next thing that happens; nothing once nobody tells any more. Cancel-safe: whatever was read is kept.
    pub(super) async fn notice(&mut self) -> Option<Change> {
        loop {
            let Ok(Some(Said::Notice { notice, files })) = self.line().await else { return None };
            match (notice.as_str(), self.take(&files)?.pop()) {
                ("grown", _) => return Some(Change::Grown),
                ("ended", _) => return Some(Change::Ended),
                ("rotated", Some(file)) => return Some(Change::Rotated(file)),
                // What is not known yet means nothing to us.
                _ => {}
            }
        }
    }

    /// The descriptors of the files that a line names. Several lines may have been read at once, so that those of
    /// later ones may be there too.
    fn take(&mut self, named: &[Named]) -> Option<Vec<File>> {
        (named.len() <= self.files.len()).then(|| self.files.drain(..named.len()).collect())
    }

    /// The next line; `None` for one that cannot be read, and at the end.
    async fn line(&mut self) -> io::Result<Option<Said>> {
        loop {
            if let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.begun.drain(..=end).collect();
                return Ok(serde_json::from_slice(&line).ok());
            }
            if self.begun.len() > LONGEST || !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// Reads some bytes, and the descriptors that come with them; false at the end.
    async fn read(&mut self) -> io::Result<bool> {
        let stream = &self.stream;
        let (bytes, files) = stream.async_io(Interest::READABLE, || receive(stream)).await?;
        self.begun.extend_from_slice(&bytes);
        self.files.extend(files);
        Ok(!bytes.is_empty())
    }
}

fn receive(stream: &UnixStream) -> io::Result<(Vec<u8>, Vec<File>)> {
    let mut bytes = vec![0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    bytes.truncate(received.bytes);
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok((bytes, rights.flatten().map(File::from).collect()))
}
