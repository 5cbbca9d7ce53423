//! A real control plane: etcd, kube-apiserver, kube-controller-manager and kube-scheduler in the namespace of the
//! [`Lan`], with the authorizers and admission that a cluster has (Node, RBAC, NodeRestriction).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::ground::Ground;
use crate::identity::{Authority, Identity};
use crate::kubectl::Kubectl;
use crate::netns::{CONTROL_PLANE, Lan};
use crate::parts;
use crate::process::Process;
use crate::wait;

/// The network of Services; its first address is the API server's Service.
pub const SERVICE_NETWORK: &str = "10.96.0.0/16";

/// How long one part of the control plane may take to be ready, on a busy machine.
const STARTING: Duration = Duration::from_secs(120);

/// A control plane, up while this lives.
pub struct ControlPlane {
    lan: Lan,
    authority: Authority,
    admin: PathBuf,
    folder: PathBuf,
    etcd: Process,
    api_server: Process,
    controllers: Vec<Process>,
}

impl ControlPlane {
    /// Raises a control plane and waits until the API server is ready. The controllers come up by themselves.
    pub fn start(ground: &Arc<Ground>) -> Result<Self> {
        let lan = Lan::new(ground)?;
        let folder = ground.folder("control-plane")?;
        let authority = Authority::new(ground.folder("pki")?)?;
        let admin = authority.client("admin", "admin", &["system:masters"])?;
        let admin = authority.kubeconfig("admin", &server(), &admin)?;

        let etcd = Process::spawn("etcd", &folder, etcd(&lan, &folder)?)?;
        let api_server = Process::spawn("kube-apiserver", &folder, api_server(&lan, &authority)?)?;
        let controllers = Vec::new();
        let mut plane = Self { lan, authority, admin, folder, etcd, api_server, controllers };
        plane.wait_ready()?;
        plane.start_controllers()?;
        Ok(plane)
    }

    fn start_controllers(&mut self) -> Result<()> {
        for name in ["kube-controller-manager", "kube-scheduler"] {
            let command = self.controller(name)?;
            self.controllers.push(Process::spawn(name, &self.folder, command)?);
        }
        Ok(())
    }

    /// The namespace and bridge that nodes join.
    pub fn lan(&self) -> &Lan {
        &self.lan
    }

    /// The authority that signed everything here.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The API server's URL, as nodes reach it.
    pub fn url(&self) -> String {
        server()
    }

    /// The administrator's kubeconfig file, good in the control plane's and the nodes' namespaces.
    pub fn admin(&self) -> &Path {
        &self.admin
    }

