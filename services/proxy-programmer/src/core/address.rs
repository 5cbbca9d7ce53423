//! What packets are told apart by: addresses, ranges of them, families and protocols, read as
//! kube-proxy reads them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The address family of a service port; each has rules of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Bits in an address.
    pub fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The transport protocols that a service may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, what a port without a protocol means.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Reads a port's protocol; nothing for one that no proxy knows.
    pub fn read(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("" | "TCP") => Some(Self::Tcp),
            Some("UDP") => Some(Self::Udp),
            Some("SCTP") => Some(Self::Sctp),
            Some(_) => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

/// Reads an address. Old objects may hold leading zeros (`010.0.0.1`), which Kubernetes reads as decimal, and IPv4
/// written as IPv6 (`::ffff:10.0.0.1`), which it reads as IPv4.
pub fn read(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse::<Ipv6Addr>().ok().map(|ip| IpAddr::V6(ip).to_canonical());
    }
    let octets = text.split('.').map(octet).collect::<Option<Vec<u8>>>()?;
    <[u8; 4]>::try_from(octets).ok().map(|octets| IpAddr::V4(Ipv4Addr::from(octets)))
}

fn octet(text: &str) -> Option<u8> {
    let is_decimal = !text.is_empty() && text.len() <= 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<u32>().ok().filter(|_| is_decimal).and_then(|number| u8::try_from(number).ok())
}

/// A range of addresses. Bits behind the prefix are cleared on reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    base: IpAddr,
    length: u8,
}

impl Cidr {
    /// Reads `address/length`; space around it is no fault.
    pub fn read(text: &str) -> Option<Self> {
        let (base, length) = text.trim().split_once('/')?;
        let (base, length) = (read(base)?, octet(length)?);
        (length <= Family::of(base).bits()).then(|| Self::new(base, length))
    }

    /// The range of this one address.
    pub fn host(ip: IpAddr) -> Self {
        Self { base: ip, length: Family::of(ip).bits() }
    }

    fn new(ip: IpAddr, length: u8) -> Self {
        let family = Family::of(ip);
        let bits = number(ip) & mask(family, length);
        let base = match ip {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX))),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        };
        Self { base, length }
    }

    /// The first address and the length of the prefix in bits.
    pub fn parts(&self) -> (IpAddr, u8) {
        (self.base, self.length)
    }

    /// Its family.
    pub fn family(&self) -> Family {
        Family::of(self.base)
    }

    /// Whether the address lies in it. None of the other family does.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let family = self.family();
        family == Family::of(ip) && number(ip) & mask(family, self.length) == number(self.base)
    }

    /// Whether every address of its family lies in it.
    pub fn is_everything(&self) -> bool {
        self.length == 0
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.length)
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn mask(family: Family, length: u8) -> u128 {
    let all = u128::MAX >> (128 - u32::from(family.bits()));
    let hosts = u32::from(family.bits().saturating_sub(length));
    all & u128::MAX.checked_shl(hosts).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_kube_proxy_reads_them() {
        let cases = [
            ("plain", "10.0.0.1", Some("10.0.0.1")),
            ("leading zeros are decimal", "010.001.000.011", Some("10.1.0.11")),
            ("IPv6", "FD00::0001", Some("fd00::1")),
            ("IPv4 written as IPv6 is IPv4", "::ffff:10.0.0.1", Some("10.0.0.1")),
            ("three octets", "10.0.1", None),
            ("five octets", "10.0.0.0.1", None),
            ("an octet too large", "10.0.0.256", None),
            ("a sign", "10.0.0.+1", None),
            ("an empty octet", "10..0.1", None),
            ("space", " 10.0.0.1", None),
            ("a zone", "fe80::1%eth0", None),
            ("a name", "web.example", None),
            ("nothing", "", None),
        ];
        for (sentence, text, want) in cases {
            assert_eq!(read(text).map(|ip| ip.to_string()).as_deref(), want, "{sentence}");
        }
    }

    #[test]
    fn ranges_are_read_and_hold_addresses() {
        let cases = [
            ("inside", "10.1.0.0/16", "10.1.2.3", Some(true)),
            ("outside", "10.1.0.0/16", "10.2.0.0", Some(false)),
            ("space around it is no fault", "  10.1.0.0/16\n", "10.1.2.3", Some(true)),
            ("bits behind the prefix count for nothing", "10.1.2.3/16", "10.1.9.9", Some(true)),
            ("one address", "10.1.2.3/32", "10.1.2.4", Some(false)),
            ("everything", "0.0.0.0/0", "203.0.113.1", Some(true)),
            ("everything holds none of the other family", "0.0.0.0/0", "fd00::1", Some(false)),
            ("IPv6", "fd00:1::/32", "fd00:1::9", Some(true)),
            ("IPv6, one address", "fd00::1/128", "fd00::2", Some(false)),
            ("IPv6, everything", "::/0", "fd00::2", Some(true)),
            ("too long a prefix", "10.0.0.0/33", "10.0.0.0", None),
            ("no prefix", "10.0.0.0", "10.0.0.0", None),
            ("no number", "10.0.0.0/x", "10.0.0.0", None),
        ];
        for (sentence, range, ip, want) in cases {
            let ip = read(ip).unwrap();
            assert_eq!(Cidr::read(range).map(|range| range.contains(ip)), want, "{sentence}");
        }
        assert_eq!(Cidr::read("10.1.2.3/16").unwrap().to_string(), "10.1.0.0/16");
    }

    #[test]
    fn a_port_without_a_protocol_is_tcp() {
        assert_eq!(Protocol::read(None), Some(Protocol::Tcp));
        assert_eq!(Protocol::read(Some("SCTP")), Some(Protocol::Sctp));
        assert_eq!(Protocol::read(Some("QUIC")), None);
    }
}
