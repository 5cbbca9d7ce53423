//! A real image registry (Debian's `docker-registry`) in the control plane's namespace, so that pulls are pulls.

use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::containerd::Containerd;
use crate::ground::Ground;
use crate::netns::{CONTROL_PLANE, Lan};
use crate::parts;
use crate::process::Process;

/// The host name under which pods name images of this registry; no name server knows it, `hosts.toml` does.
pub const HOST: &str = "registry.test";

/// The port it listens on, on the control plane's address.
const PORT: u16 = 5000;
/// How long the registry may take to listen.
const STARTING: Duration = Duration::from_secs(20);

/// A registry, up while this lives.
pub struct Registry {
    process: Process,
}

impl Registry {
    /// Starts an empty registry.
    pub fn start(ground: &Ground, lan: &Lan) -> Result<Self> {
        let folder = ground.folder("registry")?;
        let config = folder.join("config.yml");
        fs::write(&config, configuration(&folder.join("images").display().to_string()))?;
        let mut command = lan.hub().command(parts::installed("docker-registry")?);
        command.arg("serve").arg(&config);
        let mut process = Process::spawn("docker-registry", &folder, command)?;
        process.wait_ready(STARTING, || {
            lan.hub().run(|| TcpStream::connect((CONTROL_PLANE, PORT)))??;
            Ok(())
        })?;
        Ok(Self { process })
    }

    /// The process, to kill or to stall.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Tells a containerd where the images of [`HOST`] are. It reads this at every pull.
    pub fn mirror(containerd: &Containerd) -> Result<()> {
        Self::stand_in_for(HOST, containerd)
    }

    /// Lets a containerd pull from here what names the registry `host`.
    pub fn stand_in_for(host: &str, containerd: &Containerd) -> Result<()> {
        let folder = containerd.registries().join(host);
        fs::create_dir_all(&folder)?;
        let server = format!("http://{CONTROL_PLANE}:{PORT}");
        let hosts = format!(
            "server = \"{server}\"\n[host.\"{server}\"]\ncapabilities = [\"pull\", \"resolve\", \"push\"]\n"
        );
        fs::write(folder.join("hosts.toml"), hosts)?;
        Ok(())
    }

    /// Puts an image that the containerd has into the registry as `<HOST>/<name>`. The containerd itself does not
    /// keep that name, so that a pod that wants it makes it pull.
    pub fn push(containerd: &Containerd, image: &str, name: &str) -> Result<()> {
        let target = format!("{HOST}/{name}");
        let hosts = containerd.registries();
        let hosts = hosts.to_str().context("the path of certs.d is not UTF-8")?;
        containerd.ctr(&["images", "tag", image, &target])?;
        containerd.ctr(&["images", "push", "--hosts-dir", hosts, &target])?;
        containerd.ctr(&["images", "remove", "--sync", &target]).map(drop)
    }
}

fn configuration(images: &str) -> String {
    format!(
        "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {images}}}}}\n\
         http: {{addr: \"{CONTROL_PLANE}:{PORT}\"}}\n"
    )
}
