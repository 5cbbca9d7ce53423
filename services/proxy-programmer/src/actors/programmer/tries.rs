//! What is tried at the kernel, and what comes of each try.

use super::Programmer;
use crate::{
    core::{
        conduct::Verdict,
        model::{Change, Outcome},
        name::ServiceName,
        nft::{operation::Operation, programme::Programme},
    },
    ports::{Kernel, NotWritten},
};
use actix::Context;
use chassis::{clock, telemetry};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    time::{Duration, Instant},
};
use tracing::{Span, debug, info, info_span, warn};

/// Whoever becomes an endpoint is in its first life, as far as is known here: a later one has a trace of its own.
const FIRST_LIFE: u32 = 0;

/// What came of writing.
struct Written {
    operations: Vec<Operation>,
    result: Result<(), NotWritten>,
    took: Duration,
}

/// What was found by looking.
struct Found {
    is_intact: Result<bool, NotWritten>,
    addresses: Option<BTreeSet<IpAddr>>,
}

impl Programmer {
    /// Writes what differs.
    pub(super) fn write_change(&mut self, ctx: &mut Context<Self>) {
        let changes = std::mem::take(&mut self.waiting);
        let (count, outcome) = (changes.len(), self.apply(changes.into_values()));
        let services = outcome.touched.len();
        let Some(programme) = &mut self.programme else {
            self.conduct.lost();
            return self.turn(ctx);
        };
        let operations = programme.change(&outcome.difference, self.model.table());
        self.conduct.redone(outcome.touched);
        if operations.is_empty() {
            return self.turn(ctx);
        }
        let span =
            info_span!("sync", extent = "change", changes = count, services, operations = operations.len());
        self.write(operations, span, Self::learn, ctx);
    }

    /// Writes everything, in place of whatever is there.
    pub(super) fn write_whole(&mut self, ctx: &mut Context<Self>) {
        let changes = std::mem::take(&mut self.waiting);
        let count = changes.len();
        let left_out = Change::LeaveOut(self.left_out.names());
        let outcome = self.apply(changes.into_values().chain([left_out]));
        self.conduct.redone(outcome.touched);
        let (programme, operations) = Programme::whole(self.model.table());
        self.programme = Some(programme);
        let services = self.model.placed().count();
        let span =
            info_span!("sync", extent = "whole", changes = count, services, operations = operations.len());
        self.write(operations, span, Self::learn, ctx);
    }

    /// Asks whether the whole table would be accepted without some services.
    pub(super) fn ask(&mut self, without: BTreeSet<ServiceName>, ctx: &mut Context<Self>) {
        let left_out = &without | &self.left_out.names();
        self.model.apply([Change::LeaveOut(left_out)]);
        let (_, operations) = Programme::whole(self.model.table());
        let asking = move |kernel: &mut dyn Kernel| kernel.ask(&operations);
        self.at_kernel(ctx, asking, move |programmer, answer| {
            debug!(without = without.len(), accepted = answer.is_ok(), "asked the kernel whom it refuses");
            programmer.learn(answer.as_ref().err());
        });
    }

    /// Tries one of the services that were left out, if it is time.
    pub(super) fn try_left_out(&mut self, ctx: &mut Context<Self>) {
        let Some(name) = self.left_out.due() else { return };
        let Some(before) = self.programme.clone() else { return };
        let mut others = self.left_out.names();
        others.remove(&name);
        let outcome = self.model.apply([Change::LeaveOut(others)]);
        let Some(programme) = &mut self.programme else { return };
        let operations = programme.change(&outcome.difference, self.model.table());
        let span = info_span!("sync", extent = "left out", services = 1, operations = operations.len());
        let then = move |programmer: &mut Self, failure: Option<&NotWritten>| match failure {
            Some(NotWritten::Refused(why)) => {
                programmer.programme = Some(before);
                programmer.leave_out(&name, why);
                let names = programmer.left_out.names();
                programmer.model.apply([Change::LeaveOut(names)]);
            }
            failure => {
                if failure.is_none() {
                    info!(service = %name, "in force again");
                    programmer.left_out.admit(&name);
                }
                programmer.learn(failure);
            }
        };
        self.write(operations, span, then, ctx);
    }

