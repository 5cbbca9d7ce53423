//! Which verdicts are said, whatever goes away meanwhile.

use crate::scripted::{Lifecycle, PATIENCE, exec, listen, pod, run, tcp, uid};
use chassis::{Heard, testing::BusServer};
use messages::{
    Message, Owner,
    cri_bridge::{ExecProbe, ExecProbeReply},
    pod_lifecycle::Probes,
    prober::{Finding, ProbeKind, Verdict},
    status_reporter::{About, RecordEvent, RecordEventReply},
};
use std::{cell::RefCell, rc::Rc, time::Duration};
use tokio::time::timeout;

#[actix::test]
async fn what_answers_is_well_and_what_stops_answering_is_not() {
    let Some(server) = BusServer::start() else { return };
    let mut lifecycle = Lifecycle::on(&server).await;
    let service = server.service(Owner::Prober).await;
    run(&service);
    let (listener, port) = listen().await;

    lifecycle.say(&pod(ProbeKind::Readiness, tcp(port))).await;

    let verdict = lifecycle.expect_finding(Finding::Success).await;
    assert_eq!((verdict.container_id.as_str(), verdict.probe), ("c1", ProbeKind::Readiness));
    drop(listener);
    let verdict = lifecycle.expect_finding(Finding::Failure).await;
    assert!(verdict.message.contains("connection refused"), "{}", verdict.message);
    assert!(service.health.is_ready());
}

#[actix::test]
async fn an_exec_probe_is_run_by_cri_bridge_and_its_failure_is_an_event() {
    let Some(server) = BusServer::start() else { return };
    let mut lifecycle = Lifecycle::on(&server).await;
    let service = server.service(Owner::Prober).await;
    run(&service);
    let (reporter, cri_bridge) =
        (server.bus(Owner::StatusReporter).await, server.bus(Owner::CriBridge).await);
    let events = Rc::new(RefCell::new(Vec::<RecordEvent>::new()));
    let kept = events.clone();
    let taking = reporter
        .serve::<RecordEvent, _, _>(move |asked| {
            kept.borrow_mut().push(asked.command);
            std::future::ready(RecordEventReply::Taken)
        })
        .await
        .unwrap();

    // While nobody runs it there is no result, and nothing to blame the pod for.
    lifecycle.say(&pod(ProbeKind::Liveness, exec())).await;
    let asked = Rc::new(RefCell::new(None));
    let keep = asked.clone();
    let serving = cri_bridge
        .serve::<ExecProbe, _, _>(move |asked| {
            *keep.borrow_mut() = Some(asked.command);
            std::future::ready(ExecProbeReply::Exited { code: 1, output: "no such file".into() })
        })
        .await
        .unwrap();

    let verdict = lifecycle.expect_finding(Finding::Failure).await;
    assert_eq!(verdict.message, "no such file");
    let want = ExecProbe {
        pod: uid(),
        container: "app".parse().unwrap(),
        container_id: "c1".into(),
        probe: ProbeKind::Liveness,
    };
    assert_eq!(*asked.borrow(), Some(want));
    let told = timeout(PATIENCE, async {
        while events.borrow().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    told.await.expect("an event is told");
    let first = events.borrow()[0].clone();
    assert_eq!(first.reason, "Unhealthy");
    assert_eq!(first.message, "Liveness probe failed: no such file");
    assert!(matches!(first.about, About::Pod { field_path, .. } if field_path == "spec.containers{app}"));
    drop((taking, serving));
}

#[actix::test]
async fn a_verdict_survives_the_prober() {
    let Some(server) = BusServer::start() else { return };
    let mut lifecycle = Lifecycle::on(&server).await;
    let service = server.service(Owner::Prober).await;
    run(&service);
    let (listener, port) = listen().await;
    let probes = pod(ProbeKind::Readiness, tcp(port));
    lifecycle.say(&probes).await;
    lifecycle.expect_finding(Finding::Success).await;

    service.stop.tell("the test ends this life");
    drop(listener);
    let next = server.service(Owner::Prober).await;
    assert!(next.incarnation > service.incarnation);
    run(&next);

    let again = |heard: &Heard<Verdict>| match heard {
        Heard::Value { state, incarnation, .. } if *incarnation == next.incarnation => Some(state.finding),
        _ => None,
    };
    let first = lifecycle.expect("the verdict of the next life", again).await;
    assert_eq!(first, Finding::Success, "said again before anything was probed");
    lifecycle.expect_finding(Finding::Failure).await;
}

#[actix::test]
async fn verdicts_of_a_pod_that_is_gone_are_taken_back() {
    let Some(server) = BusServer::start() else { return };
    let mut lifecycle = Lifecycle::on(&server).await;
    let service = server.service(Owner::Prober).await;
    run(&service);
    let (_listener, port) = listen().await;
    let probes = pod(ProbeKind::Readiness, tcp(port));
    lifecycle.say(&probes).await;
    let verdict = lifecycle.expect_finding(Finding::Success).await;

    lifecycle.bus.retract::<Probes>(&probes.key()).await;

    let gone = |heard: &Heard<Verdict>| match heard {
        Heard::Gone { key } => Some(key.clone()),
        _ => None,
    };
    assert_eq!(lifecycle.expect("a tombstone", gone).await, verdict.key());
    assert_eq!(service.journal.names("verdicts").unwrap(), Vec::<String>::new());
}

#[actix::test]
async fn probing_goes_on_while_the_bus_is_gone() {
    let Some(mut server) = BusServer::start() else { return };
    let mut lifecycle = Lifecycle::on(&server).await;
    let service = server.service(Owner::Prober).await;
    run(&service);
    let (listener, port) = listen().await;
    lifecycle.say(&pod(ProbeKind::Readiness, tcp(port))).await;
    lifecycle.expect_finding(Finding::Success).await;

    server.kill();
    drop(listener);
    let settled = timeout(PATIENCE, async {
        let journal = &service.journal;
        let name = format!("verdicts/{}", uid());
        while journal.load::<Vec<Verdict>>(&name).unwrap().unwrap()[0].finding != Finding::Failure {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    settled.await.expect("the failure is found without a bus");
    server.start_again();

    lifecycle.expect_finding(Finding::Failure).await;
}
