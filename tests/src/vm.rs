//! A machine of a node's own: Debian with systemd and cgroup version 2, in qemu, on the [`Lan`] of a control plane that
//! runs outside. Its disk is what `tests/vm/image` made, and what is written to it is forgotten with the machine.
//!
//! Without KVM everything in it takes about ten times as long; whatever waits for it should be generous.

pub mod node;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::ground::Ground;
use crate::netns::{Lan, Netns, node_address};
use crate::parts;
use crate::process::{Process, finished, output};
use crate::wait;

/// How long the machine may take from power to a shell, on a busy host and without KVM.
const STARTING: Duration = Duration::from_secs(600);

/// Where the machine sees [`Vm::share`].
const SHARED: &str = "/host/ground";

/// Where the machine sees what `tests/tools/build` built.
pub const TOOLS: &str = "/host/tools";

/// A running machine.
pub struct Vm {
    ground: Arc<Ground>,
    hub: Netns,
    address: String,
    folder: PathBuf,
    process: Process,
}

/// What keeps a machine from being run here, if anything.
pub fn lacking() -> Option<String> {
    if std::env::consts::ARCH != "x86_64" {
        return Some(format!("the machine's image is for x86_64, and this is {}", std::env::consts::ARCH));
    }
    let qemu = parts::installed("qemu-system-x86_64").err().map(|_| "qemu-system-x86_64 is not installed");
    let image =
        disk("disk.img").exists().then_some(()).map_or(Some("the machine's disk is not made"), |()| None);
    qemu.or(image).map(|what| format!("{what}; tests/run --vm does both"))
}

impl Vm {
    /// Boots node `number` of a cluster and waits for its shell.
    pub fn boot(ground: &Arc<Ground>, lan: &Lan, number: u8) -> Result<Self> {
        let folder = ground.folder(&format!("vm-{number}"))?;
        fs::create_dir_all(folder.join("share"))?;
        let tap = lan.plug(number)?;
        let process = Process::spawn("qemu", &folder, qemu(lan.hub(), &folder, &tap)?)?;
        let address = node_address(number);
        let mut vm = Self { ground: ground.clone(), hub: lan.hub().clone(), address, folder, process };
        vm.wait_for_shell()?;
        Ok(vm)
    }

    /// The machine's power: to kill or to stall it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The ground that it stands on.
    pub fn ground(&self) -> &Arc<Ground> {
        &self.ground
    }

    /// What the machine wrote to its console, the kernel's messages first.
    pub fn console(&self) -> PathBuf {
        self.folder.join("console.log")
    }

    /// Runs a line of root's shell in the machine and returns what it printed.
    pub fn shell(&self, line: &str) -> Result<String> {
        output(&mut self.ssh_to(line)).with_context(|| format!("in the machine: {line}"))
    }

