//! Events: published once, heard by whoever listens.

use super::{Bus, BusError, address::Address, headers, headers::Received, to_body};
use crate::telemetry;
use async_nats::Message as Raw;
use futures::{Stream, StreamExt, future::Either, stream};
use messages::{Event, subject};
use tracing::{debug, warn};

pub(super) async fn tell<E: Event>(bus: &Bus, event: &E) {
    let Some(link) = bus.inner.link.as_ref().filter(|link| link.is_up()) else {
        debug!(name = E::NAME, "not told: the bus is away");
        return;
    };
    let Some(body) = to_body(event) else { return };
    let traceparent = telemetry::traceparent(&telemetry::context_of_current());
    let headers = headers::plain::<E>(traceparent.as_deref());
    let told = link.client.publish_with_headers(subject::of(bus.node(), event), headers, body).await;
    if let Err(failure) = told {
        warn!(name = E::NAME, error = crate::error::chain(&failure), "not told");
    }
}

pub(super) async fn listen<E: Event>(bus: &Bus) -> Result<impl Stream<Item = E> + use<E>, BusError> {
    let subject = Address::of::<E>(bus.node())?.pattern();
    let Some(link) = &bus.inner.link else { return Ok(Either::Left(stream::pending())) };
    let subscriber = link
        .client
        .subscribe(subject.clone())
        .await
        .map_err(|source| BusError::Subscribe { subject, source })?;
    Ok(Either::Right(subscriber.filter_map(|raw| std::future::ready(read(&raw)))))
}

/// What cannot be read is passed over: an event is only a hint.
fn read<E: Event>(raw: &Raw) -> Option<E> {
    Received(raw.headers.as_ref()).check::<E>().ok()?;
    serde_json::from_slice(&raw.payload).ok()
}
