//! Every message reads and writes its frozen fixture unchanged.
//!
//! A difference here is a broken contract, never a stale fixture: make a new `VERSION` and a new
//! file instead. `BLESS=1 cargo test -p messages` writes only fixtures that do not exist yet.

#![expect(clippy::unwrap_used, reason = "helpers of a test may panic as the test itself")]

use k8s_openapi::api::core::v1 as core;
use messages::{
    BootTime, ContainerName, Decision, Fault, Incarnation, Message, Owner, PodUid, catalog::ROWS,
    cri_bridge as cri, health, pod_lifecycle as life, prober, proxy_programmer as proxy,
    status_reporter as report, volume_mounter as volumes,
};
use std::{collections::BTreeMap, path::PathBuf};

fn pod() -> PodUid {
    "0b2c6f1e-7a3d-4d52-9a2b-2f6f0f5b1a11".parse().unwrap()
}

fn app() -> ContainerName {
    "app".parse().unwrap()
}

const DECISION: Decision = Decision { incarnation: Incarnation(3), revision: 14 };

/// Checks one message against its file and tells the message's name.
fn hold<M: Message + PartialEq>(message: M) -> &'static str {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/v{}", M::VERSION));
    let path = folder.join(format!("{}.json", M::NAME));
    if std::env::var_os("BLESS").is_some() && !path.exists() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, serde_json::to_string_pretty(&message).unwrap() + "\n").unwrap();
    }
    let wire = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{} has no fixture", M::NAME));
    let read: M = serde_json::from_str(&wire).unwrap_or_else(|error| panic!("{}: {error}", M::NAME));
    assert_eq!(read, message, "{} does not read as it first did", M::NAME);
    assert_eq!(
        serde_json::to_string_pretty(&read).unwrap() + "\n",
        wire,
        "{} does not write as it first did",
        M::NAME
    );
    M::NAME
}

fn owners_of_volumes() -> Vec<&'static str> {
    let volume = volumes::ReadyVolume {
        name: "config".into(),
        host_path: Some("/var/lib/kubelet/pods/u/volumes/kubernetes.io~configmap/config".into()),
        read_only: false,
        selinux_relabel: true,
    };
    vec![
        hold(volumes::PrepareVolumes { pod: pod(), decision: DECISION }),
        hold(volumes::ReleaseVolumes { pod: pod(), decision: DECISION }),
        hold(volumes::BindSubpath { pod: pod(), container: app(), mount: 1, path: "logs/app".into() }),
        hold(volumes::Volumes {
            pod: pod(),
            phase: volumes::VolumesPhase::Preparing {
                fault: Some(Fault::new("FailedMount", "configmap \"settings\" not found")),
            },
            revision: 2,
            volumes: vec![volume],
            pod_dir: "/var/lib/kubelet/pods/u".into(),
            supplemental_groups: vec![2000],
        }),
        hold(volumes::InUse { volumes: vec!["kubernetes.io/csi/d^v".into()] }),
    ]
}

fn deeds_of_the_runtime() -> Vec<&'static str> {
    vec![
        hold(cri::PullImage { pod: pod(), decision: DECISION, container: app() }),
        hold(cri::EnsureSandbox { pod: pod(), decision: DECISION, attempt: 1, volumes_first: false }),
        hold(cri::StartContainer {
            pod: pod(),
            decision: DECISION,
            container: app(),
            kind: life::ContainerKind::Sidecar,
            attempt: 2,
        }),
        hold(cri::StopContainer {
            pod: pod(),
            decision: DECISION,
            container: app(),
            container_id: "c0ffee".into(),
            grace_seconds: 30,
            why: "Container app failed liveness probe, will be restarted".into(),
        }),
        hold(cri::StopPod { pod: pod(), decision: DECISION, grace_seconds: 30 }),
        hold(cri::ForgetPod { pod: pod(), decision: DECISION, remove_containers: true }),
        hold(cri::ExecProbe {
            pod: pod(),
            container: app(),
            container_id: "c0ffee".into(),
            probe: prober::ProbeKind::Liveness,
        }),
        hold(cri::OpenStream {
            pod: pod(),
            stream: cri::StreamKind::Exec {
                container: app(),
                command: vec!["ls".into(), "/".into()],
                tty: false,
                stdin: false,
                stdout: true,
                stderr: true,
            },
        }),
    ]
}

fn runtime_pod() -> cri::RuntimePod {
    cri::RuntimePod {
        pod: pod(),
        namespace: "default".into(),
        name: "web".into(),
        revision: 9,
        sandboxes: vec![cri::Sandbox {
            id: "5a5a".into(),
            attempt: 0,
            ready: true,
            created_at: 1_700_000_000_000_000_000,
            host_network: false,
            ips: vec!["10.0.0.7".into()],
        }],
        containers: vec![cri::Container {
            id: "c0ffee".into(),
            name: app(),
            attempt: 0,
            sandbox: "5a5a".into(),
            state: cri::ContainerState::Exited,
            created_at: 1,
            started_at: 2,
            finished_at: 3,
            exit_code: 137,
            reason: "OOMKilled".into(),
            message: "out of memory".into(),
            image: "registry.example/app:1".into(),
            image_ref: "sha256:abc".into(),
            hash: "6c1f3a2b".into(),
            user: Some(cri::LinuxUser { uid: 1000, gid: 1000, supplemental_groups: vec![2000] }),
            resources: Some(cri::Resources {
                cpu_shares: 102,
                cpu_quota: 10_000,
                cpu_period: 100_000,
                memory_limit: 1 << 20,
            }),
            hook_pending: false,
        }],
        images: BTreeMap::from([(
            "registry.example/app:1".into(),
            cri::ImageState::Present { image_ref: "sha256:abc".into() },
        )]),
        in_flight: vec![cri::InFlight {
            deed: cri::Deed::Start { container: app(), attempt: 1 },
            decision: DECISION,
            failed: Some(Fault::new("RunContainerError", "no such file or directory")),
            at: 4,
        }],
        cgroup: true,
        read_at: 5,
    }
}

