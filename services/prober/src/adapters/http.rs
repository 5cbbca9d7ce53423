//! HTTP probes: one GET without keep-alive; redirects are followed on the same host.
//!
//! Transport errors and timeouts are failures: a server that can't be reached is not well. Neither
//! proxies nor certificates are looked at.

use super::{
    HostPort,
    socket::{self, Socket},
    tls,
};
use crate::core::{check::HttpGet, headers::Headers, outcome::Outcome};
use ::http::{Request, StatusCode, header};
use futures::future::{Either, select};
use http_body_util::{BodyExt, Empty};
use hyper::{
    Response,
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::{pin::pin, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use url::Url;

/// As many requests as Go's client makes before it gives up following redirects.
const REQUESTS: usize = 10;
/// So much of an answer's body is read.
const BODY: usize = 10 * 1024;

/// Sends HTTP probes.
pub struct Http {
    tls: TlsConnector,
}

/// One request of a probe: the first, or one that a redirect asks for.
struct Hop {
    url: Url,
    host_header: String,
}

/// The answer, as far as a probe looks at it.
struct Answer {
    status: StatusCode,
    location: Option<String>,
    body: Vec<u8>,
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl Http {
    /// Nothing is connected yet.
    pub fn new() -> Self {
        Self { tls: tls::connector() }
    }

    /// Probes once.
    pub async fn probe(&self, get: &HttpGet, timeout: Duration) -> Outcome {
        let first = match first_url(get) {
            Ok(url) => url,
            Err(why) => return Outcome::Errored(why),
        };
        let said = shown(get, &first);
        match tokio::time::timeout(timeout, self.follow(get, first)).await {
            Ok(Ok(answer)) => judge(&answer),
            Ok(Err(why)) => Outcome::Failure(format!("Get \"{said}\": {why}")),
            Err(_) => Outcome::Failure(format!(
                "Get \"{said}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            )),
        }
    }

    async fn follow(&self, get: &HttpGet, first: Url) -> Result<Answer, String> {
        let headers = Headers::of(&get.headers);
        let own_host = first.host_str().map(str::to_owned);
        let default_host = HostPort(&get.host, get.port).to_string();
        let host_header = headers.host.clone().unwrap_or(default_host);
        let mut hop = Hop { url: first, host_header };
        for _ in 0..REQUESTS {
            let answer = self.send(&hop, &headers).await?;
            let Some(next) = next_hop(&hop, &answer)? else { return Ok(answer) };
            if next.url.host_str() != own_host.as_deref() {
                return Ok(answer);
            }
            hop = next;
        }
        Err(format!("stopped after {REQUESTS} redirects"))
    }

    async fn send(&self, hop: &Hop, headers: &Headers) -> Result<Answer, String> {
        let request = request(hop, headers)?;
        let host = hop.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = hop.url.port_or_known_default().unwrap_or_default();
        let socket = socket::connect(host, port).await?;
        match hop.url.scheme() {
            "http" => exchange(socket, request).await,
            "https" => exchange(self.secure(host, socket).await?, request).await,
            other => Err(format!("unsupported protocol scheme {other:?}")),
        }
    }

    async fn secure(
        &self,
        host: &str,
        socket: Socket,
    ) -> Result<tokio_rustls::client::TlsStream<Socket>, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|bad| bad.to_string())?;
        self.tls.connect(name, socket).await.map_err(|error| format!("tls: {}", socket::plain(&error)))
    }
}

/// Where the spec points: the path may carry a query; whatever host it names is the spec's all the
/// same.
fn first_url(get: &HttpGet) -> Result<Url, String> {
    let base = format!("{}://{}/", get.scheme, HostPort(&get.host, get.port));
    let base = Url::parse(&base).map_err(|bad| format!("invalid host {:?}: {bad}", get.host))?;
    let relative = get.path.trim_start_matches('/');
    let mut url = base.clone();
    url.set_fragment(None);
    match base.join(&format!("/{relative}")) {
        Ok(joined) => {
            url.set_path(joined.path());
            url.set_query(joined.query());
        }
        Err(_) => url.set_path(&get.path),
    }
    Ok(url)
}

/// The URL as the kubelet prints it, with the port even where it is the default.
fn shown(get: &HttpGet, url: &Url) -> String {
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}://{}{}{query}", get.scheme, HostPort(&get.host, get.port), url.path())
}

fn request(hop: &Hop, headers: &Headers) -> Result<Request<Empty<Bytes>>, String> {
    let path = &hop.url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut request = Request::get(path).header(header::HOST, &hop.host_header);
    for (name, value) in &headers.others {
        request = request.header(name, value);
    }
    request = request.header(header::CONNECTION, "close");
    request.body(Empty::new()).map_err(|bad| bad.to_string())
}

/// Where a redirect leads. A relative one keeps a `Host` header that the spec gave.
fn next_hop(hop: &Hop, answer: &Answer) -> Result<Option<Hop>, String> {
    let is_redirect = matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let Some(location) = answer.location.as_deref().filter(|_| is_redirect) else { return Ok(None) };
    let url = hop.url.join(location).map_err(|bad| format!("failed to parse Location header: {bad}"))?;
    let is_relative = Url::parse(location).is_err() && !location.starts_with("//");
    let host_header = if is_relative {
        hop.host_header.clone()
    } else {
        url[url::Position::BeforeHost..url::Position::AfterPort].to_owned()
    };
    Ok(Some(Hop { url, host_header }))
}

/// Sends a request and reads the answer, then leaves the connection.
async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut http = http1::Builder::new();
    http.title_case_headers(true);
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(transport)?;
    let answered = pin!(async {
        let response = sender.send_request(request).await.map_err(transport)?;
        Ok(answer(response).await)
    });
    // The connection only drives the answer; it may end first, with the answer read but not taken.
    match select(answered, pin!(connection)).await {
        Either::Left((answered, _)) => answered,
        Either::Right((_, answered)) => answered.await,
    }
}

async fn answer(response: Response<Incoming>) -> Answer {
    let status = response.status();
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let location = location.map(str::to_owned);
    Answer { status, location, body: beginning(response.into_body()).await }
}

/// The first part of a body. What follows, and a body that breaks off, change no verdict.
async fn beginning(mut body: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if bytes.len() >= BODY {
            bytes.truncate(BODY);
            break;
        }
    }
    bytes
}

