//! One trace per pod start: its tree, what it says of failures and of what comes after, and that time which is lost
//! anywhere shows under the right name.
//!
//! `bulkhead trace` is ours, and so all of this is played on our kubelet alone.

use std::fs;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::containerd::Version;
use tests::control_plane::ControlPlane;
use tests::fault::api::{ApiServer, Asked};
use tests::fault::bus::Bus;
use tests::fault::runtime::Runtime;
use tests::ground::Ground;
use tests::jaeger::{self, Jaeger};
use tests::kubelet::Flavour;
use tests::namespace::{Namespace, SOON};
use tests::node::Node;
use tests::noise::Noise;
use tests::parts;
use tests::scene;
use tests::status::condition;
use tests::trace::Trace;
use tests::wait;

/// What is put somewhere, to be found there.
const DELAY: Duration = Duration::from_millis(300);
/// By how much what is delayed may differ by itself: it is called a time more or less.
const ITSELF: Duration = Duration::from_millis(30);
/// By how much anything else may differ meanwhile.
const ELSEWHERE: Duration = Duration::from_millis(150);
/// Starts with a delay, each beside one without: so many at least, and at most while other things disturb.
const PAIRS: std::ops::RangeInclusive<usize> = 3..=12;

/// A pod with a bit of everything.
const RICH: &str = r#"
nodeName: node-1
initContainers: [{ name: first, command: ["true"] }]
containers:
- name: app
  command: [sleep, "3600"]
  env: [{ name: COLOUR, valueFrom: { configMapKeyRef: { name: settings, key: colour } } }]
  readinessProbe: { exec: { command: [test, -e, /scratch/ready] }, periodSeconds: 1 }
  volumeMounts:
  - { name: settings, mountPath: /settings }
  - { name: sesame, mountPath: /sesame }
  - { name: scratch, mountPath: /scratch }
  - { name: scratch, mountPath: /part, subPath: part }
- name: helper
  command: [sleep, "3600"]
volumes:
- { name: settings, configMap: { name: settings } }
- { name: sesame, secret: { secretName: sesame } }
- { name: scratch, emptyDir: {} }
"#;

/// What its start looks like.
const RICH_START: &str = "pod start: status-reporter
  admit: pod-lifecycle
  ensure sandbox: cri-bridge <- pod-lifecycle
    create sandbox: cri-bridge -> container-runtime
  prepare volumes: volume-mounter <- pod-lifecycle
    mount volume kube-api-access: volume-mounter
      create token: volume-mounter -> kube-apiserver
      mount file system: volume-mounter -> kernel
      read configMap: volume-mounter -> kube-apiserver
    mount volume scratch: volume-mounter
    mount volume sesame: volume-mounter
      mount file system: volume-mounter -> kernel
      read secret: volume-mounter -> kube-apiserver
    mount volume settings: volume-mounter
      read configMap: volume-mounter -> kube-apiserver
      read pod: volume-mounter -> kube-apiserver
  pull image app: cri-bridge <- pod-lifecycle
  pull image first: cri-bridge <- pod-lifecycle
  pull image helper: cri-bridge <- pod-lifecycle
  report status Running: status-reporter -> kube-apiserver
  start container app: cri-bridge <- pod-lifecycle
    bind subpath: volume-mounter <- cri-bridge
      bind path: volume-mounter -> kernel
    create container app: cri-bridge -> container-runtime
    read configMap: cri-bridge -> kube-apiserver
    start container app: cri-bridge -> container-runtime
  start container first: cri-bridge <- pod-lifecycle
    create container first: cri-bridge -> container-runtime
    start container first: cri-bridge -> container-runtime
  start container helper: cri-bridge <- pod-lifecycle
    create container helper: cri-bridge -> container-runtime
    start container helper: cri-bridge -> container-runtime
  wait for probe app: prober -> container
    exec probe: cri-bridge <- prober
