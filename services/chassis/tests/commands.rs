//! Commands on a real bus: one answer each, and what never reaches a handler.
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use chassis::{AskError, Asked, Bus, testing::BusServer};
use messages::{
    Command, Decision, Incarnation, Outcome, Owner, Refusal,
    cri_bridge::{PullImage, StopPod},
    status_reporter::{About, RecordEvent, RecordEventReply, Severity},
};
use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{sync::Notify, time::timeout};

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

fn decision(revision: u64) -> Decision {
    Decision { incarnation: Incarnation(1), revision }
}

fn stop_pod(pod: &str, revision: u64) -> StopPod {
    StopPod { pod: pod.parse().unwrap(), decision: decision(revision), grace_seconds: 30 }
}

fn pull_image(pod: &str, revision: u64) -> PullImage {
    let (pod, container) = (pod.parse().unwrap(), "app".parse().unwrap());
    PullImage { pod, decision: decision(revision), container }
}

fn refused(refusal: Refusal) -> Outcome {
    Outcome::Refused { refusal }
}

async fn done<C: Command<Reply = Outcome>>(asked: Asked<C>) -> Outcome {
    let revision = asked.command.decision().map_or(0, |decision| decision.revision);
    Outcome::Done { revision }
}

async fn connect(server: &BusServer) -> (Bus, Bus) {
    (server.bus(Owner::CriBridge).await, server.bus(Owner::PodLifecycle).await)
}

/// Asks until somebody serves: the subscription of another connection takes a moment to be known.
async fn ask<C: Command>(bus: &Bus, command: &C) -> C::Reply {
    let since = Instant::now();
    loop {
        match bus.ask(command, DEADLINE).await {
            Ok(reply) => return reply,
            Err(AskError::NoResponder { .. }) if since.elapsed() < DEADLINE => {
                tokio::task::yield_now().await;
            }
            Err(failure) => panic!("{failure}"),
        }
    }
}

#[actix::test]
async fn a_command_is_answered_by_its_owner() {
    for program in BusServer::programs() {
        let server = BusServer::of(&program);
        let (bridge, lifecycle) = connect(&server).await;
        let callers = Rc::new(RefCell::new(Vec::new()));
        let seen = callers.clone();
        let _serving = bridge
            .serve(move |asked: Asked<StopPod>| {
                seen.borrow_mut().push(asked.caller);
                done(asked)
            })
            .await
            .unwrap();

        let reply = ask(&lifecycle, &stop_pod("u-1", 4)).await;

        assert_eq!(reply, Outcome::Done { revision: 4 });
        assert_eq!(*callers.borrow(), [Owner::PodLifecycle]);
    }
}

#[actix::test]
async fn a_decision_older_than_the_newest_seen_is_refused_whatever_the_command() {
    let Some(server) = BusServer::start() else { return };
    let (bridge, lifecycle) = connect(&server).await;
    let _stopping = bridge.serve(done::<StopPod>).await.unwrap();
    let _pulling = bridge.serve(done::<PullImage>).await.unwrap();

    assert_eq!(ask(&lifecycle, &stop_pod("u-1", 5)).await, Outcome::Done { revision: 5 });

    assert_eq!(ask(&lifecycle, &pull_image("u-1", 4)).await, refused(Refusal::Superseded));
    assert_eq!(ask(&lifecycle, &pull_image("u-2", 4)).await, Outcome::Done { revision: 4 });
}

#[actix::test]
async fn what_has_expired_is_refused() {
    let Some(server) = BusServer::start() else { return };
    let (bridge, _lifecycle) = connect(&server).await;
    let _serving = bridge.serve(done::<StopPod>).await.unwrap();
    let client = server.client(Owner::PodLifecycle).await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("message", "stop-pod/1");
    headers.insert("expires", "1");
    let body = serde_json::to_vec(&stop_pod("u-1", 1)).unwrap();

    let request = async_nats::Request::new()
        .headers(headers)
        .payload(body.into())
        .inbox("_INBOX_pod-lifecycle.cri-bridge.1".to_owned());
    let reply = client.send_request("node.node-1.cri-bridge.cmd.stop-pod.u-1", request).await.unwrap();

    let reply: Outcome = serde_json::from_slice(&reply.payload).unwrap();
    assert_eq!(reply, refused(Refusal::Expired));
}

#[actix::test]
async fn more_than_can_be_handled_at_once_is_refused() {
    let Some(server) = BusServer::start() else { return };
    let (bridge, lifecycle) = connect(&server).await;
    let (begun, go_on) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
    let (begins, waits) = (begun.clone(), go_on.clone());
    let _serving = bridge
        .serve_up_to(1, move |asked: Asked<StopPod>| {
            let (begins, waits) = (begins.clone(), waits.clone());
            async move {
                begins.notify_one();
                waits.notified().await;
                done(asked).await
            }
        })
        .await
        .unwrap();

    let caller = lifecycle.clone();
    let first = actix::spawn(async move { ask(&caller, &stop_pod("u-1", 1)).await });
    timeout(DEADLINE, begun.notified()).await.unwrap();
    let second = ask(&lifecycle, &stop_pod("u-2", 1)).await;
    go_on.notify_one();

    assert_eq!(second, refused(Refusal::Unavailable));
    assert_eq!(first.await.unwrap(), Outcome::Done { revision: 1 });
}

