//! Runs a command at the runtime's streaming server and gathers what it writes: `/run`, which has no stream of
//! its own. As a WebSocket client of `v4.channel.k8s.io`: each message begins with the number of its channel.

use crate::core::{
    refused::Refused,
    run::{Ended, ended},
};
use futures::StreamExt;
use std::fmt::Display;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        http::{HeaderValue, header},
        protocol::WebSocketConfig,
    },
};

/// How much a command may write, in bytes, as upstream's ExecSync.
const MOST: usize = 16 << 20;
/// The longest message, in bytes; the runtime's have 32 KiB.
const LONGEST: usize = 1 << 20;
const PROTOCOL: HeaderValue = HeaderValue::from_static("v4.channel.k8s.io");
/// Channels.
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Standard output.
    pub(crate) stdout: Vec<u8>,
    /// Standard error.
    pub(crate) stderr: Vec<u8>,
    /// How it ended.
    pub(crate) ended: Ended,
}

/// Runs the command that the runtime has prepared at `url`.
pub(crate) async fn run(url: &str) -> Result<Ran, Refused> {
    let mut stream = connect(url).await?;
    let nothing = Ended::Failed("the runtime broke off".to_owned());
    let mut ran = Ran { stdout: Vec::new(), stderr: Vec::new(), ended: nothing };
    while let Some(message) = stream.next().await {
        match message.map_err(unreachable)? {
            Message::Binary(bytes) => ran.take(&bytes)?,
            Message::Close(_) => break,
            _ => {}
        }
    }
    Ok(ran)
}

impl Ran {
    fn take(&mut self, message: &[u8]) -> Result<(), Refused> {
        let Some((channel, bytes)) = message.split_first() else { return Ok(()) };
        match *channel {
            STDOUT => self.stdout.extend_from_slice(bytes),
            STDERR => self.stderr.extend_from_slice(bytes),
            STATUS => self.ended = ended(bytes),
            _ => {}
        }
        if self.stdout.len() + self.stderr.len() > MOST {
            return Err(Refused::internal(format!("the command wrote more than {MOST} bytes")));
        }
        Ok(())
    }
}

async fn connect(url: &str) -> Result<WebSocketStream<TcpStream>, Refused> {
    let host = url.strip_prefix("http://").ok_or_else(|| unreachable("its URL is not http://"))?;
    let mut request = format!("ws://{host}").into_client_request().map_err(unreachable)?;
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL);
    let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    let tcp = TcpStream::connect(authority).await.map_err(unreachable)?;
    let bounds = WebSocketConfig::default().max_message_size(Some(LONGEST));
    Ok(client_async_with_config(request, tcp, Some(bounds)).await.map_err(unreachable)?.0)
}

fn unreachable(why: impl Display) -> Refused {
    Refused::internal(format!("could not reach the runtime's streaming server: {why}"))
}
