//! Real probes against real servers on loopback.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use http::header;
use prober::{
    adapters::{grpc, http::Http, tcp},
    core::{check::HttpGet, outcome::Outcome},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::mpsc,
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Answers every request with what `answer` makes of its path; hands on each request's head.
async fn serve_http(answer: impl Fn(&str) -> String + 'static) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, heads) = mpsc::unbounded_channel();
    actix::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let head = answer_one(stream, &answer).await;
            let _ = tell.send(head);
        }
    });
    (port, heads)
}

async fn answer_one(stream: impl AsyncRead + AsyncWrite + Unpin, answer: &impl Fn(&str) -> String) -> String {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).await.unwrap_or(0) > 0 {}
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let _ = stream.write_all(answer(&path).as_bytes()).await;
    let _ = stream.shutdown().await;
    head
}

fn status(line: &str) -> String {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n")
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\n{}: {to}\r\nContent-Length: 4\r\n\r\ngone", header::LOCATION)
}

fn get(port: u16, path: &str) -> HttpGet {
    HttpGet { scheme: "http".into(), host: "127.0.0.1".into(), port, path: path.into(), headers: vec![] }
}

fn failure(why: &str) -> Outcome {
    Outcome::Failure(why.into())
}

#[actix::test]
async fn http_statuses_decide() {
    let (port, _heads) = serve_http(|path| match path {
        "/ok" => status("200 OK"),
        "/last" => status("399 Odd"),
        "/bad" => status("400 Bad Request"),
        "/broken" => status("500 Internal Server Error"),
        "/loop" => redirect("/loop"),
        "/moved" => redirect("/ok"),
        "/moved-to-bad" => redirect("/broken"),
        "/away" => redirect("http://other.example/x"),
        _ => "nonsense\r\n\r\n".to_owned(),
    })
    .await;
    let http = Http::new();
    let away = Outcome::Warning("Probe terminated redirects, Response body: gone".into());
    let last = Outcome::Warning("Probe terminated redirects, Response body: ".into());
    let in_circles = format!("Get \"http://127.0.0.1:{port}/loop\": stopped after 10 redirects");
    let cases = [
        ("200", "/ok", Outcome::Success),
        ("a 3xx that leads nowhere", "/last", last),
        ("400", "/bad", failure("HTTP probe failed with statuscode: 400")),
        ("500", "/broken", failure("HTTP probe failed with statuscode: 500")),
        ("a redirect on the same host is followed", "/moved", Outcome::Success),
        ("what it leads to decides", "/moved-to-bad", failure("HTTP probe failed with statuscode: 500")),
        ("a redirect to another host is a success that warns", "/away", away),
        ("redirects in circles end", "/loop", failure(&in_circles)),
    ];
    for (name, path, want) in cases {
        assert_eq!(http.probe(&get(port, path), TIMEOUT).await, want, "{name}");
    }
    let outcome = http.probe(&get(port, "/nonsense"), TIMEOUT).await;
    assert!(matches!(outcome, Outcome::Failure(_)), "what is no HTTP is a failure: {outcome:?}");
}

#[actix::test]
async fn a_request_carries_the_probes_headers_and_asks_to_be_closed() {
    let (port, mut heads) = serve_http(|_| status("200 OK")).await;
    let headers = vec![("Host".to_owned(), "web.example".to_owned()), ("X-A".to_owned(), "1".to_owned())];
    let get = HttpGet { headers, ..get(port, "/x?a=b") };
    assert_eq!(Http::new().probe(&get, TIMEOUT).await, Outcome::Success);
    let head = heads.recv().await.unwrap();
    let mut lines: Vec<_> = head.trim_end().split("\r\n").collect();
    assert_eq!(lines.remove(0), "GET /x?a=b HTTP/1.1");
    lines.sort_unstable();
    let want =
        ["Accept: */*", "Connection: close", "Host: web.example", "User-Agent: kube-probe/1.36", "X-A: 1"];
    assert_eq!(lines, want);
}