#[actix::test]
async fn asking_where_nobody_serves_fails_at_once_and_certainly() {
    let Some(server) = BusServer::start() else { return };
    let lifecycle = server.bus(Owner::PodLifecycle).await;

    let failure = timeout(DEADLINE, lifecycle.ask(&stop_pod("u-1", 1), DEADLINE * 2)).await.unwrap();

    let failure = failure.unwrap_err();
    assert!(matches!(failure, AskError::NoResponder { name: "stop-pod" }), "{failure}");
    assert!(failure.nothing_happened());
}

#[actix::test]
async fn asking_while_the_bus_is_away_fails_at_once_and_is_never_sent_later() {
    let Some(mut server) = BusServer::start() else { return };
    let (bridge, lifecycle) = connect(&server).await;
    let handled = Rc::new(RefCell::new(Vec::new()));
    let seen = handled.clone();
    let _serving = bridge
        .serve(move |asked: Asked<StopPod>| {
            seen.borrow_mut().push(asked.command.pod.to_string());
            done(asked)
        })
        .await
        .unwrap();
    ask(&lifecycle, &stop_pod("before", 1)).await;

    server.kill();
    while lifecycle.is_connected() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let away = timeout(DEADLINE, lifecycle.ask(&stop_pod("away", 1), DEADLINE * 2)).await.unwrap();
    server.start_again();
    let since = Instant::now();
    while !(lifecycle.is_connected() && bridge.is_connected()) {
        assert!(since.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ask(&lifecycle, &stop_pod("after", 1)).await;

    assert!(matches!(away, Err(AskError::Disconnected)));
    assert_eq!(*handled.borrow(), ["before", "after"]);
}

#[actix::test]
async fn a_reply_that_does_not_come_in_time_means_unknown() {
    let Some(server) = BusServer::start() else { return };
    let (bridge, lifecycle) = connect(&server).await;
    let _serving = bridge.serve(|_: Asked<StopPod>| std::future::pending()).await.unwrap();
    let patience = Duration::from_millis(200);

    let failure = loop {
        match lifecycle.ask(&stop_pod("u-1", 1), patience).await.unwrap_err() {
            AskError::NoResponder { .. } => tokio::task::yield_now().await,
            failure => break failure,
        }
    };

    assert!(matches!(failure, AskError::TimedOut { .. }), "{failure}");
    assert!(!failure.nothing_happened());
}

#[actix::test]
async fn nobody_serves_or_says_what_is_anothers() {
    let Some(server) = BusServer::start() else { return };
    let prober = server.bus(Owner::Prober).await;

    let failure = prober.serve(done::<StopPod>).await.unwrap_err();

    assert_eq!(failure.to_string(), "prober does not own stop-pod");
}

#[actix::test]
async fn an_event_is_kept_until_status_reporter_takes_it() {
    let Some(server) = BusServer::start() else { return };
    let prober = server.service(Owner::Prober).await;
    let event = RecordEvent {
        about: About::Node,
        severity: Severity::Normal,
        reason: "Tested".to_owned(),
        message: String::new(),
        at: 0,
    };
    prober.events.record(event.clone());

    let reporter = server.bus(Owner::StatusReporter).await;
    let (taken, mut takes) = tokio::sync::mpsc::channel(1);
    let _serving = reporter
        .serve(move |asked: Asked<RecordEvent>| {
            let taken = taken.clone();
            async move {
                taken.send(asked.command).await.unwrap();
                RecordEventReply::Taken
            }
        })
        .await
        .unwrap();

    assert_eq!(timeout(DEADLINE, takes.recv()).await.unwrap(), Some(event));
}

#[actix::test]
async fn a_reply_is_not_waited_for_on_a_connection_that_is_lost() {
    let Some(mut server) = BusServer::start() else { return };
    let (bridge, lifecycle) = connect(&server).await;
    let arrived = Rc::new(Notify::new());
    let notified = arrived.clone();
    let _serving = bridge
        .serve(move |asked: Asked<StopPod>| {
            let is_last = asked.command.pod.to_string() == "lost";
            let notified = notified.clone();
            async move {
                if is_last {
                    notified.notify_one();
                    std::future::pending::<()>().await;
                }
                done(asked).await
            }
        })
        .await
        .unwrap();
    ask(&lifecycle, &stop_pod("before", 1)).await;

    let command = stop_pod("lost", 1);
    let asking = lifecycle.ask(&command, DEADLINE * 2);
    let losing = async {
        arrived.notified().await;
        server.kill();
    };
    let (reply, ()) = timeout(DEADLINE, futures::future::join(asking, losing)).await.unwrap();

    let failure = reply.unwrap_err();
    assert!(matches!(failure, AskError::Lost { name: "stop-pod" }), "{failure}");
    assert!(!failure.nothing_happened());
}
