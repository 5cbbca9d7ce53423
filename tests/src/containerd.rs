//! A containerd of a node's own: folders, socket and CNI network belong to the ground, so that it touches no other
//! containerd of the machine. Both generations that the node is tested with are started the same way.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
use serde_json::json;

use crate::ground::Ground;
use crate::netns::Netns;
use crate::parts;
use crate::process::{Process, output};

/// The image that sandboxes run, in every archive list under this name.
pub const PAUSE: &str = "registry.k8s.io/pause:3.10";
/// A busybox with every applet.
pub const BUSYBOX: &str = "docker.io/library/busybox:1.36";

/// How long containerd may take to answer on its socket.
const STARTING: Duration = Duration::from_secs(60);

/// Which containerd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Debian's 1.6.20: no CRI events, configuration of version 2.
    V1_6,
    /// 2.4.2, built by `tests/tools/build`.
    V2_4,
}

impl Version {
    fn program(self, name: &str) -> Result<PathBuf> {
        match self {
            Version::V1_6 => parts::installed(name),
            Version::V2_4 => parts::built(name),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Version::V1_6 => "1.6",
            Version::V2_4 => "2.4",
        })
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "1.6" => Ok(Version::V1_6),
            "2.4" => Ok(Version::V2_4),
            _ => bail!("there is 1.6 and 2.4"),
        }
    }
}

/// A containerd, running unless it was killed by the test.
pub struct Containerd {
    version: Version,
    folder: PathBuf,
    netns: Netns,
    process: Process,
}

impl Containerd {
    /// Starts a containerd in `netns` whose pods get addresses of `pods` (a network in CIDR notation), with the images
    /// [`PAUSE`] and [`BUSYBOX`].
    pub fn start(ground: &Ground, name: &str, netns: &Netns, version: Version, pods: &str) -> Result<Self> {
        let folder = ground.folder(name)?;
        fs::create_dir_all(folder.join("certs.d"))?;
        fs::create_dir_all(folder.join("cni"))?;
        let network = format!("{}-{name}", ground.label());
        fs::write(folder.join("cni/10-bridge.conflist"), cni(&network, &folder, pods).to_string())?;
        fs::write(folder.join("containerd.toml"), configuration(&folder))?;
        let process = launch(version, &folder, netns)?;
        let mut containerd = Self { version, folder, netns: netns.clone(), process };
        containerd.wait_ready()?;
        for image in ["pause", "busybox"] {
            containerd.import(&parts::image(image)?)?;
        }
        Ok(containerd)
    }

    /// The CRI socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("containerd.sock")
    }

    /// The socket as `containerRuntimeEndpoint` takes it.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Which containerd it is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The file that describes the pod network; while it is away there is none.
    pub fn network(&self) -> PathBuf {
        self.folder.join("cni/10-bridge.conflist")
    }

    /// The folder in which the pod network keeps account of addresses; while it is none, no pod gets one.
    pub fn addresses(&self) -> PathBuf {
        self.folder.join("ipam")
    }

    /// The folder of `hosts.toml` files, one folder per registry host.
    pub fn registries(&self) -> PathBuf {
        self.folder.join("certs.d")
    }

    /// The process, to kill or to stall.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts containerd again after a kill; its shims and containers are those of before.
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process = launch(self.version, &self.folder, &self.netns)?;
        self.wait_ready()
    }

    /// Makes the images of an archive known to the runtime.
    pub fn import(&self, archive: &Path) -> Result<()> {
        let archive = archive.to_str().context("the path of an archive is not UTF-8")?;
        self.ctr(&["images", "import", archive]).map(drop)
    }

    /// Runs `ctr` in the namespace that CRI uses.
    pub fn ctr(&self, arguments: &[&str]) -> Result<String> {
        output(self.ctr_command()?.args(arguments))
    }

    /// The ids of the containers and sandboxes that the runtime knows, running or not.
    pub fn containers(&self) -> Result<Vec<String>> {
        let list = self.ctr(&["containers", "list", "--quiet"])?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// The ids of the containers and sandboxes that have a process.
    pub fn running(&self) -> Result<Vec<String>> {
        let list = self.ctr(&["tasks", "list", "--quiet"])?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// The ids of the containers with a process that belong to this container of a pod.
    pub fn running_of(&self, pod: &str, container: &str) -> Result<Vec<String>> {
        let label = |name: &str, value: &str| format!("labels.\"io.kubernetes.{name}\"=={value}");
        let filter = [label("pod.name", pod), label("container.name", container)].join(",");
        let list = self.ctr(&["containers", "list", "--quiet", &filter])?;
        let running = self.running()?;
        Ok(list.lines().filter(|id| running.iter().any(|each| each == id)).map(str::to_owned).collect())
    }

    /// The process of a running container.
    pub fn pid_of(&self, container: &str) -> Result<i32> {
        let list = self.ctr(&["tasks", "list"])?;
        let line = list.lines().find(|line| line.starts_with(container));
        let pid = line
            .and_then(|line| line.split_whitespace().nth(1))
            .with_context(|| format!("the runtime has no running container {container}"))?;
        pid.parse().with_context(|| format!("ctr says that {container} is process {pid}"))
    }

    fn ctr_command(&self) -> Result<Command> {
        let mut command = self.netns.command(self.version.program("ctr")?);
        command.arg("--address").arg(self.socket()).args(["--namespace", "k8s.io"]);
        Ok(command)
    }

    /// Ready means that CRI serves with its network; `ctr` alone answers earlier, when the plugin may still fail.
    fn wait_ready(&mut self) -> Result<()> {
        let mut plugins = self.ctr_command()?;
        plugins.args(["plugins", "list"]);
        self.process.wait_ready(STARTING, || {
            let list = output(&mut plugins)?;
            match list.lines().find(|line| line.contains("io.containerd.grpc.v1") && line.contains(" cri ")) {
                Some(line) if line.trim_end().ends_with("ok") => Ok(()),
                Some(line) => bail!("the CRI plugin says: {line}"),
                None => bail!("there is no CRI plugin in: {list}"),
            }
        })
    }
}

fn launch(version: Version, folder: &Path, netns: &Netns) -> Result<Process> {
    let mut command = netns.command(version.program("containerd")?);
    command.arg("--config").arg(folder.join("containerd.toml"));
    if version == Version::V2_4 {
        // The runtime's shim is looked up in PATH; it must be of the same build.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", parts::tools().join("bin").display()));
    }
    Process::spawn("containerd", folder, command)
}

/// containerd's configuration in version 2 of the format, which both generations read.
/// `restrict_oom_score_adj`: a container in which root may not lower scores, such as a CI machine's, refuses the
/// negative ones of guaranteed pods.
fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    let cni_plugins = parts::CNI_PLUGINS;
    format!(
        r#"version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_plugins}"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{folder}/runc"
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{folder}/certs.d"
"#
    )
}

/// The pod network: a bridge in the node's namespace, addresses kept in the ground, host ports by `portmap`.
fn cni(name: &str, folder: &Path, pods: &str) -> serde_json::Value {
    json!({
        "cniVersion": "0.4.0",
        "name": name,
        "plugins": [
            {
                "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
                "ipam": {
                    "type": "host-local", "dataDir": folder.join("ipam"),
                    "ranges": [[{ "subnet": pods }]], "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
}