";
/// What the start of a static pod looks like.
const STATIC_START: &str = "pod start: status-reporter
  admit: pod-lifecycle
  create mirror Pending: status-reporter -> kube-apiserver
  ensure sandbox: cri-bridge <- pod-lifecycle
    create sandbox: cri-bridge -> container-runtime
  prepare volumes: volume-mounter <- pod-lifecycle
  pull image app: cri-bridge <- pod-lifecycle
  start container app: cri-bridge <- pod-lifecycle
    create container app: cri-bridge -> container-runtime
    start container app: cri-bridge -> container-runtime
";

/// As little as a pod can be.
const PLAIN: &str = r#"
nodeName: node-1
automountServiceAccountToken: false
containers: [{ name: app, command: [sleep, "3600"] }]
"#;

/// A cluster of one node, with a stand-in before its runtime and one before its API server, and a Jaeger beside it.
struct Stage {
    jaeger: Jaeger,
    runtime: Runtime,
    api: ApiServer,
    node: Node,
    plane: ControlPlane,
}

impl Stage {
    /// Plays a scenario on the one stage of this file. What can't be played here says why and counts as skipped.
    fn play(name: &str, scenario: impl Fn(&mut Stage, &Namespace) -> Result<()>) -> Result<()> {
        static STAGE: OnceLock<Mutex<Option<Stage>>> = OnceLock::new();
        let lacking = scene::lacking(Flavour::Ours).or_else(|| parts::lacking(&["jaeger"]));
        let other =
            (!scene::selected()?.contains(&Flavour::Ours)).then(|| "there is no trace to look at".into());
        if let Some(reason) = lacking.or(other) {
            eprintln!("skipped: {reason}");
            return Ok(());
        }
        let stage = STAGE.get_or_init(Mutex::default);
        let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
        if stage.is_none() {
            *stage = Some(Stage::raise().context("raising the stage")?);
        }
        let stage = stage.as_mut().context("there is no stage")?;
        stage.plane.namespace(name)?;
        let home = Namespace::new(stage.plane.kubectl(), name);
        let played = scenario(stage, &home).inspect_err(|_| stage.node.tell_log());
        stage.api.pass();
        stage.runtime.pass();
        played
    }

    fn raise() -> Result<Self> {
        let ground = Ground::new()?;
        let plane = ControlPlane::start(&ground)?;
        let mut node = Node::joined(&ground, &plane, 1, Version::V2_4)?;
        let api = ApiServer::before(&plane, node.netns(), node.name())?;
        node.reach_api_server_by(api.kubeconfig());
        let runtime = Runtime::before(&mut node)?;
        let jaeger = Jaeger::start(&ground, node.netns())?;
        node.configure(|config| {
            config["tracing"] = json!({ "endpoint": jaeger::ENDPOINT, "samplingRatePerMillion": 1_000_000 });
        })?;
        node.start_kubelet(Flavour::Ours, &plane)?;
        Ok(Self { jaeger, runtime, api, node, plane })
    }

    /// The trace of a start, once it looks as it should.
    fn trace<T>(&self, pod: &str, what: &str, look: impl Fn(&Trace) -> Result<T>) -> Result<(Trace, T)> {
        wait::until(&format!("{what} in the trace of {pod}"), SOON, || {
            let trace = Trace::of(&self.node, pod)?;
            let found = look(&trace)?;
            Ok((trace, found))
        })
    }

    /// Starts a plain pod, and takes it away again; the trace of its start.
    fn start(&self, home: &Namespace, pod: &str) -> Result<Trace> {
        home.run(pod, PLAIN)?;
        self.started(home, pod)
    }

    fn started(&self, home: &Namespace, pod: &str) -> Result<Trace> {
        home.phase(pod, "Running")?;
        let of = format!("{}/{pod}", home.name());
        let (trace, ()) = self.trace(&of, "the whole start", is_whole)?;
        home.kubectl(&["delete", "pod", pod, "--wait=false"])?;
        Ok(trace)
    }
}