fn the_runtime_as_it_is() -> Vec<&'static str> {
    vec![
        hold(runtime_pod()),
        hold(cri::Runtime {
            reachable: true,
            error: String::new(),
            name: "containerd".into(),
            version: "2.4.2".into(),
            conditions: vec![cri::Condition {
                kind: "NetworkReady".into(),
                holds: false,
                reason: "NetworkPluginNotReady".into(),
                message: "cni config uninitialized".into(),
            }],
            handlers: vec![cri::RuntimeHandler {
                name: String::new(),
                recursive_read_only_mounts: true,
                user_namespaces: true,
            }],
            supplemental_groups_policy: true,
            events: true,
            cgroup_driver: "cgroupfs".into(),
        }),
        hold(cri::Machine {
            cpus: 2,
            memory: 24 << 30,
            swap: 0,
            hugepages: BTreeMap::from([("2Mi".into(), 0)]),
            nodefs: cri::Filesystem { capacity: 100, available: 60, inodes: 1000, inodes_free: 900 },
            machine_id: "m".into(),
            system_uuid: "s".into(),
            boot_id: "b".into(),
            kernel_version: "6.18.0".into(),
            os_image: "Debian GNU/Linux 12 (bookworm)".into(),
            cgroup_version: 2,
            images: vec![cri::Image { names: vec!["registry.example/app:1".into()], size: 1024 }],
        }),
    ]
}

fn decisions_about_pods() -> Vec<&'static str> {
    let object = core::Pod { spec: Some(core::PodSpec::default()), ..Default::default() };
    vec![
        hold(life::Pod {
            pod: pod(),
            decision: DECISION,
            source: life::PodSource::Api,
            stage: life::Stage::Terminating { grace_seconds: 30 },
            object: Box::new(object.clone()),
        }),
        hold(life::Probes {
            pod: pod(),
            namespace: "default".into(),
            name: "web".into(),
            ip: Some("10.0.0.7".into()),
            terminating: false,
            containers: vec![life::ProbedContainer {
                name: app(),
                kind: life::ContainerKind::Regular,
                container_id: Some("c0ffee".into()),
                running: true,
                started_at: 2,
                started: true,
                probes: BTreeMap::from([(prober::ProbeKind::Readiness, core::Probe::default())]),
                ports: BTreeMap::from([("http".into(), 8080)]),
            }],
        }),
        hold(life::Status {
            pod: pod(),
            namespace: "default".into(),
            name: "web".into(),
            source: life::PodSource::File,
            status: Box::new(core::PodStatus { phase: Some("Running".into()), ..Default::default() }),
            mirror: Some(Box::new(object)),
            release: false,
            seen_at: 1,
            life: 0,
        }),
        hold(life::Refused {
            id: "9f86d081".parse().unwrap(),
            from: "/etc/kubernetes/manifests/web.yaml".into(),
            field: "spec.containers[0].name".into(),
            why: "is required".into(),
        }),
        hold(life::RemovePods {}),
        hold(prober::Verdict {
            pod: pod(),
            container: app(),
            probe: prober::ProbeKind::Readiness,
            container_id: "c0ffee".into(),
            finding: prober::Finding::Failure,
            message: "HTTP probe failed with statuscode: 500".into(),
        }),
    ]
}

fn what_is_reported() -> Vec<&'static str> {
    vec![
        hold(report::RecordEvent {
            about: report::About::Pod {
                pod: pod(),
                namespace: "default".into(),
                name: "web".into(),
                field_path: "spec.containers{app}".into(),
            },
            severity: report::Severity::Warning,
            reason: "BackOff".into(),
            message: "Back-off restarting failed container app".into(),
            at: 6,
        }),
        hold(report::Node { registered: true, standalone: false, object: Box::new(core::Node::default()) }),
        hold(proxy::Table { mode: "nftables".into(), service_ports: 2, endpoints: 4, committed_at: 7 }),
        hold(health::Health {
            owner: Owner::CriBridge,
            incarnation: Incarnation(3),
            pid: 4242,
            ready: false,
            waiting_for: vec!["the runtime".into()],
            at: BootTime(8),
        }),
    ]
}

#[test]
fn every_message_has_a_fixture_and_still_is_it() {
    let mut held = [
        decisions_about_pods(),
        owners_of_volumes(),
        deeds_of_the_runtime(),
        the_runtime_as_it_is(),
        what_is_reported(),
    ]
    .concat();
    let mut rows: Vec<_> = ROWS.iter().map(|row| row.name).collect();
    held.sort_unstable();
    rows.sort_unstable();
    assert_eq!(held, rows, "every row of the catalog, and nothing else, has a fixture");
}
