//! What a node needs, and the command that brings it. Pure.

use super::facts::Facts;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As it should be.
    Fine,
    /// A node works, but somebody should know.
    Doubtful,
    /// No node works.
    Lacking,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// How bad it is.
    pub(super) verdict: Verdict,
    /// What was found.
    pub(super) what: String,
    /// The command that mends it, or what to do; empty when there is nothing to mend.
    pub(super) mend: String,
}

use Verdict::{Doubtful, Fine, Lacking};

fn finding(verdict: Verdict, what: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { verdict, what: what.into(), mend: mend.into() }
}

fn fine(what: impl Into<String>) -> Finding {
    finding(Fine, what, "")
}

/// Every finding, the worst not first but in the order in which one mends.
pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![rights(facts), bus(facts)];
    findings.extend(runtime(facts));
    findings.push(network(facts));
    findings.push(forwarding(facts));
    findings.push(cgroups(facts));
    findings.extend(kernel(facts));
    findings.push(swap(facts));
    findings.push(ports(facts));
    findings.push(machine_id(facts));
    findings
}

fn rights(facts: &Facts) -> Finding {
    if facts.root { fine("root") } else { finding(Lacking, "you are not root", "sudo bulkhead doctor") }
}

fn bus(facts: &Facts) -> Finding {
    if facts.programs.contains("nats-server") {
        return fine("nats-server");
    }
    finding(Lacking, "nats-server, the bus, is not installed", "apt-get install nats-server")
}

fn runtime(facts: &Facts) -> Vec<Finding> {
    let socket = facts.runtime_socket.display();
    if facts.runtime_answers {
        return vec![fine(format!("a runtime answers on {socket}"))];
    }
    let mut findings = Vec::new();
    for (program, what) in [("containerd", "the runtime"), ("runc", "which starts containers")] {
        if !facts.programs.contains(program) {
            findings.push(finding(
                Lacking,
                format!("{program}, {what}, is not installed"),
                format!("apt-get install {program}"),
            ));
        }
    }
    let start = "systemctl start containerd (or, where nothing manages services: containerd &)";
    findings.push(finding(Lacking, format!("no runtime answers on {socket}"), start));
    findings
}

fn network(facts: &Facts) -> Finding {
    const PLUGINS: &str = "apt-get install containernetworking-plugins";
    match &facts.cni {
        None => finding(
            Lacking,
            "no CNI configuration in /etc/cni/net.d: pods get no network",
            format!("{PLUGINS}, and write /etc/cni/net.d/10-bridge.conflist (the README has one)"),
        ),
        Some(cni) if cni.missing.is_empty() => fine(format!("CNI by {}", cni.file.display())),
        Some(cni) => finding(
            Lacking,
            format!("{} names plugins that are not there: {}", cni.file.display(), cni.missing.join(", ")),
            PLUGINS,
        ),
    }
}

fn forwarding(facts: &Facts) -> Finding {
    if facts.forwards {
        return fine("packets are forwarded");
    }
    finding(
        Doubtful,
        "packets are not forwarded: pods reach nothing beyond the node",
        "sysctl -w net.ipv4.ip_forward=1",
    )
}

fn cgroups(facts: &Facts) -> Finding {
    let missing: Vec<&str> = ["cpu", "cpuset", "memory", "pids"]
        .into_iter()
        .filter(|name| !facts.controllers.contains(*name))
        .collect();
    if !missing.is_empty() {
        return finding(
            Lacking,
            format!("cgroup controllers are off: {}", missing.join(", ")),
            "add cgroup_enable=memory to the kernel's command line and restart the machine",
        );
    }
    if facts.cgroup_v2 {
        return fine("cgroup v2 with cpu, cpuset, memory and pids");
    }
    finding(
        Doubtful,
        "cgroup v1: `kubelet` refuses it unless failCgroupV1 is false, `bulkhead up` does not",
        "add systemd.unified_cgroup_hierarchy=1 to the kernel's command line and restart the machine",
    )
}

fn kernel(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !facts.filesystems.contains("overlay") {
        findings.push(finding(
            Doubtful,
            "overlay is not loaded: images are slower to use",
            "modprobe overlay",
        ));
    }
    for kind in ["net", "pid", "ipc", "uts", "mnt", "cgroup"] {
        if !facts.namespaces.contains(kind) {
            let mend = "use a kernel that was built with all namespaces";
            findings.push(finding(Lacking, format!("the kernel has no {kind} namespaces"), mend));
        }
    }
    if findings.is_empty() {
        findings.push(fine("kernel with namespaces and overlay"));
    }
    findings
}