/// Whether every process has told of its part. Each tells by itself, a moment later.
fn is_whole(trace: &Trace) -> Result<()> {
    let parts = [
        "prepare volumes: volume-mounter <- pod-lifecycle",
        "create sandbox: cri-bridge -> container-runtime",
        "create container app: cri-bridge -> container-runtime",
        "start container app: cri-bridge -> container-runtime",
        "report status Running: status-reporter -> kube-apiserver",
    ];
    trace.root()?;
    parts.into_iter().try_for_each(|part| trace.span(part).map(drop))
}

/// Makes the objects that [`RICH`] refers to, and then the pod.
fn run_rich(home: &Namespace, pod: &str) -> Result<()> {
    home.kubectl(&["create", "configmap", "settings", "--from-literal=colour=blue"])?;
    home.kubectl(&["create", "secret", "generic", "sesame", "--from-literal=word=open"])?;
    home.run(pod, RICH)
}

/// Whether there is a word on a start that goes on depends on how long it takes.
const WORD: &str = "  report status Pending: status-reporter -> kube-apiserver\n";

fn has_outline(trace: &Trace, wanted: &str) -> Result<()> {
    let outline = trace.outline().replace(WORD, "");
    ensure!(outline == wanted, "the tree is\n{outline}and not\n{wanted}");
    Ok(())
}

#[test]
fn the_start_of_a_pod_is_one_tree_under_its_uid() -> Result<()> {
    Stage::play("tree", |stage, home| {
        run_rich(home, "web")?;
        let pod = home.phase("web", "Running")?;
        home.shell("web", "app", "touch /scratch/ready")?;
        home.ready("web")?;
        let uid = pod["metadata"]["uid"].as_str().context("no UID")?;
        let (trace, ()) =
            stage.trace("tree/web", "the whole tree", |trace| has_outline(trace, RICH_START))?;
        ensure!(trace.id == uid.replace('-', ""), "the trace of {uid} is {}", trace.id);
        is_one_start(&trace)?;
        ends_when_running_is_known(&trace)?;
        let root = trace.root()?;
        for (key, wanted) in [("k8s.pod.uid", uid), ("k8s.pod.name", "web"), ("k8s.namespace.name", "tree")] {
            ensure!(
                root.attributes.get(key).map(String::as_str) == Some(wanted),
                "{key} of {:?}",
                root.attributes
            );
        }
        Ok(())
    })
}

/// The start ends at Running, for everyone, and nothing in it went wrong.
fn is_one_start(trace: &Trace) -> Result<()> {
    let root = trace.root()?;
    let events: Vec<&str> = root.events.iter().map(|event| event.name.as_str()).collect();
    ensure!(events.contains(&"containers started"), "the root's events are {events:?}");
    for span in &trace.spans {
        ensure!(span.error.is_none(), "{} has failed: {:?}", span.name, span.error);
        ensure!(span.links.is_empty(), "{} points to {:?}", span.name, span.links);
        let is_asked = span.kind == "server";
        ensure!(
            !is_asked || span.attributes.contains_key("bulkhead.queued_us"),
            "{} does not tell its way",
            span.name
        );
    }
    Ok(())
}

/// A pod of the API server runs for everyone when the API server has accepted that.
fn ends_when_running_is_known(trace: &Trace) -> Result<()> {
    let (root, running) =
        (trace.root()?, trace.span("report status Running: status-reporter -> kube-apiserver")?);
    ensure!(running.ended() <= root.ended(), "the report ended after the start");
    ensure!(root.ended() - running.ended() < SOON, "the start went on after Running was accepted");
    Ok(())
}

