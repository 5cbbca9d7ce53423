//! What cri-bridge is asked for and what it says: the runtime as it is.

mod commands;
mod runtime;
mod runtime_pod;

pub use commands::{
    EnsureSandbox, ExecProbe, ExecProbeReply, ForgetPod, OpenStream, OpenStreamReply, PullImage,
    StartContainer, StopContainer, StopPod, StreamKind,
};
pub use runtime::{Condition, Filesystem, Image, Machine, Runtime, RuntimeHandler};
pub use runtime_pod::{
    Container, ContainerState, Deed, ImageState, InFlight, LinuxUser, Resources, RuntimePod, Sandbox,
};
