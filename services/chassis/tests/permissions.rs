//! Every process against every subject, on a real server: what the catalog says is let through, and
//! nothing else.
//!
//! What is expected is read from the catalog's rows directly, in this file's own words, and not from
//! the function under test.
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use async_nats::{Client, Event, ServerError};
use chassis::testing::BusServer;
use messages::{
    Kind, Owner,
    catalog::{ROWS, Row},
};
use std::{collections::BTreeSet, time::Duration};
use tokio::{sync::mpsc, time::timeout};

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);
/// Subjects tried between two looks at what was refused; the client drops events beyond 128.
const BATCH: usize = 50;
/// Those who may make streams: each its own, pod-lifecycle also those of everyone else.
const TRUSTED: [Owner; 5] =
    [Owner::ApiGate, Owner::Bulkhead, Owner::CriBridge, Owner::PodLifecycle, Owner::VolumeMounter];

/// A subject, and who may use it.
struct Probe {
    subject: String,
    allowed: Vec<Owner>,
}

fn probe(subject: impl Into<String>, allowed: &[Owner]) -> Probe {
    Probe { subject: subject.into(), allowed: allowed.to_vec() }
}

/// The rows with their owners; health once for each process.
fn rows() -> Vec<(Owner, &'static Row)> {
    let owners = |row: &'static Row| {
        if row.is_said_by_each() { Owner::ALL.to_vec() } else { vec![row.owner] }
    };
    ROWS.iter().flat_map(|row| owners(row).into_iter().map(move |owner| (owner, row))).collect()
}

/// A subject of a row, with one token for each of the key.
fn subject(owner: Owner, row: &Row, node: &str, token: &str) -> String {
    let mut subject = format!("node.{node}.{owner}.{}.{}", row.kind.token(), row.name);
    for _ in row.key {
        subject.push('.');
        subject.push_str(token);
    }
    subject
}

fn others(owner: Owner, row: &Row) -> Vec<Owner> {
    row.others.iter().copied().filter(|other| *other != owner).collect()
}

fn to_publish() -> Vec<Probe> {
    let mut probes = vec![
        probe("$SYS.REQ.SERVER.PING", &[]),
        probe("$SYS.REQ.ACCOUNT.PING.CONNZ", &[]),
        probe("$JS.API.INFO", &[]),
        probe("$JS.API.STREAM.LIST", &[]),
        probe("$JS.API.STREAM.NAMES", &[]),
        probe("$JS.API.STREAM.CREATE.other", &[]),
        probe("node.node-1", &[]),
        probe("other", &[]),
    ];
    for asker in Owner::ALL {
        probes.push(probe(format!("_INBOX_{asker}.a.b"), &[]));
        for owner in Owner::ALL {
            let serves = |(of, row): (Owner, &Row)| {
                of == owner && row.kind == Kind::Command && others(owner, row).contains(&asker)
            };
            let answerers = if rows().into_iter().any(serves) { vec![owner] } else { Vec::new() };
            probes.push(probe(format!("_INBOX_{asker}.{owner}.a"), &answerers));
        }
    }
    for (owner, row) in rows() {
        let publishers = match row.kind {
            Kind::Command => others(owner, row),
            Kind::State | Kind::Event => vec![owner],
        };
        probes.push(probe(subject(owner, row, "node-1", "a"), &publishers));
        probes.push(probe(subject(owner, row, "node-2", "a"), &[]));
        probes.push(probe(subject(owner, row, "node-1", "a") + ".a", &[]));
        if row.kind == Kind::State {
            probes.extend(about_the_stream(owner, row));
        }
    }
    probes
}

