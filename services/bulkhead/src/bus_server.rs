//! The bus server's configuration and the processes' keys, worked out from the catalog.
//!
//! nats-server listens on loopback only, where pods of the host's network are too: so everybody needs
//! a key, and a key opens what the catalog says ([`chassis::bus::permissions`]). Memory is bounded: a
//! stream's limits are the chassis', the Go runtime's are [`environment`]'s.

mod keys;

pub(crate) use keys::{Keys, NoKeys};

use chassis::bus::{MAX_PAYLOAD, permissions::permissions, reserved_bytes};
use messages::{NodeName, Owner, catalog::ROWS};
use serde_json::{Value, json};
use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

/// Connections: every process once, `bulkhead status` and its like, and some to spare.
const CONNECTIONS: u32 = 64;

/// What nats-server reads, as JSON, which its own format contains.
pub(crate) fn configuration(node: &NodeName, port: u16, dir: &Path, keys: &Keys) -> Value {
    let users: Vec<Value> = Owner::ALL.into_iter().map(|owner| user(node, owner, keys)).collect();
    json!({
        "server_name": format!("bulkhead-{node}"),
        "host": Ipv4Addr::LOCALHOST,
        "port": port,
        "max_payload": MAX_PAYLOAD,
        "max_connections": CONNECTIONS,
        "max_control_line": 4096,
        "logtime": false,
        "jetstream": {
            "max_memory_store": reserved_bytes(),
            "store_dir": dir,
        },
        "authorization": { "timeout": 5, "users": users },
    })
}

fn user(node: &NodeName, owner: Owner, keys: &Keys) -> Value {
    json!({
        "nkey": keys.public(owner),
        "permissions": permissions(node, ROWS, owner),
    })
}

/// What the Go runtime is told: to collect early, and earlier still when much is in use.
pub(crate) fn environment() -> [(&'static str, &'static str); 2] {
    [("GOGC", "25"), ("GOMEMLIMIT", "128MiB")]
}

/// The port of an earlier life if it is still free, so that nobody has to find out; else a free one.
///
/// # Errors
/// When the kernel gives none.
pub(crate) fn free_port(earlier: Option<u16>) -> io::Result<u16> {
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = match earlier {
        Some(port) => free(port).or_else(|_| free(0)),
        None => free(0),
    };
    Ok(listener?.local_addr()?.port())
}

/// The port of an earlier life, which may be in use by a server of ours now; else a free one.
///
/// # Errors
/// When the kernel gives none.
pub(crate) fn same_port(earlier: Option<u16>) -> io::Result<u16> {
    earlier.map_or_else(|| free_port(None), Ok)
}

/// The port in a URL of ours.
pub(crate) fn port_of(url: &str) -> Option<u16> {
    url.rsplit_once(':')?.1.parse().ok()
}

/// The URL of a port on loopback.
pub(crate) fn url(port: u16) -> String {
    format!("nats://127.0.0.1:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_has_a_key_and_what_the_catalog_allows() {
        let keys = Keys::fresh();
        let dir = Path::new("/r/nats-server");
        let conf = configuration(&"n1".parse().unwrap(), 4222, dir, &keys);
        assert_eq!((&conf["host"], &conf["port"]), (&json!("127.0.0.1"), &json!(4222)));
        let users = conf["authorization"]["users"].as_array().unwrap();
        assert_eq!(users.len(), Owner::ALL.len());
        for (owner, user) in Owner::ALL.into_iter().zip(users) {
            assert!(user["nkey"].as_str().unwrap().starts_with('U'), "{owner}");
            let inbox = format!("_INBOX_{owner}.>");
            let subscribe = user["permissions"]["subscribe"]["allow"].as_array().unwrap();
            assert!(subscribe.contains(&json!(inbox)), "{owner}");
        }
        assert!(conf.get("no_auth_user").is_none(), "nobody gets in without a key");
    }

    #[test]
    fn a_port_is_kept_while_it_is_free() {
        let port = free_port(None).unwrap();
        assert_eq!(free_port(Some(port)).unwrap(), port);
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_ne!(free_port(Some(port)).unwrap(), port);
        assert_eq!(same_port(Some(port)).unwrap(), port);
        assert_eq!(port_of(&url(port)), Some(port));
    }
}
