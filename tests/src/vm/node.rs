//! A node on a machine of its own: containerd and the kubelet as units of systemd, their files where an operator has them
//! (`tests/vm/node`). Nothing here but the executable depends on whose kubelet it is.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;

use super::{TOOLS, Vm};
use crate::control_plane::ControlPlane;
use crate::ground::Ground;
use crate::kubelet::{self, Flavour};
use crate::parts;
use crate::wait;

/// The name that the API server knows the node by: the machine's own.
pub const NAME: &str = "node-1";

/// How long anything may take here: without KVM a tenth of the machine is left.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// Files of `tests/vm/node` and where they go.
const FILES: [(&str, &str); 6] = [
    ("containerd.service", "/etc/systemd/system/containerd.service"),
    ("containerd.toml", "/etc/containerd/config.toml"),
    ("10-bridge.conflist", "/etc/cni/net.d/10-bridge.conflist"),
    ("kubelet.service", "/etc/systemd/system/kubelet.service"),
    ("10-node.conf", "/etc/systemd/system/kubelet.service.d/10-node.conf"),
    ("config.yaml", CONFIG),
];

/// The kubelet's configuration.
pub const CONFIG: &str = "/var/lib/kubelet/config.yaml";

/// A machine with a node on it.
pub struct VmNode {
    vm: Vm,
}

impl VmNode {
    /// Boots a machine, makes it a node of the cluster and waits until that is Ready.
    pub fn joined(ground: &Arc<Ground>, plane: &ControlPlane, flavour: Flavour) -> Result<Self> {
        let vm = Vm::boot(ground, plane.lan(), 1)?;
        let node = Self { vm };
        node.install_runtime()?;
        node.install_kubelet(plane, flavour)?;
        node.vm.shell("systemctl daemon-reload && systemctl enable --quiet --now containerd")?;
        node.import_images()?;
        node.vm.shell("systemctl enable --quiet --now kubelet").with_context(|| node.journal("kubelet"))?;
        let ready = plane.kubectl().wait_condition(&["node", NAME], "Ready", PATIENCE);
        ready.with_context(|| node.journal("kubelet"))?;
        Ok(node)
    }

    /// The machine.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// The machine, to start anew.
    pub fn machine(&mut self) -> &mut Vm {
        &mut self.vm
    }

    /// The end of a unit's journal.
    pub fn journal(&self, unit: &str) -> String {
        let lines = self.vm.shell(&format!("journalctl --unit {unit} --lines 40 --output cat"));
        format!("the journal of {unit} ends:\n{}", lines.unwrap_or_else(|error| format!("{error:#}")))
    }

    /// A property of a unit, as `systemctl show` has it.
    pub fn property(&self, unit: &str, property: &str) -> Result<String> {
        let text = self.vm.shell(&format!("systemctl show --value --property {property} '{unit}'"))?;
        Ok(text.trim().to_owned())
    }

    /// Waits until a property of a unit is as wanted.
    pub fn wait_property(&self, unit: &str, property: &str, wanted: &str) -> Result<()> {
        wait::until(&format!("{property} of {unit} being {wanted}"), PATIENCE, || {
            let is = self.property(unit, property)?;
            ensure!(is == wanted, "it is {is}");
            Ok(())
        })
        .with_context(|| self.journal(unit))
    }

    /// What a file of a cgroup says.
    pub fn cgroup(&self, path: &str, file: &str) -> Result<String> {
        Ok(self.vm.shell(&format!("cat '/sys/fs/cgroup{path}/{file}'"))?.trim().to_owned())
    }

    /// The containers that have a process, as `id pid`, in order.
    pub fn running(&self) -> Result<Vec<String>> {
        let list = self
            .vm
            .shell("ctr --namespace k8s.io tasks list | awk '$3 == \"RUNNING\" { print $1, $2 }' | sort")?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// Changes the kubelet's configuration.
    pub fn configure(&self, config: &str) -> Result<()> {
        self.vm.put(CONFIG, config.as_bytes())
    }

    /// The kubelet's configuration as it was installed.
    pub fn configuration() -> Result<String> {
        file("config.yaml")
    }

    fn install_runtime(&self) -> Result<()> {
        let programs = ["containerd", "containerd-shim-runc-v2", "ctr"].map(|name| format!("{TOOLS}/{name}"));
        self.vm.shell(&format!("install -t /usr/local/bin {}", programs.join(" ")))?;
        FILES.iter().try_for_each(|(name, path)| self.vm.put(path, file(name)?.as_bytes()))
    }

    fn import_images(&self) -> Result<()> {
        wait::until("containerd's socket", PATIENCE, || self.vm.shell("ctr version").map(drop))?;
        for image in ["pause", "busybox"] {
            self.vm.shell(&format!("ctr --namespace k8s.io images import {TOOLS}/images/{image}.tar"))?;
        }
        Ok(())
    }

    fn install_kubelet(&self, plane: &ControlPlane, flavour: Flavour) -> Result<()> {
        let program = match flavour {
            Flavour::Stock => parts::built("kubelet")?,
            Flavour::Ours => parts::bulkhead()?,
        };
        let program = self.vm.share(&program, "kubelet")?;
        self.vm
            .shell(&format!("install {program} /usr/bin/kubelet && mkdir -p /etc/kubernetes/manifests"))?;
        if flavour == Flavour::Ours {
            self.vm.shell("ln -sf kubelet /usr/bin/bulkhead")?;
        }
        let authority = plane.authority();
        let serving = kubelet::serving(authority, NAME, 1)?;
        let files = [
            (authority.certificate(), "/etc/kubernetes/pki/ca.crt"),
            (serving.certificate, "/etc/kubernetes/pki/kubelet.crt"),
            (serving.key, "/etc/kubernetes/pki/kubelet.key"),
        ];
        files.iter().try_for_each(|(from, to)| self.vm.put(to, &fs::read(from)?))?;
        self.vm.put("/etc/kubernetes/kubelet.conf", embedded(&plane.node_kubeconfig(NAME)?)?.as_bytes())
    }
}

/// A kubeconfig file with the certificates in it that it names, as kubeadm writes it.
fn embedded(kubeconfig: &Path) -> Result<String> {
    let mut config: Value = serde_json::from_slice(&fs::read(kubeconfig)?)?;
    let places = [
        ("/clusters/0/cluster", "certificate-authority"),
        ("/users/0/user", "client-certificate"),
        ("/users/0/user", "client-key"),
    ];
    for (pointer, name) in places {
        let holder =
            config.pointer_mut(pointer).with_context(|| format!("a kubeconfig file without {pointer}"))?;
        let path = holder[name].as_str().with_context(|| format!("a kubeconfig file without {name}"))?;
        holder[format!("{name}-data")] = BASE64_STANDARD.encode(fs::read(path)?).into();
        holder.as_object_mut().context("no object")?.remove(name);
    }
    Ok(config.to_string())
}

/// A file of `tests/vm/node`.
fn file(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vm/node").join(name);
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}
