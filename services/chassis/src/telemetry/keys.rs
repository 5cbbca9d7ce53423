//! Names of span attributes, OpenTelemetry's where it has one (semantic conventions 1.37, `k8s.*` and
//! `service.*`).

/// The process: `prober`.
pub const SERVICE_NAME: &str = "service.name";
/// The process' life: its incarnation.
pub const SERVICE_INSTANCE: &str = "service.instance.id";
/// The node.
pub const NODE_NAME: &str = "k8s.node.name";
/// `metadata.namespace`.
pub const NAMESPACE: &str = "k8s.namespace.name";
/// `metadata.name`.
pub const POD_NAME: &str = "k8s.pod.name";
/// `metadata.uid`.
pub const POD_UID: &str = "k8s.pod.uid";
/// `spec.containers[].name`.
pub const CONTAINER_NAME: &str = "k8s.container.name";
/// The restart count that an instance of a container has.
pub const RESTART_COUNT: &str = "k8s.container.restart_count";
/// `spec.volumes[].name`.
pub const VOLUME_NAME: &str = "k8s.volume.name";
/// The kind of source of a volume, such as `configMap`.
pub const VOLUME_TYPE: &str = "k8s.volume.type";
/// The image as the user wrote it.
pub const IMAGE: &str = "container.image.name";
/// CRI id of a container.
pub const CONTAINER_ID: &str = "container.id";
/// How often a pod with this UID was started on this node before.
pub const LIFE: &str = "bulkhead.pod.life";
/// Who asked for the deed.
pub const CALLER: &str = "bulkhead.caller";
/// Whom a call waits for: [`super::Peer`].
pub const PEER: &str = "peer.service";
/// Microseconds from the sending of a message to the beginning of what it set off.
pub const QUEUED: &str = "bulkhead.queued_us";
/// Milliseconds that a caller waits for a reply.
pub const PATIENCE: &str = "bulkhead.patience_ms";
