//! A slow bus: the node's own nats-server, reached by all its processes through a [`Wire`].
//!
//! Processes connect to the address that `node.json` names. The kernel leads what they send there to the wire; the
//! wire itself comes from an address of its own, by which it is let through.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::wire::Wire;
use crate::netns::Netns;
use crate::node::Node;
use crate::process::output;
use crate::wait;

/// Where the wire begins, in the node's namespace.
const NEAR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4221);
/// Where the wire comes from when it connects to the server.
const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// How long the server may take to come back.
const RETURNING: Duration = Duration::from_secs(30);

/// The wire before a node's bus. Dropped, it is out of the way again.
pub struct Bus {
    wire: Wire,
    netns: Netns,
    rule: String,
}

impl Bus {
    /// Puts a wire before the bus of a node that runs. Its server is begun anew, so that everyone connects again.
    pub fn before(node: &mut Node) -> Result<Self> {
        let port = port(node)?;
        let (near, from) = (NEAR.port(), FROM);
        let rule =
            format!("OUTPUT -p tcp -d 127.0.0.1 --dport {port} ! -s {from} -j REDIRECT --to-ports {near}");
        lead(node.netns(), "-A", &rule)?;
        let far = SocketAddr::new(NEAR.ip(), port);
        let wire = Wire::tcp_from(node.netns(), NEAR, far, FROM);
        let server = node.process("nats-server")?;
        server.signal(Signal::SIGKILL)?;
        wait::until("another nats-server", RETURNING, || {
            let now = node.process("nats-server")?;
            ensure!(now.pid != server.pid, "the killed one is not reaped");
            Ok(())
        })?;
        Ok(Self { wire, netns: node.netns().clone(), rule })
    }

    /// Lets what processes send arrive later by `time`.
    pub fn delay(&self, time: Duration) {
        self.wire.delay(time);
    }

    /// Behaves as it does by itself.
    pub fn pass(&self) {
        self.wire.pass();
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // Everyone connects again when the wire goes, which is after this. A failure shows in what comes next.
        let _ = lead(&self.netns, "-D", &self.rule);
    }
}

fn lead(netns: &Netns, how: &str, rule: &str) -> Result<()> {
    output(netns.command("iptables").args(["-t", "nat", how]).args(rule.split(' '))).map(drop)
}

fn port(node: &Node) -> Result<u16> {
    let file = node.root().join("bulkhead/node.json");
    let settings: Value = serde_json::from_slice(&fs::read(&file)?)?;
    let url = settings["bus"]["url"].as_str().context("node.json names no bus")?;
    let (_, port) = url.rsplit_once(':').context("the bus has no port")?;
    Ok(port.parse()?)
}
