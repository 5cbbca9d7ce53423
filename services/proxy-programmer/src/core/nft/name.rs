//! Codes: what service ports and shapes are called in keys. They are hashes of what they name, so that each life of the
//! proxy finds the same ones in the kernel without having counted them out.

use crate::core::{
    address::{Family, Protocol},
    name::PortId,
};
use sha2::{Digest, Sha256};

/// Eight bytes that stand for a name.
pub type Code = [u8; 8];

/// The code of a service port.
pub fn of_port(port: &PortId) -> Code {
    let PortId { service, name, protocol, family } = port;
    let protocol = match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    };
    let family = match family {
        Family::V4 => "4",
        Family::V6 => "6",
    };
    code(&[&service.namespace, &service.name, name, protocol, family])
}

/// The code of a name of several parts; each is hashed with its length, so that no two names run together.
pub fn code(parts: &[&str]) -> Code {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    let hash = hash.finalize();
    std::array::from_fn(|at| hash[at])
}