fn judge(answer: &Answer) -> Outcome {
    match answer.status.as_u16() {
        200..300 => Outcome::Success,
        300..400 => Outcome::Warning(format!(
            "Probe terminated redirects, Response body: {}",
            String::from_utf8_lossy(&answer.body)
        )),
        status => Outcome::Failure(format!("HTTP probe failed with statuscode: {status}")),
    }
}

/// A transport error in one sentence, innermost cause only: hyper's outer words say nothing more.
fn transport(error: hyper::Error) -> String {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<std::io::Error>() {
        Some(io) => socket::plain(io),
        None if error.is_incomplete_message() => "EOF".to_owned(),
        None => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(host: &str, path: &str) -> HttpGet {
        HttpGet { scheme: "http".into(), host: host.into(), port: 80, path: path.into(), headers: vec![] }
    }

    #[test]
    fn the_path_of_the_spec_never_chooses_the_host() {
        let cases = [
            ("a path", "10.0.0.7", "/healthz", "http://10.0.0.7:80/healthz"),
            ("no path", "10.0.0.7", "", "http://10.0.0.7:80/"),
            ("no leading slash", "10.0.0.7", "healthz", "http://10.0.0.7:80/healthz"),
            ("a query", "10.0.0.7", "/x?a=1&b=2", "http://10.0.0.7:80/x?a=1&b=2"),
            ("another host", "10.0.0.7", "//evil.example/x", "http://10.0.0.7:80/evil.example/x"),
            ("a fragment", "10.0.0.7", "/x#y", "http://10.0.0.7:80/x"),
            ("spaces", "10.0.0.7", "/a b", "http://10.0.0.7:80/a%20b"),
            ("IPv6", "fd00::7", "/x", "http://[fd00::7]:80/x"),
        ];
        for (name, host, path, want) in cases {
            let get = get(host, path);
            let url = first_url(&get).unwrap();
            assert_eq!(shown(&get, &url), want, "{name}");
            assert_eq!(url.host_str().map(|host| host.trim_matches(['[', ']'])), Some(host), "{name}");
        }
    }

    #[test]
    fn a_redirect_keeps_the_host_header_only_when_it_is_relative() {
        let hop = Hop { url: Url::parse("http://10.0.0.7/a").unwrap(), host_header: "web.example".into() };
        let cases = [
            ("relative", "/b", Some(("http://10.0.0.7/b", "web.example"))),
            ("absolute", "http://10.0.0.7:81/b", Some(("http://10.0.0.7:81/b", "10.0.0.7:81"))),
            ("without scheme", "//10.0.0.8/b", Some(("http://10.0.0.8/b", "10.0.0.8"))),
        ];
        for (name, location, want) in cases {
            let answer = Answer { status: StatusCode::FOUND, location: Some(location.into()), body: vec![] };
            let next = next_hop(&hop, &answer).unwrap();
            let got = next.as_ref().map(|next| (next.url.as_str(), next.host_header.as_str()));
            assert_eq!(got, want, "{name}");
        }
    }
}