#[actix::test]
async fn a_server_that_cannot_be_reached_or_does_not_answer_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap().port();
    let closed = {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        gone.local_addr().unwrap().port()
    };
    let short = Duration::from_millis(50);
    let http = Http::new();
    let refused = format!(
        "Get \"http://127.0.0.1:{closed}/\": dial tcp 127.0.0.1:{closed}: connect: connection refused"
    );
    assert_eq!(http.probe(&get(closed, "/"), TIMEOUT).await, failure(&refused));
    let Outcome::Failure(why) = http.probe(&get(silent, "/"), short).await else { panic!("it answered") };
    assert!(why.contains("context deadline exceeded"), "{why}");
}

#[actix::test]
async fn a_long_body_is_not_read_to_its_end() {
    let body = "x".repeat(100 * 1024);
    let answer = format!("HTTP/1.1 304 Odd\r\nLocation: /\r\n\r\n{body}");
    let (port, _heads) = serve_http(move |_| answer.clone()).await;
    let outcome = Http::new().probe(&get(port, "/"), TIMEOUT).await;
    assert!(matches!(outcome, Outcome::Warning(text) if text.len() < 11 * 1024));
}

#[actix::test]
async fn https_is_probed_whatever_the_certificate_says() {
    let made = rcgen::generate_simple_self_signed(vec!["other.example".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    actix::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = acceptor.accept(stream).await.unwrap();
        answer_one(stream, &|_: &str| status("200 OK")).await;
    });
    let get = HttpGet { scheme: "https".into(), ..get(port, "/") };
    assert_eq!(Http::new().probe(&get, TIMEOUT).await, Outcome::Success);
}

#[actix::test]
async fn a_port_that_opens_is_well() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(tcp::probe("127.0.0.1", port, TIMEOUT).await, Outcome::Success);
    drop(listener);
    let refused = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
    assert_eq!(tcp::probe("127.0.0.1", port, TIMEOUT).await, failure(&refused));
}

mod health {
    use proto::grpc::health::v1::{
        HealthCheckRequest, HealthCheckResponse,
        health_check_response::ServingStatus,
        health_server::{Health, HealthServer},
    };
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::{Request, Response, Status, transport::Server};

    /// Serves `up`, does not serve `down`, knows nothing else; only to a probe's user agent.
    struct Scripted;

    #[tonic::async_trait]
    impl Health for Scripted {
        async fn check(
            &self,
            request: Request<HealthCheckRequest>,
        ) -> Result<Response<HealthCheckResponse>, Status> {
            let agent = request.metadata().get("user-agent").and_then(|agent| agent.to_str().ok());
            if !agent.is_some_and(|agent| agent.starts_with("kube-probe/1.36")) {
                return Err(Status::permission_denied("not a probe"));
            }
            let status = match request.into_inner().service.as_str() {
                "" | "up" => ServingStatus::Serving,
                "down" => ServingStatus::NotServing,
                _ => return Err(Status::not_found("unknown service")),
            };
            Ok(Response::new(HealthCheckResponse { status: status.into() }))
        }
    }

    pub(super) async fn serve() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Server::builder().add_service(HealthServer::new(Scripted));
        actix::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        port
    }

    pub(super) async fn serve_nothing() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Server::builder().add_routes(tonic::service::Routes::default());
        actix::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        port
    }
}

#[actix::test]
async fn a_grpc_server_must_serve() {
    let port = health::serve().await;
    let unknown = "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service";
    let cases = [
        ("the server as a whole", "", Outcome::Success),
        ("a service of it", "up", Outcome::Success),
        ("one that is down", "down", failure("service unhealthy (responded with \"NOT_SERVING\")")),
        ("one that it does not know", "other", failure(unknown)),
    ];
    for (name, service, want) in cases {
        assert_eq!(grpc::probe(("127.0.0.1", port), service, TIMEOUT).await, want, "{name}");
    }
}

#[actix::test]
async fn a_grpc_server_without_health_fails() {
    let port = health::serve_nothing().await;
    let outcome = grpc::probe(("127.0.0.1", port), "", TIMEOUT).await;
    let want = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)";
    assert!(matches!(&outcome, Outcome::Failure(why) if why.starts_with(want)), "{outcome:?}");
}