fn about_the_stream(owner: Owner, row: &Row) -> Vec<Probe> {
    let stream = format!("node-1_{owner}_{}", row.name);
    let maker = if TRUSTED.contains(&owner) { owner } else { Owner::PodLifecycle };
    let readers = others(owner, row);
    let complete = format!("node.node-1.{owner}.state.{}._complete", row.name);
    vec![
        probe(complete, &[owner]),
        probe(format!("$JS.API.STREAM.PURGE.{stream}"), &[owner]),
        probe(format!("$JS.API.STREAM.CREATE.{stream}"), &[maker]),
        probe(format!("$JS.API.STREAM.UPDATE.{stream}"), &[maker]),
        probe(format!("$JS.API.STREAM.INFO.{stream}"), &readers),
        probe(format!("$JS.API.CONSUMER.CREATE.{stream}.c"), &readers),
        probe(format!("$JS.API.CONSUMER.DELETE.{stream}.c"), &readers),
        probe(format!("$JS.API.STREAM.MSG.GET.{stream}"), &readers),
        probe(format!("$JS.FC.{stream}.c.1"), &readers),
        probe(format!("$JS.API.CONSUMER.CREATE.{stream}"), &[]),
        probe(format!("$JS.API.CONSUMER.CREATE.{stream}.c.node.>"), &[]),
        probe(format!("$JS.API.CONSUMER.DURABLE.CREATE.{stream}.c"), &[]),
        probe(format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.c"), &[]),
        probe(format!("$JS.API.STREAM.DELETE.{stream}"), &[]),
        probe(format!("$JS.API.STREAM.MSG.DELETE.{stream}"), &[]),
        probe(format!("$JS.API.DIRECT.GET.{stream}"), &[]),
        probe(format!("$JS.API.DIRECT.GET.{stream}.a"), &[]),
        probe(format!("$JS.ACK.{stream}.c.1.1.1.1.0"), &[]),
    ]
}

fn to_subscribe() -> Vec<Probe> {
    let mut probes = vec![
        probe(">", &[]),
        probe("node.>", &[]),
        probe("node.node-1.>", &[]),
        probe("$JS.>", &[]),
        probe("$JS.API.>", &[]),
        probe("$SYS.>", &[]),
        probe("_INBOX.>", &[]),
        probe("*.a.b", &[]),
    ];
    probes.extend(Owner::ALL.map(|owner| probe(format!("_INBOX_{owner}.>"), &[owner])));
    for (owner, row) in rows() {
        let subscribers = match row.kind {
            Kind::Command => vec![owner],
            // Read from the stream, whose consumers deliver into inboxes.
            Kind::State => Vec::new(),
            Kind::Event => others(owner, row),
        };
        probes.push(probe(subject(owner, row, "node-1", "*"), &subscribers));
        probes.push(probe(subject(owner, row, "*", "*"), &[]));
        if !row.key.is_empty() {
            // The server lets a `>` pass for a last `*`: of one's own commands only, and deeper subjects
            // nobody may publish to.
            let deeper = format!("node.node-1.{owner}.{}.{}.>", row.kind.token(), row.name);
            probes.push(probe(deeper, if row.key.len() == 1 { &subscribers } else { &[] }));
        }
    }
    probes
}

/// A client that tells what the server refuses.
async fn client(server: &BusServer, owner: Owner) -> (Client, mpsc::UnboundedReceiver<String>) {
    let (tell, refusals) = mpsc::unbounded_channel();
    let options = server.client_options(owner).event_callback(move |event| {
        if let Event::ServerError(ServerError::Other(text)) = event {
            // The test may be over.
            let _ = tell.send(text);
        }
        std::future::ready(())
    });
    (options.connect(server.url()).await.unwrap(), refusals)
}

/// What of a batch was refused. The server answers in order: after the refusal of a subject that
/// nobody may use, no other can follow.
async fn refused(client: &Client, refusals: &mut mpsc::UnboundedReceiver<String>) -> BTreeSet<String> {
    const END: &str = "end.of.batch";
    client.publish(END, "".into()).await.unwrap();
    let mut refused = BTreeSet::new();
    loop {
        let text = timeout(DEADLINE, refusals.recv()).await.expect("a refusal in time").unwrap();
        let subject = text.split('"').nth(1).unwrap_or_else(|| panic!("{text}")).to_owned();
        if subject == END {
            return refused;
        }
        refused.insert(subject);
    }
}

/// Compares what was refused with what should be.
fn compare(owner: Owner, deed: &str, probes: &[Probe], refused: &BTreeSet<String>, wrong: &mut Vec<String>) {
    for probe in probes {
        let (may, was) = (probe.allowed.contains(&owner), !refused.contains(&probe.subject));
        if may != was {
            wrong.push(format!("{owner} {deed} {}: may {may}, could {was}", probe.subject));
        }
    }
}

#[actix::test]
async fn each_process_may_do_what_the_catalog_says_and_nothing_else() {
    let (to_publish, to_subscribe) = (to_publish(), to_subscribe());
    let mut wrong = Vec::new();
    for program in BusServer::programs() {
        let server = BusServer::of(&program);
        for owner in Owner::ALL {
            let (client, mut refusals) = client(&server, owner).await;
            for batch in to_publish.chunks(BATCH) {
                for probe in batch {
                    client.publish(probe.subject.clone(), "".into()).await.unwrap();
                }
                let refused = refused(&client, &mut refusals).await;
                compare(owner, "publishes to", batch, &refused, &mut wrong);
            }
            for batch in to_subscribe.chunks(BATCH) {
                let mut kept = Vec::new();
                for probe in batch {
                    kept.push(client.subscribe(probe.subject.clone()).await.unwrap());
                }
                let refused = refused(&client, &mut refusals).await;
                compare(owner, "subscribes to", batch, &refused, &mut wrong);
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[actix::test]
async fn a_violation_is_told_to_the_process_that_it_may_end() {
    let Some(server) = BusServer::start() else { return };
    let bus = server.bus(Owner::Prober).await;
    let forbidden = timeout(DEADLINE, bus.forbidden());

    // The prober reads no pod: its hearing asks the server for what it may not have.
    let _hearing = bus.hear::<messages::pod_lifecycle::Pod>().await.unwrap();

    let what = forbidden.await.unwrap();
    assert!(what.contains("$JS.API.STREAM.INFO.node-1_pod-lifecycle_pod"), "{what}");
}
