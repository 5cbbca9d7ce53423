//! The programmer on a kernel that does as it is told: order, gathering, retries, narrowing, mending.

use super::*;
use crate::{
    core::{
        address::Family,
        name::ServiceName,
        nft::operation::{Kind as Step, Operation},
        testing::{gone, svc},
    },
    ports::NotWritten,
};
use actix::Addr;
use messages::{
    proxy_programmer::Table,
    status_reporter::{RecordEvent, Severity},
};
use std::{
    collections::VecDeque,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// What happened at the kernel, and what is to happen.
#[derive(Default)]
struct State {
    /// The cluster IPs in force.
    ips: BTreeSet<Ipv4Addr>,
    /// They, after each transaction; and whether that was a whole table.
    history: Vec<(BTreeSet<Ipv4Addr>, bool)>,
    /// Refused, by being whole tables or not.
    refused: Vec<bool>,
    asked: usize,
    /// What comes of the next transactions, whatever they are.
    scripted: VecDeque<NotWritten>,
    /// A cluster IP that is refused wherever it stands.
    bad: Option<Ipv4Addr>,
    /// How long a transaction takes.
    slow: Duration,
    /// Somebody else did something.
    is_foreign: bool,
}

#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<State>>);

impl Scripted {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    fn ips(&self) -> BTreeSet<Ipv4Addr> {
        self.with(|state| state.ips.clone())
    }

    async fn until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        let since = Instant::now();
        while !self.with(|state| holds(state)) {
            let told =
                self.with(|it| format!("{:?}, {:?} refused, {} asked", it.history, it.refused, it.asked));
            assert!(since.elapsed() < PATIENCE, "not {what}: {told}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// The cluster IPs that operations lead to.
fn followed(mut ips: BTreeSet<Ipv4Addr>, operations: &[Operation]) -> BTreeSet<Ipv4Addr> {
    let ip = |key: &[u8]| Ipv4Addr::from(<[u8; 4]>::try_from(key).unwrap());
    for Operation { kind, .. } in operations.iter().filter(|it| it.family == Family::V4) {
        match kind {
            Step::DeleteTable => ips.clear(),
            Step::AddElements { set: "cluster-ips", elements } => {
                elements.iter().for_each(|it| assert!(ips.insert(ip(&it.key)), "added twice"));
            }
            Step::DeleteElements { set: "cluster-ips", elements } => {
                elements.iter().for_each(|it| assert!(ips.remove(&ip(&it.key)), "removed, though not there"));
            }
            _ => (),
        }
    }
    ips
}

impl Kernel for Scripted {
    fn commit(&mut self, operations: &[Operation]) -> Result<(), NotWritten> {
        std::thread::sleep(self.with(|state| state.slow));
        self.with(|state| {
            let is_whole = operations.iter().any(|it| it.kind == Step::DeleteTable);
            let ips = followed(state.ips.clone(), operations);
            let refusal = state.scripted.pop_front().or_else(|| {
                let is_bad = state.bad.is_some_and(|bad| ips.contains(&bad));
                is_bad.then(|| NotWritten::Refused("no such thing".into()))
            });
            if let Some(refusal) = refusal {
                state.refused.push(is_whole);
                return Err(refusal);
            }
            state.ips = ips.clone();
            state.history.push((ips, is_whole));
            Ok(())
        })
    }

    fn ask(&mut self, operations: &[Operation]) -> Result<(), NotWritten> {
        self.with(|state| {
            state.asked += 1;
            let ips = followed(state.ips.clone(), operations);
            let is_bad = state.bad.is_some_and(|bad| ips.contains(&bad));
            if is_bad { Err(NotWritten::Refused("no such thing".into())) } else { Ok(()) }
        })
    }

    fn is_intact(&mut self, _: &Inventory) -> Result<bool, NotWritten> {
        Ok(self.with(|state| !std::mem::take(&mut state.is_foreign)))
    }

    fn addresses(&mut self) -> Option<BTreeSet<std::net::IpAddr>> {
        Some([[127, 0, 0, 1].into()].into())
    }
}

/// What was told.
#[derive(Default)]
struct Heard {
    tables: Mutex<Vec<Table>>,
    events: Mutex<Vec<RecordEvent>>,
    health: Mutex<Vec<String>>,
}

impl Told for Heard {
    fn table(&self, table: Table) {
        self.tables.lock().unwrap().push(table);
    }

    fn event(&self, event: RecordEvent) {
        self.events.lock().unwrap().push(event);
    }

    fn health(&self, waiting_for: Vec<String>) {
        *self.health.lock().unwrap() = waiting_for;
    }
}

struct Play {
    kernel: Scripted,
    heard: Rc<Heard>,
    programmer: Addr<Programmer>,
}

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 30, 0, last)
}

fn ips(lasts: &[u8]) -> BTreeSet<Ipv4Addr> {
    lasts.iter().copied().map(ip).collect()
}

/// The service `s<n>` at 172.30.0.`n`.
fn service(last: u8) -> Sight {
    Sight::Change(svc(&format!("s{last}"), &ip(last).to_string()).port("", 80).change())
}

fn all(lasts: &[u8]) -> Sight {
    Sight::All(Kind::Service, lasts.iter().map(|last| *gone(Kind::Service, &format!("s{last}"))).collect())
}

impl Play {
    fn begin() -> Self {
        let (kernel, heard) = (Scripted::default(), Rc::new(Heard::default()));
        let programmer =
            Programmer::new(Settings::default(), "here", Box::new(kernel.clone()), heard.clone()).start();
        Self { kernel, heard, programmer }
    }

    /// With these services listed and written.
    async fn with(lasts: &[u8]) -> Self {
        let play = Self::begin();
        for last in lasts {
            play.see(service(*last)).await;
        }
        for sight in [all(lasts), Sight::All(Kind::EndpointSlice, BTreeSet::new()), Sight::Node(None)] {
            play.see(sight).await;
        }
        play.kernel.until("written at all", |state| state.history.len() == 1).await;
        play
    }

    async fn see(&self, sight: Sight) {
        self.programmer.send(Saw(sight)).await.unwrap();
    }

    fn history(&self) -> Vec<(BTreeSet<Ipv4Addr>, bool)> {
        self.kernel.with(|state| state.history.clone())
    }
}

#[actix::test]
async fn nothing_is_written_before_everything_was_listed() {
    let play = Play::begin();
    let lists = [
        (service(1), "services"),
        (Sight::Node(None), "services"),
        (all(&[1]), "endpointslices.discovery.k8s.io"),
    ];
    for (sight, waits_for) in lists {
        play.see(sight).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(play.history(), []);
        assert_eq!(play.heard.health.lock().unwrap().first().map(String::as_str), Some(waits_for));
    }
    play.see(Sight::Broken(Watched::EndpointSlices, "forbidden".into())).await;
    let told = "endpointslices.discovery.k8s.io (forbidden)";
    assert_eq!(*play.heard.health.lock().unwrap(), [told]);
    play.see(Sight::All(Kind::EndpointSlice, BTreeSet::new())).await;
    play.kernel.until("written", |state| state.ips == ips(&[1])).await;
    assert_eq!(play.history(), [(ips(&[1]), true)], "one whole load");
}

#[actix::test]
async fn a_change_is_written_alone_and_said() {
    let play = Play::with(&[1]).await;
    play.see(service(2)).await;
    play.kernel.until("added", |state| state.ips == ips(&[1, 2])).await;
    play.see(Sight::Change(Change::ServiceGone(gone(Kind::Service, "s1")))).await;
    play.kernel.until("removed", |state| state.ips == ips(&[2])).await;
    let want = [(ips(&[1]), true), (ips(&[1, 2]), false), (ips(&[2]), false)];
    assert_eq!(play.history(), want);
    play.see(service(2)).await;
    play.see(Sight::Node(None)).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(play.history().len(), 3, "what is as it was is not written");
    assert_eq!(*play.heard.health.lock().unwrap(), [""; 0]);
    let since = Instant::now();
    loop {
        let last = play.heard.tables.lock().unwrap().last().cloned();
        if last.as_ref().is_some_and(|table| table.mode == "nftables" && table.service_ports == 1) {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "last said: {last:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(play.heard.tables.lock().unwrap().iter().all(|table| table.committed_at > 0));
}

#[actix::test]
async fn what_comes_while_the_kernel_is_at_work_goes_out_together() {
    let play = Play::with(&[]).await;
    play.kernel.with(|state| state.slow = Duration::from_millis(100));
    tokio::time::sleep(Duration::from_millis(20)).await;
    for last in 1..=20 {
        play.see(service(last)).await;
    }
    play.see(Sight::Change(Change::ServiceGone(gone(Kind::Service, "s7")))).await;
    let want = (1..=20).filter(|last| *last != 7).map(ip).collect::<BTreeSet<_>>();
    play.kernel.until("all in force", |state| state.ips == want).await;
    let history = play.history();
    assert_eq!(history.len(), 3, "the first alone, the rest behind it: {history:?}");
    assert_eq!(history[1], (ips(&[1]), false));
}

#[actix::test]
async fn what_a_new_list_does_not_name_is_gone() {
    let play = Play::with(&[1, 2]).await;
    play.see(service(3)).await;
    play.see(all(&[2])).await;
    play.kernel.until("only what was listed", |state| state.ips == ips(&[2])).await;
}

#[actix::test]
async fn a_change_that_is_refused_is_mended_by_the_whole_table() {
    let play = Play::with(&[1]).await;
    play.kernel.with(|state| state.scripted.push_back(NotWritten::Refused("it is there already".into())));
    play.see(service(2)).await;
    play.kernel.until("written", |state| state.ips == ips(&[1, 2])).await;
    assert_eq!(play.history(), [(ips(&[1]), true), (ips(&[1, 2]), true)]);
    play.see(service(3)).await;
    play.kernel.until("written", |state| state.ips == ips(&[1, 2, 3])).await;
    assert!(!play.history()[2].1, "and changes go on");
    assert_eq!(play.heard.events.lock().unwrap().len(), 0);
}

#[actix::test]
async fn a_kernel_that_cannot_is_tried_again() {
    let play = Play::with(&[1]).await;
    let failure = || NotWritten::Failed("no memory".into());
    play.kernel.with(|state| state.scripted.extend([failure(), failure()]));
    play.see(service(2)).await;
    play.kernel.until("tried twice", |state| state.refused.len() == 2).await;
    let since = Instant::now();
    while !play.heard.health.lock().unwrap().iter().any(|told| told.contains("no memory")) {
        assert!(since.elapsed() < PATIENCE, "health: {:?}", play.heard.health.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    play.kernel.until("written", |state| state.ips == ips(&[1, 2])).await;
    play.kernel.with(|state| assert_eq!((state.asked, state.refused.clone()), (0, vec![false, true])));
}

#[actix::test]
async fn only_the_service_at_fault_is_left_out_and_named_until_it_changes() {
    let play = Play::with(&[1, 2, 3]).await;
    play.kernel.with(|state| (state.bad, state.slow) = (Some(ip(66)), Duration::from_millis(30)));
    for last in [4, 5, 66, 7] {
        play.see(service(last)).await;
    }
    play.kernel.until("all others in force", |state| state.ips == ips(&[1, 2, 3, 4, 5, 7])).await;
    assert!(
        play.history().iter().all(|(in_force, _)| in_force.is_superset(&ips(&[1, 2, 3]))),
        "nobody suffers"
    );
    let told = play.heard.events.lock().unwrap().clone();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].reason.as_str(), told[0].severity), ("ServiceNotProgrammed", Severity::Warning));
    assert!(told[0].message.contains("default/s66") && told[0].message.contains("no such thing"), "{told:?}");

    play.see(service(8)).await;
    play.kernel.until("others change meanwhile", |state| state.ips.contains(&ip(8))).await;
    let name = ServiceName::new(Some("default"), Some("s66")).unwrap();
    let mended = svc(&name.name, "172.30.0.67").port("", 80).change();
    play.see(Sight::Change(mended)).await;
    play.kernel.until("in force again", |state| state.ips.contains(&ip(67))).await;
    assert_eq!(play.kernel.ips(), ips(&[1, 2, 3, 4, 5, 7, 8, 67]));
}

#[actix::test]
async fn a_service_that_stays_at_fault_hurts_nobody_when_it_is_tried_again() {
    let play = Play::with(&[1]).await;
    play.kernel.with(|state| state.bad = Some(ip(66)));
    play.see(service(66)).await;
    play.kernel.until("asked", |state| state.asked > 0 && state.history.len() == 2).await;
    let refused = play.kernel.with(|state| state.refused.len());
    let louder = svc("s66", "172.30.0.66").port("a", 80).port("b", 81).change();
    play.see(Sight::Change(louder)).await;
    play.kernel.until("tried again", |state| state.refused.len() == refused + 1).await;
    play.see(service(2)).await;
    play.kernel.until("others go on", |state| state.ips == ips(&[1, 2])).await;
    assert!(!play.history()[2].1, "as a change: {:?}", play.history());
    assert_eq!(play.heard.events.lock().unwrap().len(), 2);
}

#[actix::test]
async fn what_somebody_else_did_is_mended_within_a_second() {
    let play = Play::with(&[1]).await;
    let since = Instant::now();
    play.kernel.with(|state| (state.is_foreign, state.ips) = (true, BTreeSet::new()));
    play.kernel.until("mended", |state| state.ips == ips(&[1])).await;
    assert!(since.elapsed() < Duration::from_secs(1));
    assert_eq!(play.history().last(), Some(&(ips(&[1]), true)));
}
