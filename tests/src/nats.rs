//! A nats-server of a test's own, for tests of parts that are not a whole node (a node starts its own).

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::ground::Ground;
use crate::netns::Netns;
use crate::parts;
use crate::process::Process;

/// How long the server may take to listen.
const STARTING: Duration = Duration::from_secs(20);

/// Which nats-server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Debian's 2.9.10.
    V2_9,
    /// 2.15.2, built by `tests/tools/build`.
    V2_15,
}

/// A bus on 127.0.0.1:4222 of its namespace, with JetStream and without accounts.
pub struct Nats {
    version: Version,
    folder: PathBuf,
    netns: Netns,
    process: Process,
}

impl Nats {
    /// Starts a server and waits until it listens.
    pub fn start(ground: &Ground, name: &str, netns: &Netns, version: Version) -> Result<Self> {
        let folder = ground.folder(name)?;
        let store = folder.join("jetstream");
        let config =
            format!("listen: \"127.0.0.1:4222\"\njetstream {{ store_dir: {store:?} }}\nmax_payload: 4MB\n");
        fs::write(folder.join("nats.conf"), config)?;
        let process = launch(version, &folder, netns)?;
        let mut nats = Self { version, folder, netns: netns.clone(), process };
        nats.wait_ready()?;
        Ok(nats)
    }

    /// The server's URL within its namespace.
    pub fn url(&self) -> &'static str {
        "nats://127.0.0.1:4222"
    }

    /// The process, to kill or to stall.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts the server again after a kill.
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process = launch(self.version, &self.folder, &self.netns)?;
        self.wait_ready()
    }

    fn wait_ready(&mut self) -> Result<()> {
        let netns = &self.netns;
        self.process.wait_ready(STARTING, || {
            netns.run(|| TcpStream::connect("127.0.0.1:4222"))??;
            Ok(())
        })
    }
}

fn launch(version: Version, folder: &std::path::Path, netns: &Netns) -> Result<Process> {
    let program = match version {
        Version::V2_9 => parts::installed("nats-server")?,
        Version::V2_15 => parts::built("nats-server")?,
    };
    let mut command = netns.command(program);
    command.arg("--config").arg(folder.join("nats.conf"));
    Process::spawn("nats-server", folder, command)
}
