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
    context::{CreateStreamError, CreateStreamErrorKind},
    stream::{Config, DiscardPolicy, StorageType},
};
use futures::future::join_all;
use messages::{Kind, NodeName, Owner, catalog::ROWS};
use std::time::Duration;
use tokio::time::sleep;
use tracing::warn;

/// Pauses between tries to make a stream, from the first to the longest; each twice the one before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));
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

/// Makes one stream, or brings it to this version's configuration. A server that is busy with its own
/// start may not manage it at once; after the last try, what is said to the missing stream is lost until
/// the next connect.
async fn make(context: &Context, config: Config) {
    let mut pause = PAUSES.0;
    while let Err(failure) = try_to_make(context, &config).await {
        let error = error::chain(&failure);
        warn!(stream = config.name, error, "could not make a stream");
        if pause > PAUSES.1 {
            return;
        }
        sleep(pause).await;
        pause *= 2;
    }
}

async fn try_to_make(context: &Context, config: &Config) -> Result<(), CreateStreamError> {
    let Err(failure) = context.create_stream(config).await else { return Ok(()) };
    // Newer servers count a stream against their memory before they look whether it is there already.
    let may_be_there = match failure.kind() {
        CreateStreamErrorKind::JetStream(source) => {
            [ErrorCode::STREAM_NAME_EXIST, ErrorCode::MEMORY_RESOURCES_EXCEEDED]
                .contains(&source.error_code())
        }
        _ => false,
    };
    if !may_be_there {
        return Err(failure);
    }
    context.update_stream(config).await.map(drop)
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
