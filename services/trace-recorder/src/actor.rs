//! The recorder: owns the ring, and hands on what it records.

use crate::{
    adapters::collector::Collector,
    core::{
        batch,
        ring::{Found, Limits, Ring, Summary},
        sample,
    },
    wire::Query,
};
use actix::{Actor, Context, Handler, Message, dev::MessageResponse};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

/// Exports that wait for the ring; the sockets wait beyond that.
const MAILBOX: usize = 16;

/// An export to be recorded.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Record(pub(crate) ExportTraceServiceRequest);

/// A question.
#[derive(Message)]
#[rtype(result = "Told")]
pub(crate) struct Ask(pub(crate) Query);

/// What the ring has to say to it.
#[derive(Debug, MessageResponse)]
pub(crate) enum Told {
    /// Everything kept, newest first.
    List(Vec<Summary>),
    /// What a name stands for.
    Trace(Found),
}

/// The one owner of the traces.
#[derive(Debug)]
pub(crate) struct Recorder {
    ring: Ring,
    collector: Option<(Collector, sample::Rate)>,
}

impl Recorder {
    /// With nothing recorded yet.
    pub(crate) fn new(limits: Limits, collector: Option<(Collector, sample::Rate)>) -> Self {
        Self { ring: Ring::new(limits), collector }
    }
}

impl Actor for Recorder {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Record> for Recorder {
    type Result = ();

    fn handle(&mut self, Record(export): Record, _: &mut Self::Context) {
        if let Some((collector, rate)) = &self.collector
            && let Some(chosen) = rate.of(&export)
        {
            collector.take(chosen);
        }
        batch::pieces(export).into_iter().for_each(|piece| self.ring.record(piece));
    }
}

impl Handler<Ask> for Recorder {
    type Result = Told;

    fn handle(&mut self, Ask(query): Ask, _: &mut Self::Context) -> Told {
        match query {
            Query::List => Told::List(self.ring.list()),
            Query::Trace { of } => Told::Trace(self.ring.find(&of)),
        }
    }
}
