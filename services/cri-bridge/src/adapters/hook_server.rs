//! The HTTP request of a lifecycle hook.
//!
//! Any answer is a good one: hooks tell a server something and do not ask. A certificate is not
//! looked at, as with probes: the pod vouches for itself.

mod tls;

use crate::core::hook::Request;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::io;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// Why a hook's request failed.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// Nobody listens there.
    #[error("could not connect to {host}:{port}")]
    Connect {
        /// Where.
        host: String,
        /// Where.
        port: u16,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The request has a header or path that HTTP does not allow.
    #[error("the request can't be written")]
    Request(#[source] http::Error),
    /// No answer.
    #[error("no answer")]
    Exchange(#[source] hyper::Error),
}

/// How a request was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// As the hook says.
    AsAsked,
    /// Without TLS, because the server spoke plain HTTP.
    InPlain,
}

/// Carries out a hook's request.
///
/// # Errors
/// When the server can't be reached or does not answer.
pub async fn send(request: &Request) -> Result<Carried, HookError> {
    if !request.is_https {
        exchange(request, connect(request).await?).await?;
        return Ok(Carried::AsAsked);
    }
    match tls::connect(&request.host, connect(request).await?).await {
        Ok(stream) => exchange(request, stream).await.map(|()| Carried::AsAsked),
        Err(error) if tls::is_plain_http(&error) => {
            exchange(request, connect(request).await?).await.map(|()| Carried::InPlain)
        }
        Err(source) => Err(connect_error(request)(source)),
    }
}

async fn connect(request: &Request) -> Result<TcpStream, HookError> {
    TcpStream::connect((request.host.as_str(), request.port)).await.map_err(connect_error(request))
}

fn connect_error(request: &Request) -> impl FnOnce(io::Error) -> HookError {
    let (host, port) = (request.host.clone(), request.port);
    move |source| HookError::Connect { host, port, source }
}

/// One request, one answer, whose body is not read.
async fn exchange<S>(request: &Request, stream: S) -> Result<(), HookError>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut message = http::Request::get(&request.target);
    for (name, value) in &request.headers {
        message = message.header(name, value);
    }
    let message = message.body(Empty::<Bytes>::new()).map_err(HookError::Request)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(HookError::Exchange)?;
    // The connection makes progress beside the answer and ends with it: neither outlives the other.
    tokio::select! {
        answer = sender.send_request(message) => answer.map(drop).map_err(HookError::Exchange),
        broken = connection => broken.map_err(HookError::Exchange),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// A server that answers once, with nothing good, and tells what it was sent.
    async fn server() -> (u16, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            let mut heard = Vec::new();
            while heard.last().is_none_or(|heard: &String| !heard.starts_with("GET")) {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 4096];
                let length = stream.read(&mut buffer).await.unwrap();
                heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
                stream.write_all(b"HTTP/1.1 500 no\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            }
            heard
        });
        (port, serving)
    }

    fn request(port: u16, is_https: bool) -> Request {
        let headers = vec![("Host".to_owned(), "pod".to_owned()), ("User-Agent".to_owned(), "us".to_owned())];
        Request { is_https, host: "127.0.0.1".into(), port, target: "/echo?msg=a".into(), headers }
    }

    #[actix::test]
    async fn any_answer_is_a_good_one() {
        let (port, serving) = server().await;
        assert_eq!(send(&request(port, false)).await.unwrap(), Carried::AsAsked);
        let heard = serving.await.unwrap().remove(0);
        assert!(heard.starts_with("GET /echo?msg=a HTTP/1.1\r\nhost: pod\r\nuser-agent: us\r\n"), "{heard}");
    }

    #[actix::test]
    async fn a_server_without_tls_is_asked_in_plain() {
        let (port, serving) = server().await;
        assert_eq!(send(&request(port, true)).await.unwrap(), Carried::InPlain);
        assert_eq!(serving.await.unwrap().len(), 2);
    }

    #[actix::test]
    async fn a_server_that_is_not_there_is_named() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let error = send(&request(port, false)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("could not connect to 127.0.0.1:{port}"));
    }
}