fn swap(facts: &Facts) -> Finding {
    match &facts.swap {
        None => fine("no swap"),
        Some(device) => finding(
            Doubtful,
            format!(
                "swap on {device}: `kubelet` refuses it unless failSwapOn is false, `bulkhead up` does not"
            ),
            "swapoff -a",
        ),
    }
}

fn ports(facts: &Facts) -> Finding {
    if let Some(pid) = facts.supervisor {
        return finding(Doubtful, format!("a node runs here already (process {pid})"), "bulkhead down");
    }
    if facts.taken_ports.is_empty() {
        return fine("the node's ports are free");
    }
    let ports: Vec<String> = facts.taken_ports.iter().map(u16::to_string).collect();
    finding(
        Lacking,
        format!("ports are in use: {}; most likely by another kubelet or kube-proxy", ports.join(", ")),
        "systemctl stop kubelet (ss -ltnp tells who it is)",
    )
}

fn machine_id(facts: &Facts) -> Finding {
    if facts.machine_id {
        return fine("/etc/machine-id");
    }
    finding(
        Doubtful,
        "/etc/machine-id is empty: the node object will have no machine id",
        "systemd-machine-id-setup",
    )
}

#[cfg(test)]
mod tests {
    use super::{super::facts::Cni, *};

    fn good() -> Facts {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Facts {
            root: true,
            programs: ["nats-server", "containerd", "runc"].into(),
            runtime_socket: "/run/containerd/containerd.sock".into(),
            runtime_answers: true,
            cni: Some(Cni { file: "/etc/cni/net.d/10-bridge.conflist".into(), missing: Vec::new() }),
            cgroup_v2: true,
            controllers: words(&["cpu", "cpuset", "memory", "pids"]),
            filesystems: words(&["overlay"]),
            namespaces: words(&["net", "pid", "ipc", "uts", "mnt", "cgroup"]),
            forwards: true,
            swap: None,
            taken_ports: Vec::new(),
            supervisor: None,
            machine_id: true,
        }
    }

    #[test]
    fn nothing_is_wrong_with_a_good_machine() {
        assert!(findings(&good()).iter().all(|finding| finding.verdict == Fine && finding.mend.is_empty()));
    }

    #[test]
    fn each_lack_is_named_with_what_mends_it() {
        type Change = fn(&mut Facts);
        let cases: &[(Change, Verdict, &str, &str)] = &[
            (|facts| facts.root = false, Lacking, "not root", "sudo"),
            (
                |facts| assert!(facts.programs.remove("nats-server")),
                Lacking,
                "nats-server",
                "apt-get install nats-server",
            ),
            (|facts| facts.runtime_answers = false, Lacking, "no runtime answers", "containerd"),
            (|facts| facts.cni = None, Lacking, "no CNI configuration", "containernetworking-plugins"),
            (
                |facts| facts.cni = Some(Cni { file: "/c".into(), missing: vec!["bridge".into()] }),
                Lacking,
                "bridge",
                "containernetworking-plugins",
            ),
            (|facts| facts.forwards = false, Doubtful, "not forwarded", "ip_forward=1"),
            (|facts| assert!(facts.controllers.remove("memory")), Lacking, "memory", "kernel's command line"),
            (|facts| facts.cgroup_v2 = false, Doubtful, "cgroup v1", "unified_cgroup_hierarchy"),
            (|facts| assert!(facts.namespaces.remove("net")), Lacking, "net namespaces", "kernel"),
            (|facts| facts.swap = Some("/swap".into()), Doubtful, "/swap", "swapoff"),
            (|facts| facts.taken_ports = vec![10250], Lacking, "10250", "systemctl stop kubelet"),
            (|facts| facts.supervisor = Some(7), Doubtful, "process 7", "bulkhead down"),
            (|facts| facts.machine_id = false, Doubtful, "machine-id", "systemd-machine-id-setup"),
        ];
        for (change, verdict, what, mend) in cases {
            let mut facts = good();
            change(&mut facts);
            let wrong: Vec<Finding> =
                findings(&facts).into_iter().filter(|finding| finding.verdict != Fine).collect();
            let [found] = wrong.as_slice() else { panic!("{what}: {wrong:?}") };
            assert_eq!(found.verdict, *verdict, "{what}");
            assert!(found.what.contains(what) && found.mend.contains(mend), "{found:?}");
        }
    }
}
