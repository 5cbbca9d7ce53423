//! Serving a command: what reaches the handler, and what is refused before.

use super::{
    Bus, BusError,
    address::Address,
    fence::Fence,
    headers::{self, Misfit, Received},
    permissions::answers,
    place,
};
use crate::{clock, error, telemetry};
use async_nats::{Client, Message as Raw, Subject, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use messages::{BootTime, Command, ContainerName, Owner, Refusal, Token, subject};
use std::{
    rc::Rc,
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::{sync::Semaphore, task::JoinHandle};
use tracing::{Instrument, Span, debug, debug_span, error, info_span, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Commands of one type that a process has in hand at once, unless it says otherwise.
pub(super) const USUAL: usize = 64;

/// A command, on its way into a handler.
#[derive(Debug, Clone)]
pub struct Asked<C> {
    /// What is asked.
    pub command: C,
    /// Who asks.
    pub caller: Owner,
    /// The span in which the handler runs: a child of the caller's. Already entered.
    pub caller_span: Span,
    /// After this moment nobody waits for the reply.
    pub expires: BootTime,
    /// From the sending to the handler.
    pub queued_for: Duration,
}

/// Keeps a command served. Dropping it ends that; handlers at work go on.
#[derive(Debug)]
#[must_use = "the command is served only while this is kept"]
pub struct Serving {
    task: JoinHandle<()>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) async fn serve<C, F, Fut>(
    bus: Bus,
    address: Address,
    limit: usize,
    handler: F,
) -> Result<Serving, BusError>
where
    C: Command,
    F: Fn(Asked<C>) -> Fut + 'static,
    Fut: Future<Output = C::Reply> + 'static,
{
    let Some(link) = bus.inner.link.clone() else {
        return Ok(Serving { task: actix::spawn(std::future::pending()) });
    };
    let subject = address.pattern();
    let subscriber = link
        .client
        .subscribe(subject.clone())
        .await
        .map_err(|source| BusError::Subscribe { subject, source })?;
    let (handler, hands) = (Rc::new(handler), Arc::new(Semaphore::new(limit)));
    let server = Server { bus, client: link.client, address, handler, hands };
    Ok(Serving { task: actix::spawn(server.run(subscriber)) })
}

struct Server<F> {
    bus: Bus,
    client: Client,
    address: Address,
    handler: Rc<F>,
    /// As many permits as commands may be in hand.
    hands: Arc<Semaphore>,
}

impl<F> Server<F> {
    async fn run<C, Fut>(self, mut subscriber: Subscriber)
    where
        C: Command,
        F: Fn(Asked<C>) -> Fut + 'static,
        Fut: Future<Output = C::Reply> + 'static,
    {
        while let Some(raw) = subscriber.next().await {
            let Some((reply_to, caller)) = return_address(&raw, &self.address) else {
                warn!(name = C::NAME, "a command came from nobody who may ask for it");
                continue;
            };
            if let Err(refusal) = self.begin::<C, Fut>(&raw, reply_to, caller) {
                debug!(name = C::NAME, %caller, %refusal, "refused");
                reply::<C>(&self.client, reply_to.clone(), &C::refuse(refusal)).await;
            }
        }
    }

    /// Begins to work on a command, beside the others.
    fn begin<C, Fut>(&self, raw: &Raw, reply_to: &Subject, caller: Owner) -> Result<(), Refusal>
    where
        C: Command,
        F: Fn(Asked<C>) -> Fut + 'static,
        Fut: Future<Output = C::Reply> + 'static,
    {
        let now = clock::now_boot();
        let (command, expires) = read::<C>(raw, now)?;
        let hand = self.hands.clone().try_acquire_owned().map_err(|_| Refusal::Unavailable)?;
        pass(&mut self.bus.inner.fence.lock().unwrap_or_else(PoisonError::into_inner), &command)?;
        let received = Received(raw.headers.as_ref());
        let queued_for = received.sent().map_or(Duration::ZERO, |sent| now.since(sent));
        let span = telemetry::child_of(&received.context(), span(&command, caller, received));
        span.set_attribute(
            telemetry::keys::QUEUED,
            i64::try_from(queued_for.as_micros()).unwrap_or(i64::MAX),
        );
        let asked = Asked { command, caller, caller_span: span.clone(), expires, queued_for };
        let (client, reply_to, handler) = (self.client.clone(), reply_to.clone(), self.handler.clone());
        let row = span.clone();
        let work = async move {
            let answer = handler(asked).await;
            if let Some(why) = C::failure(&answer) {
                telemetry::fail(&row, &why);
            }
            reply::<C>(&client, reply_to, &answer).await;
            drop(hand);
        };
        actix::spawn(work.instrument(span));
        Ok(())
    }
}

/// Where the reply goes, and who waits there. Only to where those who may ask wait for this process' answers: a
/// reply sent elsewhere would be a message that its receiver takes for ours.
fn return_address<'a>(raw: &'a Raw, address: &Address) -> Option<(&'a Subject, Owner)> {
    let reply_to = raw.reply.as_ref()?;
    let is_of = |asker: &Owner| {
        let answers = answers(*asker, address.owner);
        reply_to.strip_prefix(answers.as_str()).is_some_and(|rest| rest.starts_with('.'))
    };
    address.others.iter().copied().find(is_of).map(|asker| (reply_to, asker))
}

/// A command out of its message, unless nobody waits for it any more.
fn read<C: Command>(raw: &Raw, now: BootTime) -> Result<(C, BootTime), Refusal> {
    let malformed = |why: String| Refusal::Malformed { why };
    let received = Received(raw.headers.as_ref());
    received.check::<C>().map_err(|misfit: Misfit| malformed(misfit.to_string()))?;
    let expires =
        received.expires().ok_or_else(|| malformed("it does not say when it expires".to_owned()))?;
    if expires < now {
        return Err(Refusal::Expired);
    }
    let command: C = serde_json::from_slice(&raw.payload).map_err(|failure| malformed(place(&failure)))?;
    let key = subject::parse(&raw.subject).and_then(|parsed| parsed.key);
    if key.as_ref() == Some(&command.key()) {
        Ok((command, expires))
    } else {
        Err(malformed("its body is not about what its subject says".to_owned()))
    }
}

fn pass<C: Command>(fence: &mut Fence, command: &C) -> Result<(), Refusal> {
    match command.decision() {
        Some(decision) if !fence.admits(&command.key(), decision) => Err(Refusal::Superseded),
        _ => Ok(()),
    }
}

/// The span of a deed. What was asked outside of any trace stays out: it would be a trace of one
/// line each time.
fn span<C: Command>(command: &C, caller: Owner, received: Received<'_>) -> Span {
    let name = C::NAME.replace('-', " ");
    let key = command.key();
    let pod = key.tokens().first().map(Token::as_str);
    if telemetry::traceparent(&received.context()).is_some() {
        let container = command.container().map(ContainerName::as_str);
        info_span!(
            "command",
            otel.name = name,
            otel.kind = "server",
            bulkhead.caller = %caller,
            k8s.pod.uid = pod,
            k8s.container.name = container,
        )
    } else {
        debug_span!("command", otel.name = name, bulkhead.caller = %caller, k8s.pod.uid = pod)
    }
}

async fn reply<C: Command>(client: &Client, reply_to: Subject, answer: &C::Reply) {
    let body = match serde_json::to_vec(answer) {
        Ok(body) => Bytes::from(body),
        Err(failure) => return error!(name = C::NAME, error = error::chain(&failure), "no reply"),
    };
    let headers = headers::reply(clock::now_boot());
    if let Err(failure) = client.publish_with_headers(reply_to, headers, body).await {
        warn!(name = C::NAME, error = error::chain(&failure), "no reply");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::{Decision, cri_bridge::StopPod};

    const NOW: BootTime = BootTime(100);

    fn stop_pod() -> StopPod {
        StopPod { pod: "u-1".parse().unwrap(), decision: Decision::default(), grace_seconds: 30 }
    }

    fn raw(subject: &str, expires: BootTime, body: &str) -> Raw {
        Raw {
            subject: subject.into(),
            reply: Some("_INBOX_pod-lifecycle.cri-bridge.1".into()),
            payload: Bytes::copy_from_slice(body.as_bytes()),
            headers: Some(headers::command::<StopPod>(NOW, expires, None, None)),
            status: None,
            description: None,
            length: 0,
        }
    }

    #[test]
    fn only_what_is_well_formed_and_in_time_is_read() {
        let (ours, other) = ("node.n.cri-bridge.cmd.stop-pod.u-1", "node.n.cri-bridge.cmd.stop-pod.u-2");
        let body = serde_json::to_string(&stop_pod()).unwrap();
        let malformed = |why: &str| Some(Refusal::Malformed { why: why.to_owned() });
        let about = "its body is not about what its subject says";
        let cases = [
            ("in time", raw(ours, BootTime(101), &body), None),
            ("in the last moment", raw(ours, NOW, &body), None),
            ("too late", raw(ours, BootTime(99), &body), Some(Refusal::Expired)),
            ("about another pod", raw(other, BootTime(101), &body), malformed(about)),
            (
                "no JSON, and no value of it is repeated",
                raw(ours, BootTime(101), "{\"pod\":\"se/cret\"}"),
                malformed("not the expected JSON at line 1, column 17"),
            ),
        ];
        for (name, raw, refusal) in cases {
            assert_eq!(read::<StopPod>(&raw, NOW).err(), refusal, "{name}");
        }
    }

    #[test]
    fn without_type_or_expiry_nothing_is_read() {
        let body = serde_json::to_string(&stop_pod()).unwrap();
        let mut bare = raw("node.n.cri-bridge.cmd.stop-pod.u-1", NOW, &body);
        bare.headers = None;
        assert!(matches!(read::<StopPod>(&bare, NOW), Err(Refusal::Malformed { .. })));
        bare.headers = Some(headers::plain::<StopPod>(None));
        assert!(matches!(read::<StopPod>(&bare, NOW), Err(Refusal::Malformed { .. })));
    }

    #[test]
    fn replies_go_only_to_those_who_may_ask() {
        let cases = [
            ("_INBOX_pod-lifecycle.cri-bridge.1", Some(Owner::PodLifecycle)),
            ("_INBOX_pod-lifecycle.prober.1", None),
            ("_INBOX_pod-lifecycle.abc.1", None),
            ("_INBOX_prober.cri-bridge.1", None),
            ("_INBOX_pod-lifecycle.cri-bridge-x.1", None),
            ("node.n.pod-lifecycle.state.pod.u-1", None),
            ("$JS.API.STREAM.INFO.x", None),
        ];
        for (reply_to, caller) in cases {
            let mut raw = raw("node.n.cri-bridge.cmd.stop-pod.u-1", NOW, "");
            raw.reply = Some(reply_to.into());
            let address = Address::of::<StopPod>(&"n".parse().unwrap()).unwrap();
            let found = return_address(&raw, &address).map(|(_, asker)| asker);
            assert_eq!(found, caller, "{reply_to}");
        }
    }
}