    /// Looks whether our rules are as they were written, and reads the addresses of the interfaces.
    pub(super) fn look(&mut self, reads_addresses: bool, ctx: &mut Context<Self>) {
        let own = self.conduct.is_in_force().then(|| self.inventory.clone());
        let looking = move |kernel: &mut dyn Kernel| Found {
            is_intact: own.map_or(Ok(true), |own| kernel.is_intact(&own)),
            addresses: if reads_addresses { kernel.addresses() } else { None },
        };
        self.at_kernel(ctx, looking, |programmer, found| {
            match found.is_intact {
                Ok(true) => (),
                Ok(false) => {
                    warn!("somebody else changed our packet rules; they are written anew");
                    programmer.conduct.lost();
                }
                Err(failure) => debug!(error = failure.why(), "could not look at the rules"),
            }
            if let Some(addresses) = found.addresses.filter(|found| *found != programmer.facts.local) {
                programmer.facts.local = addresses;
                programmer.take_facts();
            }
        });
    }

    fn apply(&mut self, changes: impl IntoIterator<Item = Change>) -> Outcome {
        let outcome = self.model.apply(changes);
        self.report(&outcome.faults);
        self.left_out.hurry(&outcome.touched);
        outcome
    }

    fn write(
        &mut self,
        operations: Vec<Operation>,
        span: Span,
        then: impl FnOnce(&mut Self, Option<&NotWritten>) + 'static,
        ctx: &mut Context<Self>,
    ) {
        for pod in std::mem::take(&mut self.causes) {
            telemetry::link_to(&telemetry::start_context(&pod, FIRST_LIFE), &span);
        }
        let writing = move |kernel: &mut dyn Kernel| {
            let begun = Instant::now();
            let result = kernel.commit(&operations);
            Written { operations, result, took: begun.elapsed() }
        };
        self.at_kernel(ctx, writing, move |programmer, Written { operations, result, took }| {
            programmer.last = Some((tokio::time::Instant::now(), took));
            match &result {
                Ok(()) => programmer.note(&operations),
                Err(failure) => {
                    warn!(error = failure.why(), "the packet rules could not be written");
                    telemetry::fail(&span, failure.why());
                    programmer.trouble = failure.why().to_owned();
                    programmer.programme = None;
                }
            }
            then(programmer, result.as_ref().err());
        });
    }

    /// Notes what is in force now.
    fn note(&mut self, operations: &[Operation]) {
        self.inventory.follow(operations);
        if self.said.committed_at == 0 {
            info!(
                services = self.model.placed().count(),
                operations = operations.len(),
                "services are programmed"
            );
        }
        self.said.committed_at = clock::now_unix();
        self.said.is_news = true;
        self.trouble.clear();
    }

    fn learn(&mut self, failure: Option<&NotWritten>) {
        let verdict = match failure {
            None => Verdict::Taken,
            Some(NotWritten::Refused(_)) => Verdict::Refused,
            Some(NotWritten::Failed(_)) => Verdict::Failed,
        };
        let Self { conduct, model, .. } = self;
        let found = conduct.learn(verdict, || model.placed().cloned().collect());
        let why = self.trouble.clone();
        found.iter().flatten().for_each(|name| self.leave_out(name, &why));
    }

    fn leave_out(&mut self, name: &ServiceName, why: &str) {
        let pause = self.left_out.refuse(name);
        warn!(service = %name, error = why, again_in = ?pause, "left out of the packet rules");
        let told = format!(
            "Service {name} is left out of this node's packet rules, which the kernel refuses with it: {why}. It is tried again \
             in {} s, or when it changes",
            pause.as_secs()
        );
        self.warn("ServiceNotProgrammed", told);
    }
}
