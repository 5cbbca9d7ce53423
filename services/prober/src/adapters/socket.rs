//! TCP connections of probes: short-lived, and closed so that few are left in TIME_WAIT.

use super::HostPort;
use rustix::{io::Errno, net::sockopt};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// What the kubelet's probes set.
const LINGER: Duration = Duration::from_secs(1);

/// A connection. Closing one that lingers may block, so that is left to a thread that may be blocked.
#[derive(Debug)]
pub struct Socket {
    stream: Option<TcpStream>,
}

/// Opens a connection.
///
/// # Errors
/// With a sentence in the words of the kubelet, such as `dial tcp 10.0.0.7:80: connect: connection
/// refused`.
pub async fn connect(host: &str, port: u16) -> Result<Socket, String> {
    let failed = |error: &io::Error| {
        let what = if error.raw_os_error().is_some() { "connect" } else { "lookup" };
        format!("dial tcp {}: {what}: {}", HostPort(host, port), plain(error))
    };
    let stream = TcpStream::connect((host, port)).await.map_err(|error| failed(&error))?;
    sockopt::set_socket_linger(&stream, Some(LINGER)).map_err(|errno| failed(&errno.into()))?;
    Ok(Socket { stream: Some(stream) })
}

/// The system's word for an error without its number, in lower case.
pub fn plain(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(number) => Errno::from_raw_os_error(number).to_string(),
        None => error.to_string(),
    };
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_lowercase()
}

impl Socket {
    fn inner(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(self.get_mut().stream.as_mut().expect("the stream is taken out by drop alone"))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let stream = self.stream.take().and_then(|stream| stream.into_std().ok());
        // Outside of a runtime the stream is closed right here.
        if let (Some(stream), Ok(runtime)) = (stream, tokio::runtime::Handle::try_current()) {
            runtime.spawn_blocking(move || drop(stream));
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.inner().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(cx)
    }
}
