//! What goes over the socket for logs: a line of JSON each way, and open files beside it.

use messages::{ContainerName, PodUid};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd},
};
use tokio::{
    io::{AsyncReadExt, Interest},
    net::UnixStream,
};

/// The longest request, in bytes.
const LONGEST: usize = 4096;

/// What a reader wants.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Request {
    /// The pod.
    pub(super) pod: PodUid,
    /// The container.
    pub(super) container: ContainerName,
    /// Which instance.
    pub(super) instance: Instance,
}

/// Which instance of a container is meant.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub(super) enum Instance {
    Latest,
    Previous,
    Id(String),
}

impl From<String> for Instance {
    fn from(text: String) -> Self {
        match text.as_str() {
            "latest" => Self::Latest,
            "previous" => Self::Previous,
            _ => Self::Id(text),
        }
    }
}

/// Why there is no log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Refusal {
    BadRequest,
    UnknownPod,
    UnknownContainer,
    NoInstance,
    NoLog,
    Unreadable,
}

/// A file that comes beside a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct FileTold {
    /// Its name.
    pub(super) name: String,
    /// Whether it is compressed.
    pub(super) gzip: bool,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Files { container_id: String, attempt: u32, running: bool, files: Vec<FileTold> },
    Refused { error: Refusal },
}

/// What is told afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "notice", rename_all = "kebab-case")]
pub(super) enum Notice {
    Grown,
    Rotated { files: Vec<FileTold> },
    Ended,
}

/// Reads the request; `None` for one that cannot be understood.
pub(super) async fn read_request(stream: &mut UnixStream) -> io::Result<Option<Request>> {
    let mut line = Vec::new();
    while line.len() < LONGEST {
        let mut buffer = [0; 512];
        let read = stream.read(&mut buffer).await?;
        line.extend_from_slice(&buffer[..read]);
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            return Ok(serde_json::from_slice(&line[..end]).ok());
        }
        if read == 0 {
            break;
        }
    }
    Ok(None)
}

/// Returns once the reader has closed its end.
pub(super) async fn gone(stream: &UnixStream) -> io::Result<()> {
    let mut buffer = [0; 64];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            // There is nothing to say any more, and nothing is answered.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sends a line, with open files beside its first byte.
pub(super) async fn send(stream: &UnixStream, line: &impl Serialize, files: &[&File]) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line).map_err(io::Error::other)?;
    bytes.push(b'\n');
    let mut sent = 0;
    while sent < bytes.len() {
        let files = if sent == 0 { files } else { &[] };
        let rest = &bytes[sent..];
        sent += stream.async_io(Interest::WRITABLE, || send_some(stream, rest, files)).await?;
    }
    Ok(())
}

fn send_some(stream: &UnixStream, bytes: &[u8], files: &[&File]) -> io::Result<usize> {
    let descriptors: Vec<BorrowedFd<'_>> = files.iter().map(|file| file.as_fd()).collect();
    let message = SendAncillaryMessage::ScmRights(&descriptors);
    let mut space = vec![MaybeUninit::uninit(); message.size()];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !beside.push(message) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut beside, SendFlags::NOSIGNAL)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    use std::io::{IoSliceMut, Read, Write};

    #[test]
    fn lines_are_as_the_readme_has_them() {
        let request: Request =
            serde_json::from_str(r#"{"pod": "u-1", "container": "app", "instance": "abc"}"#).unwrap();
        assert_eq!(request.instance, Instance::Id("abc".into()));
        let files = vec![FileTold { name: "3.log".into(), gzip: false }];
        let answer =
            Answer::Files { container_id: "c".into(), attempt: 3, running: true, files: files.clone() };
        let cases = [
            (
                serde_json::to_string(&answer).unwrap(),
                r#"{"container_id":"c","attempt":3,"running":true,"files":[{"name":"3.log","gzip":false}]}"#,
            ),
            (
                serde_json::to_string(&Answer::Refused { error: Refusal::UnknownPod }).unwrap(),
                r#"{"error":"unknown-pod"}"#,
            ),
            (serde_json::to_string(&Notice::Grown).unwrap(), r#"{"notice":"grown"}"#),
            (
                serde_json::to_string(&Notice::Rotated { files }).unwrap(),
                r#"{"notice":"rotated","files":[{"name":"3.log","gzip":false}]}"#,
            ),
            (serde_json::to_string(&Notice::Ended).unwrap(), r#"{"notice":"ended"}"#),
        ];
        for (got, want) in cases {
            assert_eq!(got, want);
        }
    }

    #[actix::test]
    async fn what_is_no_request_is_told_from_one() {
        let cases: [(&str, &[u8], bool); 4] = [
            ("a request", b"{\"pod\": \"u\", \"container\": \"a\", \"instance\": \"latest\"}\n", true),
            (
                "a path for a pod",
                b"{\"pod\": \"../u\", \"container\": \"a\", \"instance\": \"latest\"}\n",
                false,
            ),
            ("no line", b"{", false),
            ("too much", &[b'x'; 5000], false),
        ];
        for (sentence, bytes, is_one) in cases {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            let mut theirs = theirs.into_std().unwrap();
            theirs.set_nonblocking(false).unwrap();
            theirs.write_all(bytes).unwrap();
            drop(theirs);
            assert_eq!(read_request(&mut ours).await.unwrap().is_some(), is_one, "{sentence}");
        }
    }

    #[actix::test]
    async fn files_come_beside_the_line() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), "in the log").unwrap();
        send(&ours, &Notice::Grown, &[&File::open(path.path()).unwrap()]).await.unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut line = [0; 64];
        let read =
            recvmsg(&theirs, &mut [IoSliceMut::new(&mut line)], &mut beside, RecvFlags::empty()).unwrap();
        assert_eq!(&line[..read.bytes], b"{\"notice\":\"grown\"}\n");
        let files: Vec<_> = beside
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(files) => Some(files.collect::<Vec<_>>()),
                _ => None,
            })
            .flatten()
            .collect();
        let mut text = String::new();
        File::from(files.into_iter().next().unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "in the log");
    }
}
