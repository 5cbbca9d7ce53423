//! What an exchange with the API server means for the line, and what of it reaches the peer.

use crate::{
    core::{headers, refusal::Refusal},
    ports::{Body, Lost},
};
use chassis::error;
use futures::StreamExt;
use http::{Response, StatusCode, header::RETRY_AFTER};
use http_body_util::{BodyExt, BodyStream, StreamBody};
use std::time::Duration;
use tokio::{sync::watch, time::error::Elapsed};
use tracing::debug;

/// What an exchange tells about the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is there.
    Came,
    /// It is there and asks for patience.
    Throttled(Duration),
    /// It is there and does not know us: the credentials may have been replaced on disk.
    Unauthorized,
    /// It is not there.
    Lost,
    /// It took too long over this one request, which says nothing of others.
    Late,
}

/// How an exchange ended.
pub(super) type Exchanged = Result<Result<Response<Body>, Lost>, Elapsed>;

/// What an exchange means, and what the peer gets.
pub(super) fn judge(exchanged: Exchanged) -> (Answer, Result<Response<Body>, Refusal>) {
    match exchanged {
        Ok(Ok(mut response)) => {
            let answer = answer(&response);
            headers::outwards(response.headers_mut());
            (answer, Ok(response))
        }
        Ok(Err(lost)) => {
            debug!(error = error::chain(&lost), "a request found no answer");
            let refusal = match lost {
                Lost::NotSent(_) => Refusal::Away { retry_after: Duration::ZERO },
                Lost::Unknown(_) => Refusal::Broken,
            };
            (Answer::Lost, Err(refusal))
        }
        Err(_) => (Answer::Late, Err(Refusal::Late)),
    }
}

fn answer<B>(response: &Response<B>) -> Answer {
    match response.status() {
        StatusCode::UNAUTHORIZED => Answer::Unauthorized,
        StatusCode::TOO_MANY_REQUESTS => Answer::Throttled(retry_after(response)),
        // What a load balancer says for a server behind it that is away.
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Answer::Lost,
        _ => Answer::Came,
    }
}

/// A second where the answer does not say.
fn retry_after<B>(response: &Response<B>) -> Duration {
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1))
}

/// A watch's answer, which ends when the credentials are replaced: its peer then watches anew, with the
/// new ones.
pub(super) fn until_renewed(response: Response<Body>, mut renewed: watch::Receiver<()>) -> Response<Body> {
    response.map(|body| {
        let ended = async move {
            // An error means that the line is gone, which ends watches too.
            let _ = renewed.changed().await;
        };
        let frames = BodyStream::new(body).take_until(Box::pin(ended));
        BodyExt::boxed_unsync(StreamBody::new(frames))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_answer_shows_that_the_api_server_is_there_but_a_balancers() {
        let response = |code: u16, after: &str| {
            Response::builder().status(code).header(RETRY_AFTER, after).body(()).unwrap()
        };
        let cases = [
            ("a good one", 200, "", Answer::Came),
            ("not found", 404, "", Answer::Came),
            ("a broken server is there", 500, "", Answer::Came),
            ("one that is starting says so itself", 503, "", Answer::Came),
            ("a balancer without a server", 502, "", Answer::Lost),
            ("or with a slow one", 504, "", Answer::Lost),
            ("credentials that no longer count", 401, "", Answer::Unauthorized),
            ("asked for patience", 429, "7", Answer::Throttled(Duration::from_secs(7))),
            ("for how long is not said", 429, "soon", Answer::Throttled(Duration::from_secs(1))),
        ];
        for (name, code, after, want) in cases {
            assert_eq!(answer(&response(code, after)), want, "{name}");
        }
    }
}
