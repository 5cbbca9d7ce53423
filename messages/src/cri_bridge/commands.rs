//! The deeds that others ask of cri-bridge.

use crate::{
    Command, ContainerName, Decision, Key, Kind, Message, Outcome, Owner, PodUid, Refusal,
    pod_lifecycle::ContainerKind, prober::ProbeKind,
};
use serde::{Deserialize, Serialize};

macro_rules! outcome_command {
    ($type:ident, $name:literal $(, $container:ident)?) => {
        impl Message for $type {
            const OWNER: Owner = Owner::CriBridge;
            const KIND: Kind = Kind::Command;
            const NAME: &'static str = $name;
            fn key(&self) -> Key {
                Key::from(&self.pod)
            }
        }
        impl Command for $type {
            type Reply = Outcome;
            fn refuse(refusal: Refusal) -> Outcome {
                Outcome::Refused { refusal }
            }
            fn refusal(reply: &Outcome) -> Option<&Refusal> {
                match reply {
                    Outcome::Refused { refusal } => Some(refusal),
                    _ => None,
                }
            }
            fn failure(reply: &Outcome) -> Option<String> {
                reply.failure()
            }
            $(fn container(&self) -> Option<&ContainerName> {
                Some(&self.$container)
            })?
            fn decision(&self) -> Option<Decision> {
                Some(self.decision)
            }
        }
    };
}

/// `cri-bridge.cmd.pull-image.{pod}`: have a container's image in the runtime, by its pull
/// policy, with the pod's credentials. `Done` when it is there already; otherwise `Accepted`,
/// and `runtime-pod.images` tells how it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullImage {
    /// The pod.
    pub pod: PodUid,
    /// The decision carried out.
    pub decision: Decision,
    /// The container whose image, policy and event are meant.
    pub container: ContainerName,
}
outcome_command!(PullImage, "pull-image", container);

/// `cri-bridge.cmd.ensure-sandbox.{pod}`: make the pod's cgroup and a ready sandbox of exactly
/// this attempt. `Done` when the newest sandbox is of that attempt and ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnsureSandbox {
    /// The pod.
    pub pod: PodUid,
    /// The decision carried out.
    pub decision: Decision,
    /// `PodSandboxMetadata.attempt`.
    pub attempt: u32,
    /// The pod's volumes have to be heard of before: the sandbox takes on their supplemental groups.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub volumes_first: bool,
}
outcome_command!(EnsureSandbox, "ensure-sandbox");

/// `cri-bridge.cmd.start-container.{pod}`: create and start one instance of a container, with
/// its postStart hook. `Done` when an instance of this attempt was started already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartContainer {
    /// The pod.
    pub pod: PodUid,
    /// The decision carried out.
    pub decision: Decision,
    /// The container.
    pub container: ContainerName,
    /// Which list of the spec it stands in.
    pub kind: ContainerKind,
    /// `ContainerMetadata.attempt`, which is also the restart count.
    pub attempt: u32,
}
outcome_command!(StartContainer, "start-container", container);

/// `cri-bridge.cmd.stop-container.{pod}`: run the preStop hook and stop one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopContainer {
    /// The pod.
    pub pod: PodUid,
    /// The decision carried out.
    pub decision: Decision,
    /// The container.
    pub container: ContainerName,
    /// CRI id of the instance; another instance of the same name is left alone.
    pub container_id: String,
    /// Seconds from now until SIGKILL, preStop included.
    pub grace_seconds: u64,
    /// The sentence for the `Killing` event, such as why it is restarted.
    pub why: String,
}
outcome_command!(StopContainer, "stop-container", container);

/// `cri-bridge.cmd.stop-pod.{pod}`: stop every container (regular ones together, then sidecars
/// in reverse order) and every sandbox of the pod, and start nothing for it any more. A second
/// one with a shorter grace shortens the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopPod {
    /// The pod.
    pub pod: PodUid,
    /// The decision carried out.
    pub decision: Decision,
    /// Seconds that containers are given.
    pub grace_seconds: u64,
}
outcome_command!(StopPod, "stop-pod");

