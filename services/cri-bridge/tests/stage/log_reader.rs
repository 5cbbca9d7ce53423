//! A reader of logs, as node-api is one.

use messages::PodUid;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::Value;
use std::{
    fs::File,
    io::{IoSliceMut, Read},
    mem::MaybeUninit,
    path::Path,
};
use tokio::{
    io::{AsyncWriteExt, Interest},
    net::UnixStream,
};

/// The text of the live file of a container's newest instance, without times and tags.
pub(crate) async fn text(socket: &Path, pod: &PodUid, container: &str) -> Option<String> {
    let mut reader = Reader::ask(socket, pod, container).await;
    let (answer, mut files) = reader.line().await?;
    let _ = answer.get("files")?;
    let mut log = String::new();
    files.pop()?.read_to_string(&mut log).ok()?;
    Some(log.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default().to_owned() + "\n").collect())
}

/// All notices, until there are no more.
pub(crate) async fn notices(socket: &Path, pod: &PodUid, container: &str) -> Vec<String> {
    let mut reader = Reader::ask(socket, pod, container).await;
    let (answer, _) = reader.line().await.unwrap();
    assert!(answer.get("files").is_some(), "{answer}");
    let mut notices = Vec::new();
    while let Some((notice, files)) = reader.line().await {
        let notice = notice["notice"].as_str().unwrap().to_owned();
        assert_eq!(files.len(), usize::from(notice == "rotated"));
        notices.push(notice);
    }
    notices
}

struct Reader {
    stream: UnixStream,
    bytes: Vec<u8>,
    files: Vec<File>,
}

impl Reader {
    async fn ask(socket: &Path, pod: &PodUid, container: &str) -> Self {
        let mut stream = UnixStream::connect(socket).await.unwrap();
        let request = serde_json::json!({"pod": pod, "container": container, "instance": "latest"});
        stream.write_all(format!("{request}\n").as_bytes()).await.unwrap();
        Self { stream, bytes: Vec::new(), files: Vec::new() }
    }

    async fn line(&mut self) -> Option<(Value, Vec<File>)> {
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                let line: Value = serde_json::from_slice(&line).unwrap();
                // One read may bring several lines: each has as many files as it tells.
                let count = line.get("files").and_then(Value::as_array).map_or(0, Vec::len);
                return Some((line, self.files.drain(..count).collect()));
            }
            if self.receive().await == 0 {
                return None;
            }
        }
    }

    async fn receive(&mut self) -> usize {
        let (mut buffer, mut space) =
            ([0; 1024], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))]);
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let stream = &self.stream;
        let received = stream
            .async_io(Interest::READABLE, || {
                Ok(recvmsg(
                    stream,
                    &mut [IoSliceMut::new(&mut buffer)],
                    &mut beside,
                    RecvFlags::CMSG_CLOEXEC,
                )?)
            })
            .await
            .unwrap();
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(files) = message {
                self.files.extend(files.map(File::from));
            }
        }
        self.bytes.extend_from_slice(&buffer[..received.bytes]);
        received.bytes
    }
}