    /// kubectl with the administrator's rights.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.lan.hub(), &self.admin)
    }

    /// The API server's process, to kill or to stall.
    pub fn api_server(&mut self) -> &mut Process {
        &mut self.api_server
    }

    /// Starts the API server again after a kill and waits until it is ready.
    pub fn restart_api_server(&mut self) -> Result<()> {
        self.api_server.kill()?;
        let command = api_server(&self.lan, &self.authority)?;
        self.api_server = Process::spawn("kube-apiserver", &self.folder, command)?;
        self.wait_ready()
    }

    /// Kills the API server and what can't be without it: controllers that can't renew their leadership leave, and
    /// their successors give nodes time to be heard from.
    pub fn go_away(&mut self) -> Result<()> {
        self.api_server.kill()?;
        self.controllers.drain(..).try_for_each(|mut controller| controller.kill())
    }

    /// Starts all of it again and waits until the API server is ready.
    pub fn come_back(&mut self) -> Result<()> {
        self.restart_api_server()?;
        self.start_controllers()
    }

    /// A kubeconfig file for the kubelet of the node called `name`.
    pub fn node_kubeconfig(&self, name: &str) -> Result<PathBuf> {
        let identity = self.authority.client(name, &format!("system:node:{name}"), &["system:nodes"])?;
        self.authority.kubeconfig(name, &server(), &identity)
    }

    /// Makes a namespace and waits until pods can be made in it (its default service account is there).
    pub fn namespace(&self, name: &str) -> Result<()> {
        let kubectl = self.kubectl();
        kubectl.run(&["create", "namespace", name])?;
        wait::until("the default service account", STARTING, || {
            kubectl.run(&["--namespace", name, "get", "serviceaccount/default", "configmap/kube-root-ca.crt"])
        })?;
        Ok(())
    }

    fn wait_ready(&mut self) -> Result<()> {
        self.etcd.check_alive()?;
        let kubectl = self.kubectl();
        self.api_server.wait_ready(STARTING, || {
            let answer = kubectl.run(&["get", "--raw", "/readyz"])?;
            ensure!(answer == "ok", "/readyz says {answer}");
            Ok(())
        })
    }

    /// The controller manager or the scheduler; both take their own user's kubeconfig file for everything.
    fn controller(&self, name: &str) -> Result<Command> {
        let identity = self.authority.client(name, &format!("system:{name}"), &[])?;
        let kubeconfig = self.authority.kubeconfig(name, &server(), &identity)?;
        let mut command = self.lan.hub().command(parts::built(name)?);
        for flag in ["--kubeconfig", "--authentication-kubeconfig", "--authorization-kubeconfig"] {
            command.arg(flag).arg(&kubeconfig);
        }
        command.args(["--leader-elect=false", "--bind-address=127.0.0.1"]);
        if name == "kube-controller-manager" {
            self.controller_manager_flags(&mut command);
        }
        Ok(command)
    }

    fn controller_manager_flags(&self, command: &mut Command) {
        let (certificate, key) = (self.authority.certificate(), self.authority.key());
        command.arg("--use-service-account-credentials");
        command.arg("--root-ca-file").arg(&certificate);
        command
            .arg("--cluster-signing-cert-file")
            .arg(certificate)
            .arg("--cluster-signing-key-file")
            .arg(key);
        command.arg("--service-account-private-key-file").arg(self.authority.token_key());
    }
}

/// etcd without fsync: what it holds needs not outlive the test.
fn etcd(lan: &Lan, folder: &Path) -> Result<Command> {
    let mut command = lan.hub().command(parts::built("etcd")?);
    command.args(["--unsafe-no-fsync", "--log-level=warn", "--data-dir"]).arg(folder.join("etcd"));
    Ok(command)
}

fn api_server(lan: &Lan, authority: &Authority) -> Result<Command> {
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let serving = authority.server("kube-apiserver", &names, &[CONTROL_PLANE, "127.0.0.1", "10.96.0.1"])?;
    let to_kubelets =
        authority.client("to-kubelets", "kube-apiserver-kubelet-client", &["system:masters"])?;
    let mut command = lan.hub().command(parts::built("kube-apiserver")?);
    command.args([
        "--etcd-servers=http://127.0.0.1:2379",
        "--secure-port=6443",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    ]);
    command.args(["--advertise-address", CONTROL_PLANE, "--service-cluster-ip-range", SERVICE_NETWORK]);
    api_server_files(&mut command, authority, &serving, &to_kubelets);
    Ok(command)
}

fn api_server_files(
    command: &mut Command,
    authority: &Authority,
    serving: &Identity,
    to_kubelets: &Identity,
) {
    let files = [
        ("--client-ca-file", authority.certificate()),
        ("--tls-cert-file", serving.certificate.clone()),
        ("--tls-private-key-file", serving.key.clone()),
        ("--kubelet-certificate-authority", authority.certificate()),
        ("--kubelet-client-certificate", to_kubelets.certificate.clone()),
        ("--kubelet-client-key", to_kubelets.key.clone()),
        ("--service-account-signing-key-file", authority.token_key()),
        ("--service-account-key-file", authority.token_public_key()),
    ];
    for (flag, path) in files {
        command.arg(flag).arg(path);
    }
}

fn server() -> String {
    format!("https://{CONTROL_PLANE}:6443")
}