/// `cri-bridge.cmd.forget-pod.{pod}`: give back what a stopped pod still holds in the runtime.
/// Volumes must be released first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetPod {
    /// The pod.
    pub pod: PodUid,
    /// The decision carried out.
    pub decision: Decision,
    /// Also remove dead containers, sandboxes and log files, and not only the pod's cgroup: set
    /// when the pod is deleted, unset when it merely finished and its logs are still of use.
    pub remove_containers: bool,
}
outcome_command!(ForgetPod, "forget-pod");

/// `cri-bridge.cmd.exec-probe.{pod}`: run the exec probe of a container once. The command is
/// taken from cri-bridge's own copy of the spec, never from the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecProbe {
    /// The pod.
    pub pod: PodUid,
    /// The container.
    pub container: ContainerName,
    /// CRI id of the instance.
    pub container_id: String,
    /// Which of its probes.
    pub probe: ProbeKind,
}

/// How an exec probe went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum ExecProbeReply {
    /// The command ended by itself.
    Exited {
        /// Its exit code.
        code: i32,
        /// The first 10 KiB of its output, as text.
        output: String,
    },
    /// `timeoutSeconds` passed; counts as a failed probe.
    TimedOut {
        /// Output so far.
        output: String,
    },
    /// The probe could not be carried out; no result.
    Errored {
        /// What the runtime said.
        why: String,
    },
    /// Not tried.
    Refused {
        /// Why not.
        refusal: Refusal,
    },
}

impl Message for ExecProbe {
    const OWNER: Owner = Owner::CriBridge;
    const KIND: Kind = Kind::Command;
    const NAME: &'static str = "exec-probe";
    fn key(&self) -> Key {
        Key::from(&self.pod)
    }
}
impl Command for ExecProbe {
    type Reply = ExecProbeReply;
    fn refuse(refusal: Refusal) -> ExecProbeReply {
        ExecProbeReply::Refused { refusal }
    }
    fn refusal(reply: &ExecProbeReply) -> Option<&Refusal> {
        match reply {
            ExecProbeReply::Refused { refusal } => Some(refusal),
            _ => None,
        }
    }
}

/// Which streaming server of the runtime is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stream", rename_all = "kebab-case")]
pub enum StreamKind {
    /// Run a command in a container.
    Exec {
        /// The container.
        container: ContainerName,
        /// Command and arguments.
        command: Vec<String>,
        /// Allocate a terminal.
        tty: bool,
        /// Attach standard input.
        stdin: bool,
        /// Attach standard output.
        stdout: bool,
        /// Attach standard error.
        stderr: bool,
    },
    /// Attach to a container's main process.
    Attach {
        /// The container.
        container: ContainerName,
        /// The container has a terminal.
        tty: bool,
        /// Attach standard input.
        stdin: bool,
        /// Attach standard output.
        stdout: bool,
        /// Attach standard error.
        stderr: bool,
    },
    /// Forward ports of the pod's sandbox.
    PortForward {
        /// The ports.
        ports: Vec<u16>,
    },
}

/// `cri-bridge.cmd.open-stream.{pod}`: have the runtime prepare a stream. Bytes of the stream
/// never cross the bus: the reply is where to connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenStream {
    /// The pod.
    pub pod: PodUid,
    /// What to open.
    pub stream: StreamKind,
}

/// Where a stream is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum OpenStreamReply {
    /// The runtime serves it once at this URL.
    Opened {
        /// An `http` URL on loopback.
        url: String,
    },
    /// The runtime could not.
    Failed {
        /// What it said.
        why: String,
    },
    /// Not tried.
    Refused {
        /// Why not.
        refusal: Refusal,
    },
}

impl Message for OpenStream {
    const OWNER: Owner = Owner::CriBridge;
    const KIND: Kind = Kind::Command;
    const NAME: &'static str = "open-stream";
    fn key(&self) -> Key {
        Key::from(&self.pod)
    }
}
impl Command for OpenStream {
    type Reply = OpenStreamReply;
    fn refuse(refusal: Refusal) -> OpenStreamReply {
        OpenStreamReply::Refused { refusal }
    }
    fn refusal(reply: &OpenStreamReply) -> Option<&Refusal> {
        match reply {
            OpenStreamReply::Refused { refusal } => Some(refusal),
            _ => None,
        }
    }
}