#[test]
fn the_start_of_a_static_pod_is_one_tree_under_its_uid() -> Result<()> {
    Stage::play("tree-static", |stage, home| {
        let app =
            json!({ "name": "app", "image": "docker.io/library/busybox:1.36", "command": ["sleep", "3600"] });
        let spec = json!({ "terminationGracePeriodSeconds": 1, "containers": [app] });
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web", "namespace": home.name() }, "spec": spec });
        let file = stage.node.manifests().join("web.json");
        fs::write(&file, pod.to_string())?;
        let mirror = home.phase("web-node-1", "Running");
        let look = |trace: &Trace| has_outline(trace, STATIC_START);
        let seen = mirror
            .and_then(|mirror| Ok((mirror, stage.trace("tree-static/web-node-1", "the whole tree", look)?)));
        fs::remove_file(&file)?;
        let (mirror, (trace, ())) = seen?;
        let hash = &mirror["metadata"]["annotations"]["kubernetes.io/config.hash"];
        ensure!(*hash == trace.id, "the trace of {hash} is {}", trace.id);
        is_one_start(&trace)
    })
}

#[test]
fn what_fails_in_a_start_is_marked_where_it_failed() -> Result<()> {
    Stage::play("fails", |stage, home| {
        home.run("web", r#"{ nodeName: node-1, containers: [{ name: app, command: [/nowhere] }] }"#)?;
        home.waiting("web", "RunContainerError")?;
        let (trace, ()) = stage.trace("fails/web", "the failure", |trace| {
            let failed = trace
                .spans
                .iter()
                .filter(|span| span.error.as_ref().is_some_and(|why| why.contains("/nowhere")));
            let kinds: Vec<_> = failed.map(|span| (span.name.as_str(), span.kind.as_str())).collect();
            let both = [("start container", "server"), ("start container", "client")];
            ensure!(both.iter().all(|one| kinds.contains(one)), "failed are {kinds:?}");
            Ok(())
        })?;
        ensure!(trace.root().is_err(), "a start that did not end has a root");
        Ok(())
    })
}

#[test]
fn what_comes_after_a_start_is_a_trace_of_its_own_that_points_to_it() -> Result<()> {
    Stage::play("after", |stage, home| {
        let spec = PLAIN.replace(
            "sleep, \"3600\"]",
            "sleep, \"3600\"], readinessProbe: { exec: { command: [test, -e, /ready] } }",
        );
        home.run("web", &spec)?;
        let (start, _) = stage.trace("after/web", "the root", |trace| trace.root().map(drop))?;
        home.shell("web", "app", "touch /ready")?;
        home.ready("web")?;
        points_to(stage, "report status", &start)?;
        home.kubectl(&["delete", "pod", "web", "--wait=false"])?;
        home.gone("web")?;
        let stop = points_to(stage, "pod stop", &start)?;
        stop.span("stop pod: cri-bridge <- pod-lifecycle")?;
        stop.span("stop container app: cri-bridge -> container-runtime").map(drop)
    })
}

/// A trace of the pod with this root that points to its start.
fn points_to(stage: &Stage, root: &str, start: &Trace) -> Result<Trace> {
    wait::until(&format!("a trace {root} that points to the start"), SOON, || {
        let ids = Trace::ids(&stage.node, "after/web", root)?;
        let traces = ids.iter().map(|id| Trace::of(&stage.node, id)).collect::<Result<Vec<_>>>()?;
        let points = |trace: &Trace| trace.root().is_ok_and(|root| root.links.contains(&start.id));
        traces.into_iter().find(points).with_context(|| format!("there are {ids:?}"))
    })
}

#[test]
fn a_start_is_told_of_though_its_teller_was_killed_before_it_could() -> Result<()> {
    Stage::play("untold", |stage, home| {
        let is_report =
            |asked: &Asked<'_>| asked.path.ends_with("/status") && asked.path.contains("/pods/web/");
        stage.api.hold_back(is_report, Duration::from_secs(3));
        home.run("web", PLAIN)?;
        home.phase("web", "Running")?;
        stage.node.process("status-reporter")?.signal(Signal::SIGKILL)?;
        stage.api.pass();
        stage.trace("untold/web", "the root", |trace| trace.root().map(drop)).map(drop)
    })
}

/// What a pod's start may cost besides waiting for others, on a machine that does nothing else.
const OWN: Duration = Duration::from_millis(20);
/// What anything may take that is no call to others.
const LEAF: Duration = Duration::from_millis(50);
/// How often a process has to be woken during a start, one after the other.
const WAKES: u32 = 50;
/// Of so many starts the best counts.
const STARTS: usize = 8;

#[test]
fn of_a_start_little_lies_outside_of_calls_to_others() -> Result<()> {
    if parts::bulkhead().is_ok_and(|path| path.components().any(|part| part.as_os_str() == "debug")) {
        eprintln!(
            "skipped: the executable is a debug build, and this is about speed; build it with --release"
        );
        return Ok(());
    }
    Stage::play("budget", |stage, home| {
        home.kubectl(&["create", "configmap", "settings", "--from-literal=colour=blue"])?;
        home.kubectl(&["create", "secret", "generic", "sesame", "--from-literal=word=open"])?;
        let mut seen = Vec::new();
        for number in 0..STARTS {
            let (pod, noise) = (format!("web-{number}"), Noise::listen());
            home.run(&pod, RICH)?;
            let (trace, heard) = (stage.started(home, &pod)?, noise.heard());
            let leaves = trace.leaves().filter(|leaf| leaf.peer().is_none());
            let longest = leaves.max_by_key(|leaf| leaf.took()).context("no leaf is ours")?;
            let is_fine = trace.outside_leaves() <= heard.stretched(OWN, WAKES)
                && longest.took() <= heard.stretched(LEAF, WAKES);
            seen.push((
                is_fine,
                trace.outside_leaves(),
                longest.name.clone(),
                longest.took(),
                heard,
                trace.account(),
            ));
        }
        ensure!(
            seen.iter().any(|(is_fine, ..)| *is_fine),
            "no start keeps to {OWN:?} outside and {LEAF:?} a leaf: {seen:#?}"
        );
        Ok(())
    })
}

/// Starts pods in turn with and without a delay until it shows where `right` says, and nowhere else. Of what varies by
/// itself the least counts.
fn shows(
    stage: &mut Stage,
    home: &Namespace,
    mut delayed: impl FnMut(&mut Stage, &str) -> Result<Trace>,
    right: impl Fn(&str) -> bool,
) -> Result<()> {
    let parted = |trace: &Trace| {
        let (there, elsewhere): (Vec<_>, Vec<_>) =
            trace.account().into_iter().partition(|(name, _)| right(name));
        let sum =
            |shares: Vec<(String, Duration)>| shares.into_iter().map(|(_, time)| time).sum::<Duration>();
        (sum(there), sum(elsewhere))
    };
    let (mut usual, mut slow) = ((Duration::MAX, Duration::MAX), (Duration::MAX, Duration::MAX));
    let mut last = None;
    for pair in 1..=*PAIRS.end() {
        let least = |least: &mut (Duration, Duration), (there, elsewhere)| {
            *least = (least.0.min(there), least.1.min(elsewhere));
        };
        least(&mut usual, parted(&stage.start(home, &format!("usual-{pair}"))?));
        let trace = delayed(stage, &format!("slow-{pair}"))?;
        least(&mut slow, parted(&trace));
        let shows = slow.0 + ITSELF >= usual.0 + DELAY && slow.1 < usual.1 + ELSEWHERE;
        if shows && pair >= *PAIRS.start() {
            return Ok(());
        }
        last = Some(trace.account());
    }
    anyhow::bail!("there and elsewhere: usually {usual:?}, delayed {slow:?}; the last account: {last:#?}")
}

#[test]
fn a_slow_runtime_shows_in_the_call_that_is_slow() -> Result<()> {
    Stage::play("slow-runtime", |stage, home| {
        for (call, row) in [
            ("RunPodSandbox", "create sandbox"),
            ("CreateContainer", "create container"),
            ("StartContainer", "start container"),
        ] {
            let delayed = |stage: &mut Stage, pod: &str| {
                stage.runtime.hold_up(call, DELAY);
                let trace = stage.start(home, &format!("{pod}-{}", row.replace(' ', "-")));
                stage.runtime.pass();
                trace
            };
            shows(stage, home, delayed, |name| name.starts_with(row))
                .with_context(|| format!("holding up {call}"))?;
        }
        Ok(())
    })
}

#[test]
fn a_slow_api_server_shows_in_the_request_that_is_slow() -> Result<()> {
    Stage::play("slow-api", |stage, home| {
        let delayed = |stage: &mut Stage, pod: &str| {
            stage
                .api
                .hold_up(|asked| asked.path.ends_with("/status") && asked.path.contains("/pods/"), DELAY);
            let trace = stage.start(home, pod);
            stage.api.pass();
            trace
        };
        shows(stage, home, delayed, |name| name == "report status: status-reporter")
    })
}

#[test]
fn a_slow_bus_shows_on_every_way() -> Result<()> {
    Stage::play("slow-bus", |stage, home| {
        let bus = Bus::before(&mut stage.node)?;
        let delayed = |stage: &mut Stage, pod: &str| {
            bus.delay(DELAY);
            let trace = stage.start(home, pod);
            bus.pass();
            trace
        };
        shows(stage, home, delayed, |name| name.starts_with("on the way to "))
    })
}

/// A process that stands still takes nothing out of its mailboxes.
#[test]
fn a_process_that_stands_still_shows_on_the_way_to_it() -> Result<()> {
    Stage::play("stalled", |stage, home| {
        for victim in ["volume-mounter", "cri-bridge"] {
            let delayed = |stage: &mut Stage, pod: &str| {
                // Its end would wait for the process too, and then take place beside the start.
                home.gone(&pod.replace("slow", "usual"))?;
                let process = stage.node.process(victim)?;
                process.signal(Signal::SIGSTOP)?;
                let pod = format!("{pod}-{victim}");
                let begun = begin_and_stand_still(home, &pod);
                process.signal(Signal::SIGCONT)?;
                begun?;
                stage.started(home, &pod)
            };
            shows(stage, home, delayed, |name| name == format!("on the way to {victim}"))
                .with_context(|| format!("stalling {victim}"))?;
        }
        Ok(())
    })
}

/// Begins a pod whose sandbox waits for its volume, so that nothing goes on beside one of them, and lets the delay
/// pass after the node has begun with it.
fn begin_and_stand_still(home: &Namespace, pod: &str) -> Result<()> {
    home.run(pod, &format!("{PLAIN}\nvolumes: [{{ name: host, hostPath: {{ path: / }} }}]"))?;
    home.until(pod, "the node's first word", |found: &Value| {
        ensure!(condition(found, "Initialized").is_object(), "the node has said nothing");
        Ok(())
    })?;
    std::thread::sleep(DELAY);
    Ok(())
}

#[test]
fn a_trace_opens_in_jaeger_under_its_pods_uid() -> Result<()> {
    Stage::play("jaeger", |stage, home| {
        home.run("web", PLAIN)?;
        let pod = home.phase("web", "Running")?;
        let uid = pod["metadata"]["uid"].as_str().context("no UID")?;
        wait::until("the same spans in Jaeger", SOON, || {
            let ours = Trace::of(&stage.node, "jaeger/web")?;
            ours.root()?;
            let theirs = stage.jaeger.tagged("status-reporter", "k8s.pod.uid", uid)?;
            let same =
                theirs.iter().find(|trace| trace["traceID"] == ours.id).context("there is no such trace")?;
            let (same, ours) =
                (jaeger::span_ids(same), ours.spans.iter().map(|span| span.id.clone()).collect());
            ensure!(same == ours, "Jaeger has {same:?}, we have {ours:?}");
            Ok(())
        })
    })
}
