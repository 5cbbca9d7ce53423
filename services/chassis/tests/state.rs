//! State on a real bus: the last value of each key reaches every reader, whatever restarts.
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use chassis::{Bus, Heard, Hearing, testing::BusServer};
use messages::{
    Incarnation, Key, Owner, Token,
    health::Health,
    prober::{Finding, ProbeKind, Verdict},
    volume_mounter::{Volumes, VolumesPhase},
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

fn volumes(pod: &str, revision: u64) -> Volumes {
    Volumes {
        pod: pod.parse().unwrap(),
        phase: VolumesPhase::Ready,
        revision,
        volumes: Vec::new(),
        pod_dir: format!("/var/lib/kubelet/pods/{pod}"),
        supplemental_groups: Vec::new(),
    }
}

fn verdict(pod: &str) -> Verdict {
    Verdict {
        pod: pod.parse().unwrap(),
        container: "app".parse().unwrap(),
        probe: ProbeKind::Liveness,
        container_id: "c1".to_owned(),
        finding: Finding::Success,
        message: String::new(),
    }
}

fn key(pod: &str) -> Key {
    Key::from(pod.parse::<Token>().unwrap())
}

/// What is heard next: `+u-1=7` a value and its revision, `-u-1` gone, `!` complete.
async fn next(hearing: &mut Hearing<Volumes>) -> String {
    match timeout(DEADLINE, hearing.next()).await.expect("something is heard in time") {
        Heard::Value { state, .. } => format!("+{}={}", state.pod, state.revision),
        Heard::Gone { key } => format!("-{key}"),
        Heard::Complete => "!".to_owned(),
    }
}

async fn expect(hearing: &mut Hearing<Volumes>, wanted: &[&str]) {
    let mut heard = Vec::new();
    for _ in wanted {
        heard.push(next(hearing).await);
    }
    assert_eq!(heard, wanted);
}

async fn connect(server: &BusServer) -> (Bus, Bus) {
    (server.bus(Owner::VolumeMounter).await, server.bus(Owner::PodLifecycle).await)
}

/// Runs a test against each server program there is.
async fn on_each_server(test: impl AsyncFn(BusServer)) {
    for program in BusServer::programs() {
        test(BusServer::of(&program)).await;
    }
}

#[actix::test]
async fn a_late_reader_gets_the_last_values_and_then_the_changes() {
    on_each_server(async |server| {
        let (mounter, lifecycle) = connect(&server).await;
        mounter.say(&volumes("u-1", 1)).await;
        mounter.say(&volumes("u-2", 2)).await;
        mounter.say(&volumes("u-1", 3)).await;
        mounter.complete::<Volumes>().await;
        mounter.flush(DEADLINE).await;

        let mut hearing = lifecycle.hear::<Volumes>().await.unwrap();

        expect(&mut hearing, &["+u-2=2", "+u-1=3", "!"]).await;
        mounter.say(&volumes("u-2", 4)).await;
        expect(&mut hearing, &["+u-2=4"]).await;
    })
    .await;
}

#[actix::test]
async fn an_early_reader_waits_for_the_stream() {
    on_each_server(async |server| {
        let lifecycle = server.bus(Owner::PodLifecycle).await;
        let mut hearing = lifecycle.hear::<Volumes>().await.unwrap();

        let mounter = server.bus(Owner::VolumeMounter).await;
        mounter.say(&volumes("u-1", 1)).await;

        expect(&mut hearing, &["+u-1=1"]).await;
    })
    .await;
}

#[actix::test]
async fn a_tombstone_reaches_those_who_were_there_and_those_who_come() {
    on_each_server(async |server| {
        let (mounter, lifecycle) = connect(&server).await;
        let mut early = lifecycle.hear::<Volumes>().await.unwrap();
        mounter.say(&volumes("u-1", 1)).await;
        expect(&mut early, &["+u-1=1"]).await;
        mounter.retract::<Volumes>(&key("u-1")).await;
        expect(&mut early, &["-u-1"]).await;

        let mut late = lifecycle.hear::<Volumes>().await.unwrap();

        expect(&mut late, &["-u-1"]).await;
    })
    .await;
}

#[actix::test]
async fn what_a_new_life_does_not_say_again_is_gone_once_it_is_complete() {
    on_each_server(async |server| {
        let (mounter, lifecycle) = connect(&server).await;
        let mut hearing = lifecycle.hear::<Volumes>().await.unwrap();
        mounter.say(&volumes("u-1", 1)).await;
        mounter.say(&volumes("u-2", 1)).await;
        mounter.complete::<Volumes>().await;
        expect(&mut hearing, &["+u-1=1", "+u-2=1", "!"]).await;
        drop(mounter);

        let mounter = server.bus_in_life(Owner::VolumeMounter, 2).await;
        mounter.say(&volumes("u-2", 1)).await;
        expect(&mut hearing, &["+u-2=1"]).await;
        mounter.complete::<Volumes>().await;

        expect(&mut hearing, &["-u-1", "!"]).await;
    })
    .await;
}

#[actix::test]
async fn the_stream_forgets_what_an_earlier_life_said() {
    on_each_server(async |server| {
        let (mounter, lifecycle) = connect(&server).await;
        mounter.say(&volumes("u-1", 1)).await;
        mounter.flush(DEADLINE).await;
        drop(mounter);

        let mounter = server.bus_in_life(Owner::VolumeMounter, 2).await;
        mounter.say(&volumes("u-2", 1)).await;
        mounter.complete::<Volumes>().await;

        let since = Instant::now();
        loop {
            let mut late = lifecycle.hear::<Volumes>().await.unwrap();
            let first = next(&mut late).await;
            if first == "+u-2=1" {
                break;
            }
            assert!(since.elapsed() < DEADLINE, "{first} is still there");
        }
    })
    .await;
}

#[actix::test]
async fn a_bus_that_restarts_empty_is_filled_again_and_nothing_flips() {
    on_each_server(async |mut server| {
        let (mounter, lifecycle) = connect(&server).await;
        let mut hearing = lifecycle.hear::<Volumes>().await.unwrap();
        mounter.say(&volumes("u-1", 1)).await;
        mounter.say(&volumes("u-2", 1)).await;
        mounter.complete::<Volumes>().await;
        expect(&mut hearing, &["+u-1=1", "+u-2=1", "!"]).await;

        server.kill();
        mounter.retract::<Volumes>(&key("u-1")).await;
        mounter.say(&volumes("u-3", 1)).await;
        server.start_again();

        // u-2, said before the restart, is no news and is told neither as changed nor as gone.
        expect(&mut hearing, &["-u-1", "+u-3=1"]).await;
        let cri_bridge = server.bus(Owner::CriBridge).await;
        let mut newcomer = cri_bridge.hear::<Volumes>().await.unwrap();
        expect(&mut newcomer, &["+u-2=1", "-u-1", "+u-3=1", "!"]).await;
        assert_eq!(server.violations(), Vec::<String>::new(), "the client asks for nothing else by itself");
    })
    .await;
}

#[actix::test]
async fn what_an_untrusted_process_says_waits_for_pod_lifecycle_to_make_its_stream() {
    on_each_server(async |server| {
        let prober = server.bus(Owner::Prober).await;
        prober.say(&verdict("u-1")).await;

        let lifecycle = server.bus(Owner::PodLifecycle).await;
        let mut hearing = lifecycle.hear::<Verdict>().await.unwrap();

        let heard = timeout(DEADLINE, hearing.next()).await.unwrap();
        assert!(matches!(heard, Heard::Value { state, .. } if state == verdict("u-1")));
    })
    .await;
}

#[actix::test]
async fn each_process_says_its_health_under_its_own_name() {
    let Some(server) = BusServer::start() else { return };
    let _lifecycle = server.bus(Owner::PodLifecycle).await;
    let prober = server.service(Owner::Prober).await;
    let node_api = server.bus(Owner::NodeApi).await;
    let mut hearing = node_api.hear_from::<Health>(Owner::Prober).await.unwrap();

    prober.health.ready();

    loop {
        let heard = timeout(DEADLINE, hearing.next()).await.unwrap();
        let Heard::Value { state, .. } = heard else { panic!("{heard:?}") };
        assert_eq!((state.owner, state.incarnation), (Owner::Prober, prober.incarnation));
        if state.ready {
            break;
        }
    }
}

#[actix::test]
async fn a_state_of_one_key_is_heard_too() {
    on_each_server(async |server| {
        let (mounter, _lifecycle) = connect(&server).await;
        let reporter = server.bus(Owner::StatusReporter).await;
        let mut hearing = reporter.hear::<messages::volume_mounter::InUse>().await.unwrap();

        mounter.say(&messages::volume_mounter::InUse { volumes: vec!["a".to_owned()] }).await;

        let heard = timeout(DEADLINE, hearing.next()).await.unwrap();
        assert!(matches!(heard, Heard::Value { state, .. } if state.volumes == ["a"]));
    })
    .await;
}

/// A reader that was told one value, and a bare client of the value's owner.
async fn told_one(server: &BusServer) -> (Bus, Hearing<Volumes>, async_nats::Client, Bus) {
    let (mounter, lifecycle) = connect(server).await;
    let mut hearing = lifecycle.hear::<Volumes>().await.unwrap();
    mounter.say(&volumes("u-1", 1)).await;
    expect(&mut hearing, &["+u-1=1"]).await;
    (lifecycle, hearing, server.client(Owner::VolumeMounter).await, mounter)
}

async fn publish(client: &async_nats::Client, pod: &str, message: &str, body: &str) {
    let mut headers = async_nats::HeaderMap::new();
    for (name, value) in [("message", message), ("incarnation", "1"), ("revision", "1000000")] {
        headers.insert(name, value);
    }
    let subject = format!("node.node-1.volume-mounter.state.volumes.{pod}");
    client.publish_with_headers(subject, headers, body.to_owned().into()).await.unwrap();
}

#[actix::test]
async fn what_only_a_newer_executable_can_read_leaves_the_last_value_and_is_told() {
    let Some(server) = BusServer::start() else { return };
    let (lifecycle, mut hearing, client, mounter) = told_one(&server).await;

    publish(&client, "u-1", "volumes/2", r#"{"quite":"different"}"#).await;

    let newer = timeout(DEADLINE, lifecycle.newer()).await.unwrap();
    assert_eq!(newer, "volumes: it is of version 2, newer than this executable's 1");
    mounter.say(&volumes("u-2", 1)).await;
    expect(&mut hearing, &["+u-2=1"]).await;
}

#[actix::test]
async fn what_is_not_what_its_subject_promises_is_passed_over() {
    let Some(server) = BusServer::start() else { return };
    let (_lifecycle, mut hearing, client, mounter) = told_one(&server).await;
    let about_another = serde_json::to_string(&volumes("u-9", 1)).unwrap();

    publish(&client, "u-1", "volumes/1", &about_another).await;
    publish(&client, "u-1", "runtime-pod/1", &about_another).await;
    publish(&client, "u-1", "volumes/1", "no JSON").await;
    client.publish("node.node-1.volume-mounter.state.volumes.u-1", "bare".into()).await.unwrap();
    client.publish("node.node-1.volume-mounter.state.volumes.u$1", "bare".into()).await.unwrap();
    client.flush().await.unwrap();

    mounter.say(&volumes("u-2", 1)).await;
    expect(&mut hearing, &["+u-2=1"]).await;
}

#[actix::test]
async fn a_reader_that_takes_its_time_misses_nothing_through_a_restart() {
    for program in BusServer::programs() {
        let mut server = BusServer::of(&program);
        let (mounter, lifecycle) = connect(&server).await;
        let mut hearing = lifecycle.hear::<Volumes>().await.unwrap();
        let pods = 2000;
        for pod in 0..pods {
            mounter.say(&volumes(&format!("u-{pod}"), 1)).await;
        }
        mounter.flush(DEADLINE).await;
        next(&mut hearing).await;

        server.start_again();
        mounter.complete::<Volumes>().await;

        let mut heard = 1;
        while next(&mut hearing).await != "!" {
            heard += 1;
        }
        assert_eq!(heard, pods);
    }
}

#[actix::test]
async fn a_great_value_is_said_and_one_too_great_harms_no_other() {
    let Some(server) = BusServer::start() else { return };
    let (mounter, lifecycle) = connect(&server).await;
    let mut hearing = lifecycle.hear::<Volumes>().await.unwrap();
    let sized = |pod: &str, bytes| Volumes { pod_dir: "x".repeat(bytes), ..volumes(pod, 1) };

    mounter.say(&sized("great", 3 << 20)).await;
    mounter.say(&sized("too-great", 5 << 20)).await;
    mounter.say(&volumes("small", 1)).await;

    // What was said before the stream was there is said again, and then comes last.
    let heard = BTreeSet::from([next(&mut hearing).await, next(&mut hearing).await]);
    assert_eq!(heard, BTreeSet::from(["+great=1".to_owned(), "+small=1".to_owned()]));
}

#[actix::test]
async fn without_a_bus_nothing_is_asked_or_heard_and_saying_costs_nothing() {
    let node = "node-1".parse().unwrap();
    let bus = Bus::connect(node, Owner::VolumeMounter, Incarnation(1), None).await.unwrap();

    bus.say(&volumes("u-1", 1)).await;
    bus.flush(DEADLINE).await;

    assert!(!bus.is_connected());
    let mut hearing = bus.hear::<messages::status_reporter::Node>().await.unwrap();
    tokio::select! {
        heard = hearing.next() => panic!("{heard:?}"),
        () = tokio::task::yield_now() => {}
    }
}

/// The pods heard of until the state is complete, with a mark on each that is gone.
async fn until_complete(hearing: &mut Hearing<Volumes>) -> BTreeSet<String> {
    let mut pods = BTreeSet::new();
    loop {
        match timeout(DEADLINE, hearing.next()).await.expect("the state is complete in time") {
            Heard::Value { state, .. } => pods.insert(state.pod.to_string()),
            Heard::Gone { key } => pods.insert(format!("-{key}")),
            Heard::Complete => return pods,
        };
    }
}

#[actix::test]
async fn what_is_replaced_while_a_reader_begins_is_never_taken_for_absent() {
    on_each_server(async |server| {
        let (mounter, lifecycle) = connect(&server).await;
        let pods: Vec<String> = (0..20).map(|pod| format!("u-{pod}")).collect();
        for pod in &pods {
            mounter.say(&volumes(pod, 0)).await;
        }
        mounter.complete::<Volumes>().await;
        mounter.flush(DEADLINE).await;
        let everything: BTreeSet<String> = pods.iter().cloned().collect();
        let reading = async {
            for _ in 0..50 {
                let mut hearing = lifecycle.hear::<Volumes>().await.unwrap();
                assert_eq!(until_complete(&mut hearing).await, everything);
            }
        };
        let replacing = async {
            for revision in 1.. {
                for pod in &pods {
                    mounter.say(&volumes(pod, revision)).await;
                }
                mounter.flush(DEADLINE).await;
            }
        };
        tokio::select! {
            () = reading => {}
            () = replacing => {}
        }
    })
    .await;
}

#[actix::test]
async fn what_a_new_life_replaces_at_once_is_never_taken_for_absent() {
    on_each_server(async |server| {
        let lifecycle = server.bus(Owner::PodLifecycle).await;
        let pods: Vec<String> = (0..20).map(|pod| format!("u-{pod}")).collect();
        let everything: BTreeSet<String> = pods.iter().cloned().collect();
        let mut hearing = lifecycle.hear::<Volumes>().await.unwrap();
        for life in 1..=20 {
            let mounter = server.bus_in_life(Owner::VolumeMounter, life).await;
            for pod in &pods {
                mounter.say(&volumes(pod, 0)).await;
            }
            mounter.complete::<Volumes>().await;
            for pod in &pods {
                mounter.say(&volumes(pod, 1)).await;
            }
            assert_eq!(until_complete(&mut hearing).await, everything, "life {life}");
        }
    })
    .await;
}
