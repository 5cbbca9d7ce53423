//! The supervisor: begins the processes, begins them again, and lets them leave in order.
//!
//! It is root and does as little as that allows: it opens no socket, reads nothing that comes from
//! outside the machine, and trusts no file in a folder of somebody else's. [`core`] decides, [`launcher`]
//! begins and signals, [`pulses`] finds who stands still, [`readiness`] tells the service manager. A
//! failure of any of the others ends nothing: every process lives on its own.

pub(crate) mod core;
mod launcher;
mod pulses;
mod readiness;
mod table;

pub(crate) use launcher::Launcher;
pub(crate) use readiness::{Readiness, health};
pub(crate) use table::{Entry, Table};

use self::{
    core::{Effect, Fact, Fleet},
    pulses::Pulses,
};
use crate::process::Process;
use chassis::Stop;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{io, path::PathBuf, process::ExitStatus, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep_until},
};
use tracing::{error, info, warn};

/// The exit code of a service that did on the bus what the catalog does not allow.
pub(crate) const FORBIDDEN: u8 = 77;

/// The exit code of a service that found that no node may run here, such as one whose runtime holds
/// somebody else's pods. Another life would find the same.
pub(crate) const MUST_NOT_RUN: u8 = 78;

/// How often the loop turns although nothing happens: for readiness and the watchdog.
const TURN: Duration = Duration::from_millis(100);
/// The same, once the node was reported ready.
const CALM_TURN: Duration = Duration::from_secs(1);

/// The end of a process' life.
type End = BoxFuture<'static, (Process, io::Result<ExitStatus>)>;

/// Everything that the loop holds.
pub(crate) struct Supervisor {
    fleet: Fleet,
    launcher: Launcher,
    readiness: Readiness,
    pulses: Pulses,
    table: PathBuf,
    ends: FuturesUnordered<End>,
    epoch: Instant,
    done: bool,
    /// Who found that no node may run here.
    refused_by: Option<Process>,
}

/// How a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was told to.
    Told,
    /// This process found that no node may run here; its log says why.
    RefusedBy(Process),
}

impl Supervisor {
    /// A supervisor of these processes, which writes its [`Table`] to a file. Nothing begins yet.
    pub(crate) fn new(
        processes: impl Iterator<Item = Process>,
        launcher: Launcher,
        readiness: Readiness,
        table: PathBuf,
    ) -> Self {
        Self {
            fleet: Fleet::new(processes),
            launcher,
            readiness,
            pulses: Pulses::default(),
            table,
            ends: FuturesUnordered::new(),
            epoch: Instant::now(),
            done: false,
            refused_by: None,
        }
    }

    /// Runs until all have left, after SIGTERM, SIGINT or `stop`, or because one found that it must not be.
    ///
    /// # Errors
    /// When the kernel lets no signal be heard.
    pub(crate) async fn run(mut self, stop: Stop) -> io::Result<Ended> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut leaving = false;
        self.take_in(Fact::Tick);
        while !self.done {
            let turn = self.next_turn();
            // All arms are cancel-safe: a future that was not ready took nothing.
            tokio::select! {
                Some((process, status)) = self.ends.next() => self.ended(process, status),
                () = hear(&mut terminate) => stop.tell("SIGTERM"),
                () = hear(&mut interrupt) => stop.tell("SIGINT"),
                () = stop.told(), if !leaving => {
                    leaving = true;
                    self.readiness.leaving();
                    self.take_in(Fact::ToldToLeave);
                }
                () = sleep_until(turn) => self.take_in(Fact::Tick),
            }
            if self.refused_by.is_some() && !leaving {
                stop.tell("no node may run here");
            }
            self.kill_still(leaving);
            self.readiness.turn(&self.fleet);
        }
        Ok(self.refused_by.map_or(Ended::Told, Ended::RefusedBy))
    }

    /// A process that stands still would do so for ever; its next life does its work. Whoever leaves has its own time.
    fn kill_still(&mut self, leaving: bool) {
        let lives = Process::all().filter_map(|process| {
            let pid = self.fleet.pid(process)?;
            Some((process, pid, self.launcher.has_beaten(process)))
        });
        for (process, pid) in self.pulses.turn(self.epoch.elapsed(), lives) {
            if !leaving {
                error!(%process, pid, "has stood still for {} s and is killed", pulses::STILL.as_secs());
                self.launcher.kill(process, pid);
            }
        }
    }

    fn next_turn(&self) -> Instant {
        let turn = if self.readiness.is_settled() { CALM_TURN } else { TURN };
        let calm = Instant::now() + turn;
        self.fleet.wakes_at().map_or(calm, |due| calm.min(self.epoch + due))
    }

    fn ended(&mut self, process: Process, status: io::Result<ExitStatus>) {
        let pid = self.fleet.pid(process);
        match status {
            // nats-server ends with 1 when it is asked to leave.
            Ok(status) if status.success() || self.fleet.is_leaving() => {
                info!(%process, pid, %status, "ended")
            }
            Ok(status) if status.code() == Some(FORBIDDEN.into()) => {
                error!(%process, pid, "ended: it did on the bus what the catalog does not allow");
            }
            Ok(status) if status.code() == Some(MUST_NOT_RUN.into()) => {
                error!(%process, pid, "ended: no node may run here, as it says above");
                self.refused_by = Some(process);
            }
            Ok(status) => warn!(%process, pid, %status, "ended"),
            Err(failure) => warn!(%process, pid, error = %failure, "could not be waited for"),
        }
        self.launcher.forget(process);
        self.take_in(Fact::Ended(process));
    }

    /// Steps the core and performs what it returns, which may be facts again.
    fn take_in(&mut self, fact: Fact) {
        let (mut facts, mut changed) = (vec![fact], false);
        while let Some(fact) = facts.pop() {
            changed |= fact != Fact::Tick;
            let effects = self.fleet.step(self.epoch.elapsed(), fact);
            facts.extend(effects.into_iter().filter_map(|effect| self.perform(effect)));
        }
        if changed {
            self.write_table();
        }
    }

    fn perform(&mut self, effect: Effect) -> Option<Fact> {
        match effect {
            Effect::Begin(process) => return Some(self.begin(process)),
            Effect::Ask(process, pid) => self.launcher.ask(process, pid),
            Effect::Kill(process, pid) => {
                warn!(%process, pid, "did not leave in time and is killed");
                self.launcher.kill(process, pid);
            }
            Effect::Done => self.done = true,
        }
        None
    }

    fn begin(&mut self, process: Process) -> Fact {
        match self.launcher.begin(process) {
            Ok((pid, mut child)) => {
                info!(%process, pid, "began");
                self.ends.push(Box::pin(async move { (process, child.wait().await) }));
                Fact::Began(process, pid)
            }
            Err(failure) => {
                error!(%process, error = chassis::error::chain(&failure), "could not begin");
                Fact::NotBegun(process)
            }
        }
    }

    fn write_table(&self) {
        if let Err(failure) = Table::of(&self.fleet).write(&self.table) {
            warn!(error = chassis::error::chain(&failure), "could not write the table of processes");
        }
    }
}

async fn hear(signal: &mut Signal) {
    signal.recv().await;
}
