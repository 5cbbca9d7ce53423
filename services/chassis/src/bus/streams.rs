//! The streams that hold what is said: one per owner and state name, in memory, one message per
//! subject.
//!
//! Whoever is their maker ([`super::permissions::maker_of`]) makes them at each connect, since a bus
//! that was restarted is empty.

use super::{
    address::Address,
    permissions::{maker_of, said},
};
use crate::error;
use async_nats::jetstream::{
    Context, ErrorCode,
    context::CreateStreamErrorKind,
    stream::{Config, DiscardPolicy, StorageType},
};
use futures::future::join_all;
use messages::{Kind, NodeName, Owner, catalog::ROWS};
use tracing::warn;

/// The greatest message, as the server's `max_payload`.
pub const MAX_PAYLOAD: i32 = 4 << 20;
/// What a state of many keys may hold: some hundred pods of usual size, or a few of the greatest.
const MANY: i64 = 32 << 20;
/// What a state of one key may hold: the greatest message twice, while one replaces the other.
const ONE: i64 = 8 << 20;
/// Values and tombstones of one state. 256 pods of eight containers with three probes fit.
const KEYS: i64 = 8192;
/// Readers of one state, with those that a reconnect left behind for half a minute.
const CONSUMERS: i32 = 64;

/// Memory that all streams of a node may use together, in bytes; a limit, of which little is used.
/// The server's `max_memory_store` must not be less, or some stream cannot be made.
pub fn reserved_bytes() -> i64 {
    said(ROWS).filter(|(_, row)| row.kind == Kind::State).map(|(_, row)| limit(row.key.len())).sum()
}

/// Makes every stream whose maker is `owner`, where it is missing.
pub(super) async fn make_all(context: &Context, node: &NodeName, owner: Owner) {
    let configs = said(ROWS)
        .filter(|(sayer, row)| row.kind == Kind::State && maker_of(*sayer) == owner)
        .map(|(sayer, row)| config(&Address::of_row(node, sayer, row)));
    join_all(configs.map(|config| make(context, config))).await;
}

/// Makes one stream, or brings it to this version's configuration. A failure is only logged: what is
/// said to a missing stream is said again until it is there.
async fn make(context: &Context, config: Config) {
    let failure = match context.create_stream(&config).await {
        Ok(_) => return,
        Err(failure) => failure,
    };
    match failure.kind() {
        CreateStreamErrorKind::JetStream(source) if source.error_code() == ErrorCode::STREAM_NAME_EXIST => {
            if let Err(failure) = context.update_stream(&config).await {
                warn!(stream = config.name, error = error::chain(&failure), "could not update a stream");
            }
        }
        _ => warn!(stream = config.name, error = error::chain(&failure), "could not make a stream"),
    }
}

/// A full stream refuses what is new, which its owner is told, and never drops what is old, which
/// nobody would notice.
fn config(address: &Address) -> Config {
    let keys = if address.key_tokens == 0 { 2 } else { KEYS };
    Config {
        name: address.stream(),
        subjects: address.stream_subjects(),
        storage: StorageType::Memory,
        max_messages_per_subject: 1,
        max_messages: keys,
        max_bytes: limit(address.key_tokens),
        max_message_size: MAX_PAYLOAD,
        max_consumers: CONSUMERS,
        discard: DiscardPolicy::New,
        allow_direct: false,
        num_replicas: 1,
        ..Config::default()
    }
}

const fn limit(key_tokens: usize) -> i64 {
    if key_tokens == 0 { ONE } else { MANY }
}
