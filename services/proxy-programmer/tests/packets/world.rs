//! Network namespaces: an outside client, a node and two pods on it, each on a wire to the node, in IPv4 and IPv6.
//!
//! ```text
//! client 10.20.1.2 ───── .1 ┐      ┌ .1 ───── 10.180.1.2 pod1
//!   fd00:20:1::2      ::1   │ node │ ::1      fd00:10:0:1::2
//!                           │      ├ .1 ───── 10.180.2.2 pod2
//!                           ┘      └ ::1      fd00:10:0:2::2
//! ```
//!
//! Whoever connects to a pod's port 8080 is told which pod it is and as whom it sees the client.

use proxy_programmer::adapters::netlink::Netlink;
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketType, sockopt},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    panic,
    process::Command,
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// Who is asked, and as whom the client was seen.
pub(crate) type Seen = (String, IpAddr);

pub(crate) const CLIENT: &str = "client";
pub(crate) const NODE: &str = "node";
pub(crate) const POD1: &str = "pod1";
pub(crate) const POD2: &str = "pod2";

/// The outside clients beside the first: 10.20.1.100 …, fd00:20:1::100 ….
pub(crate) const MORE_CLIENTS: u8 = 20;

/// The port at which a process on the node itself answers.
pub(crate) const OWN_PORT: u16 = 30081;

/// Namespaces, removed when it is dropped.
pub(crate) struct World {
    prefix: String,
}

impl Drop for World {
    fn drop(&mut self) {
        for name in [CLIENT, NODE, POD1, POD2] {
            let removed = Command::new("ip").args(["netns", "del", &self.space(name)]).output();
            if !removed.is_ok_and(|output| output.status.success()) {
                eprintln!("{} could not be removed", self.space(name));
            }
        }
    }
}

impl World {
    /// Builds it; nothing, and a reason on standard error, where there can be none.
    pub(crate) fn build() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: network namespaces need root");
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let world = Self { prefix: format!("bhpp-{}-{number}", std::process::id()) };
        for name in [CLIENT, NODE, POD1, POD2] {
            ip(&format!("netns add {}", world.space(name)));
            // or nobody has a link-local address in the first seconds, and forwards nothing to neighbours unknown
            world.within(name, || fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").unwrap());
            ip(&format!("-n {} link set lo up", world.space(name)));
        }
        if let Err(fault) = world.within(NODE, || Netlink::open()?.generation()) {
            eprintln!("SKIPPED: no nf_tables here: {fault}");
            return None;
        }
        world.wire(CLIENT, "10.20.1", "fd00:20:1:");
        world.wire(POD1, "10.180.1", "fd00:10:0:1:");
        world.wire(POD2, "10.180.2", "fd00:10:0:2:");
        for last in 100..100 + MORE_CLIENTS {
            world.address(CLIENT, &format!("10.20.1.{last}/24 dev eth0"));
            world.address(CLIENT, &format!("fd00:20:1::{last}/64 dev eth0 preferred_lft 0"));
        }
        // what is for nobody goes to the client, which lets it fall, but refuses what is for these
        world.address(CLIENT, "172.30.0.99/32 dev lo");
        world.address(CLIENT, "fd00:172::99/128 dev lo");
        ip(&format!("-n {} route add default via 10.20.1.2", world.space(NODE)));
        ip(&format!("-n {} -6 route add default via fd00:20:1::2", world.space(NODE)));
        world.within(NODE, || {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        });
        world.serve(POD1, 8080);
        world.serve(POD2, 8080);
        world.serve(NODE, OWN_PORT);
        Some(world)
    }

    fn space(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    fn address(&self, name: &str, address: &str) {
        let nodad = if address.contains(':') { " nodad" } else { "" };
        ip(&format!("-n {} addr add {address}{nodad}", self.space(name)));
    }

    fn wire(&self, name: &str, v4: &str, v6: &str) {
        let (space, node) = (self.space(name), self.space(NODE));
        ip(&format!("-n {node} link add to-{name} type veth peer name eth0 netns {space}"));
        ip(&format!("-n {node} addr add {v4}.1/24 dev to-{name}"));
        ip(&format!("-n {node} addr add {v6}:1/64 dev to-{name} nodad"));
        ip(&format!("-n {node} link set to-{name} up"));
        self.address(name, &format!("{v4}.2/24 dev eth0"));
        self.address(name, &format!("{v6}:2/64 dev eth0"));
        ip(&format!("-n {space} link set eth0 up"));
        ip(&format!("-n {space} route add default via {v4}.1"));
        ip(&format!("-n {space} -6 route add default via {v6}:1"));
    }

    /// Does something in a namespace.
    pub(crate) fn within<T: Send>(&self, name: &str, work: impl FnOnce() -> T + Send) -> T {
        let space = self.space(name);
        let done = thread::scope(|scope| {
            let inside = scope.spawn(move || {
                enter(&space);
                work()
            });
            inside.join()
        });
        done.unwrap_or_else(|fault| panic::resume_unwind(fault))
    }

    fn serve(&self, name: &'static str, port: u16) {
        let space = self.space(name);
        let (ready, is_ready) = mpsc::channel();
        thread::spawn(move || {
            enter(&space);
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap();
            ready.send(()).unwrap();
            for connection in listener.incoming().flatten() {
                let seen = connection.peer_addr().map(|peer| peer.ip().to_canonical());
                let _ = seen.and_then(|seen| write!(&connection, "{name} {seen}"));
            }
        });
        is_ready.recv().unwrap();
    }

    /// Whether `nft list ruleset` comes to its end on the node, and what it lists; nothing where there is no nft.
    pub(crate) fn listed(&self) -> Option<(bool, String)> {
        let output = self.within(NODE, || Command::new("nft").args(["list", "ruleset"]).output()).ok()?;
        Some((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    /// Connects, and tells who answered.
    pub(crate) fn ask(&self, from: &str, to: SocketAddr) -> io::Result<Seen> {
        self.ask_as(from, None, to)
    }

    /// The same from an address of the asker's choice.
    pub(crate) fn ask_as(&self, from: &str, source: Option<IpAddr>, to: SocketAddr) -> io::Result<Seen> {
        self.within(from, || {
            let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
            let patience = Some(PATIENCE);
            sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, patience)?;
            sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, patience)?;
            if let Some(source) = source {
                rustix::net::bind(&socket, &SocketAddr::new(source, 0))?;
            }
            match rustix::net::connect(&socket, &to) {
                Err(Errno::INPROGRESS) => return Err(io::ErrorKind::TimedOut.into()),
                connected => connected?,
            }
            let mut said = String::new();
            TcpStream::from(socket).read_to_string(&mut said)?;
            let (pod, seen) = said.split_once(' ').ok_or(io::ErrorKind::InvalidData)?;
            Ok((pod.to_owned(), seen.parse().map_err(|_| io::ErrorKind::InvalidData)?))
        })
    }
}

/// How long an answer may take. What is dropped takes as long.
const PATIENCE: Duration = Duration::from_millis(900);

fn enter(space: &str) {
    let file = File::open(format!("/var/run/netns/{space}")).unwrap();
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
