//! Keeps asking `staticPodURL` for manifests, every `httpCheckFrequency`.
//!
//! Only `http` for now: TLS to foreign servers is api-gate's business, which does not offer it yet.

use crate::{
    core::{
        gather::{self, Found, Gathered},
        manifest::{self, MOST_URL_BYTES, Place, Refusal},
    },
    ports::{Desk, News},
};
use chassis::{config::RequestHeaders, error};
use http::{Request, StatusCode, Uri, uri::InvalidUri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use messages::{NodeName, pod_lifecycle::PodSource};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tracing::warn;

/// How long one answer may take, as the stock kubelet has it.
const PATIENCE: Duration = Duration::from_secs(10);

type Web = Client<HttpConnector, Empty<Bytes>>;

/// Where manifests are asked for.
#[derive(Debug)]
pub struct Source {
    /// The URL.
    pub url: String,
    /// What is sent with it; may hold a token.
    pub headers: RequestHeaders,
    /// The node that the pods are for.
    pub node: NodeName,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// The URL is none.
    #[error("{url:?} is no URL")]
    Url {
        /// What was given.
        url: String,
        /// Why not.
        #[source]
        source: InvalidUri,
    },
    /// Not of a kind that can be asked.
    #[error("only http URLs can be asked, not {scheme:?}")]
    Scheme {
        /// What was given.
        scheme: String,
    },
    /// A header is none.
    #[error("the request cannot be made")]
    Request(#[source] http::Error),
    /// Nobody there.
    #[error("no connection")]
    Connect(#[source] hyper_util::client::legacy::Error),
    /// Not the answer that was hoped for.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// Too long, or cut off.
    #[error("the answer could not be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Too slow.
    #[error("no answer within {PATIENCE:?}")]
    Late,
}

/// Asks and tells, for ever. What cannot be asked is told of once, and what is known stays.
pub async fn follow(source: Source, every: Duration, desk: Desk) {
    let web: Web = Client::builder(TokioExecutor::new()).build_http();
    let (mut last_body, mut last_error) = (None, String::new());
    loop {
        match ask(&web, &source).await {
            Ok(body) if last_body.as_ref() == Some(&body) => last_error.clear(),
            Ok(body) => {
                let news = News::Manifests(PodSource::Http, gathered(&source, &body));
                if desk.send(news).await.is_err() {
                    return;
                }
                last_body = Some(body);
                last_error.clear();
            }
            Err(failure) => {
                let text = error::chain(&failure);
                if last_error != text {
                    warn!(
                        url = source.url,
                        error = text,
                        "staticPodURL cannot be asked; pods known from it stay"
                    );
                    last_error = text;
                }
            }
        }
        sleep(every).await;
    }
}

fn gathered(source: &Source, body: &[u8]) -> Gathered {
    let result: Result<_, Refusal> = manifest::read(body, Place::Url(&source.url), &source.node);
    gather::gather(vec![Found { from: source.url.clone(), result }])
}

async fn ask(web: &Web, source: &Source) -> Result<Bytes, Unanswered> {
    timeout(PATIENCE, get(web, source)).await.map_err(|_| Unanswered::Late)?
}

async fn get(web: &Web, source: &Source) -> Result<Bytes, Unanswered> {
    let bad_url = |error| Unanswered::Url { url: source.url.clone(), source: error };
    let url: Uri = source.url.parse().map_err(bad_url)?;
    if url.scheme_str() != Some("http") {
        return Err(Unanswered::Scheme { scheme: url.scheme_str().unwrap_or_default().to_owned() });
    }
    let mut request = Request::get(url);
    for (name, values) in source.headers.reveal() {
        for value in values {
            request = request.header(name, value);
        }
    }
    let request = request.body(Empty::new()).map_err(Unanswered::Request)?;
    let answer = web.request(request).await.map_err(Unanswered::Connect)?;
    if answer.status() != StatusCode::OK {
        return Err(Unanswered::Status(answer.status()));
    }
    let body = Limited::new(answer.into_body(), MOST_URL_BYTES);
    Ok(body.collect().await.map_err(Unanswered::Body)?.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        sync::mpsc,
    };

    fn source(url: &str) -> Source {
        let headers = BTreeMap::from([("X-Token".to_owned(), vec!["secret".to_owned()])]);
        Source { url: url.to_owned(), headers: headers.into(), node: "node-1".parse().unwrap() }
    }

    /// Answers each request with the next of these bodies, the last one for ever; tells the requests.
    async fn serve(bodies: Vec<&'static str>) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/pods", listener.local_addr().unwrap());
        let (tell, told) = mpsc::channel(64);
        actix::spawn(async move {
            for index in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                let _ = tell.try_send(String::from_utf8_lossy(&request[..length]).into_owned());
                let body = bodies[index.min(bodies.len() - 1)];
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
        });
        (url, told)
    }

    #[actix::test]
    async fn each_new_answer_is_told_and_headers_are_sent() {
        let one = "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"containers\":[{\"name\":\"x\",\"image\":\"i\"}]}}";
        let (url, mut requests) = serve(vec![one, one, "broken: ["]).await;
        let (desk, mut news) = mpsc::channel(4);
        actix::spawn(follow(source(&url), Duration::from_millis(5), desk));
        let mut next = async || match timeout(Duration::from_secs(20), news.recv()).await.unwrap().unwrap() {
            News::Manifests(PodSource::Http, gathered) => (gathered.pods.len(), gathered.refused.len()),
            other => panic!("{other:?}"),
        };
        assert_eq!(next().await, (1, 0));
        assert_eq!(next().await, (0, 1), "the same answer in between was not told");
        let request = requests.recv().await.unwrap().to_lowercase();
        assert!(request.starts_with("get /pods") && request.contains("x-token: secret"), "{request}");
    }

    #[actix::test]
    async fn what_cannot_be_asked_says_why() {
        let web: Web = Client::builder(TokioExecutor::new()).build_http();
        let cases = [
            ("no URL", "http://[", "is no URL"),
            ("another scheme", "https://127.0.0.1/x", "only http"),
            ("nobody there", "http://127.0.0.1:1/x", "no connection"),
        ];
        for (sentence, url, why) in cases {
            let failure = get(&web, &source(url)).await.expect_err(sentence);
            assert!(failure.to_string().contains(why), "{sentence}: {failure}");
        }
    }
}