    /// Writes a file of the machine, and the folders above it.
    pub fn put(&self, path: &str, contents: &[u8]) -> Result<()> {
        let mut command = self.ssh_to(&format!("install -D -m 600 /dev/stdin {path}"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("starting ssh")?;
        child.stdin.take().context("ssh has no standard input")?.write_all(contents)?;
        finished(&command, child.wait_with_output()?).map(drop)
    }

    /// Shows a file of the host to the machine; returns its path there.
    pub fn share(&self, file: &Path, name: &str) -> Result<String> {
        fs::copy(file, self.folder.join("share").join(name))
            .with_context(|| format!("copying {}", file.display()))?;
        Ok(format!("{SHARED}/{name}"))
    }

    /// Starts the machine anew, as an operator does, and waits for its shell.
    pub fn reboot(&mut self) -> Result<()> {
        let before = self.boot_id()?;
        // The shell ends with its machine, mostly before it can say how.
        let _ = self.shell("systemctl reboot");
        self.hang_up();
        self.wait_until("another boot", |vm| {
            let now = vm.boot_id()?;
            ensure!(now != before, "it is still the same");
            Ok(())
        })
    }

    fn boot_id(&self) -> Result<String> {
        self.shell("cat /proc/sys/kernel/random/boot_id")
    }

    fn wait_for_shell(&mut self) -> Result<()> {
        self.wait_until("a shell of the machine", |vm| vm.shell("true").map(drop))
    }

    fn wait_until(&mut self, what: &str, look: impl Fn(&Self) -> Result<()>) -> Result<()> {
        let waited = wait::until(what, STARTING, || {
            if let Err(ended) = self.process.check_alive() {
                return Ok(Err(ended));
            }
            look(self).map(Ok)
        });
        waited.and_then(|alive| alive).with_context(|| format!("its console ends:\n{}", self.last_words()))
    }

    fn last_words(&self) -> String {
        let console = fs::read(self.console()).unwrap_or_default();
        let text = String::from_utf8_lossy(&console);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// One connection serves all shells: without KVM, greeting takes longer than what is to be done.
    fn ssh(&self) -> Command {
        let mut command = self.hub.command("ssh");
        command.arg("-i").arg(disk("key"));
        command.arg("-o").arg(format!("ControlPath={}", self.folder.join("ssh").display()));
        command.args(["-o", "ControlMaster=auto", "-o", "ControlPersist=yes", "-o", "ConnectTimeout=10"]);
        command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
        command.args(["-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=30"]);
        command
    }

    /// One that runs a line in the machine.
    fn ssh_to(&self, line: &str) -> Command {
        let mut command = self.ssh();
        command.arg(self.host()).arg("--").arg(line);
        command
    }

    fn host(&self) -> String {
        format!("root@{}", self.address)
    }

    /// Ends the connection that serves all shells; it fails when there is none.
    fn hang_up(&self) {
        let mut command = self.ssh();
        command.args(["-O", "exit"]).arg(self.host());
        let _ = output(&mut command);
    }
}

/// Two processors and 2 GiB, a disk that forgets, the plug on the bridge, two folders of the host to read.
fn qemu(hub: &Netns, folder: &Path, tap: &str) -> Result<Command> {
    let (accelerator, processor) = if has_kvm() { ("kvm", "host") } else { ("tcg,thread=multi", "max") };
    let mut command = hub.command(parts::installed("qemu-system-x86_64")?);
    command.args(["-machine", "q35", "-accel", accelerator, "-cpu", processor, "-smp", "2", "-m", "2048"]);
    command.args(["-nodefaults", "-display", "none"]);
    command.arg("-serial").arg(format!("file:{}", folder.join("console.log").display()));
    command.arg("-kernel").arg(disk("vmlinuz")).arg("-initrd").arg(disk("initrd.img"));
    command.args(["-append", "root=/dev/vda rw console=ttyS0 systemd.show_status=false"]);
    let drive = format!("file={},format=raw,if=virtio,snapshot=on", disk("disk.img").display());
    command.arg("-drive").arg(drive).env("TMPDIR", folder);
    command.arg("-netdev").arg(format!("tap,id=lan,ifname={tap},script=no,downscript=no"));
    command.args(["-device", "virtio-net-pci,netdev=lan", "-device", "virtio-rng-pci"]);
    for (tag, path) in [("tools", parts::tools().join("bin")), ("ground", folder.join("share"))] {
        let path = path.canonicalize()?;
        let share = format!("local,path={},mount_tag={tag},security_model=none,readonly=on", path.display());
        command.arg("-virtfs").arg(share);
    }
    Ok(command)
}

/// Whether the kernel can run any other with the processor's help. The device alone does not tell: a host may offer
/// one (such as pvm's) that runs kernels only that are made for it, and then the processor has no such flag.
pub fn has_kvm() -> bool {
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let has = |flag: &str| flags.split_whitespace().any(|each| each == flag);
    let opens = fs::File::options().read(true).write(true).open("/dev/kvm").is_ok();
    opens && (has("vmx") || has("svm"))
}

/// A file of the image.
fn disk(name: &str) -> PathBuf {
    parts::tools().join("bin/vm").join(name)
}
