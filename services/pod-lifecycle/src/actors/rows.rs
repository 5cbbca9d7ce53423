//! What of a pod's doings is told in traces: its start, and each later piece of work as a trace of its own.
//!
//! Within the start everything said and asked is part of the trace that the pod's UID names. After it, a piece of
//! work begins with the first deed that is asked for and ends when none is in flight: a restart, a stop. No row
//! covers the time in between.

use crate::core::{
    life::{Effect, Life, Stepped},
    stage::Stage,
};
use chassis::{
    clock,
    telemetry::{self, Ended, Peer, keys},
};
use messages::BootTime;
use opentelemetry::{Context as TraceContext, KeyValue};
use std::collections::BTreeMap;
use tracing::{Span, info_span};

/// What set a step off.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    /// When it was sent.
    pub(super) sent: BootTime,
    /// What the sender was doing.
    pub(super) context: TraceContext,
}

impl Cause {
    /// Something within this process, now.
    pub(super) fn own() -> Self {
        Self { sent: clock::now_boot(), context: TraceContext::new() }
    }

    /// Something that was sent, with no more known of it.
    pub(super) fn sent_at(sent: BootTime) -> Self {
        Self { sent, context: TraceContext::new() }
    }
}

/// The traces of one life.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// The root of the work that is under way after the start.
    work: Option<Span>,
    /// Init containers that run, and since when that is known.
    initial: BTreeMap<String, BootTime>,
}

impl Rows {
    /// To what everything belongs that a step says and asks.
    pub(super) fn context(&mut self, life: &Life, stepped: &Stepped, cause: &Cause) -> TraceContext {
        if stepped.is_in_start {
            return start_of(life);
        }
        if self.work.is_none() && stepped.effects.iter().any(|effect| matches!(effect, Effect::Ask { .. })) {
            self.work = Some(begin_work(life, cause));
        }
        // What is only said belongs to whatever made it to be said.
        self.work.as_ref().map_or_else(|| cause.context.clone(), telemetry::context_of)
    }

    /// A step is over that began at this moment.
    pub(super) fn stepped(&mut self, life: &Life, is_in_start: bool, (cause, begun): (&Cause, BootTime)) {
        if is_in_start {
            telemetry::tell_of(&start_of(life), Ended::message("decide", cause.sent, begun));
            self.tell_of_init(life);
        }
        if life.is_at_rest() {
            self.work = None;
        }
    }

    /// While an init container runs, nothing else does: that is its row.
    fn tell_of_init(&mut self, life: &Life) {
        let (running, start) = (life.running_init(), start_of(life));
        self.initial.retain(|name, since| {
            let runs = running.contains(name.as_str());
            if !runs {
                let about = vec![KeyValue::new(keys::CONTAINER_NAME, name.clone())];
                telemetry::tell_of(
                    &start,
                    Ended::call(Peer::Container, "run container", *since).about(about),
                );
            }
            runs
        });
        for name in running {
            self.initial.entry(name.to_owned()).or_insert_with(clock::now_boot);
        }
    }
}

/// The parent of all that is part of the start.
fn start_of(life: &Life) -> TraceContext {
    telemetry::start_context(life.uid(), life.record().life)
}

/// Restarts and stops: traces of their own, linked to the pod's start and to what set them off.
fn begin_work(life: &Life, cause: &Cause) -> Span {
    let meta = &life.record().pod.metadata;
    let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
    let uid = life.uid();
    let span = if life.record().memory.stage == Stage::Running {
        info_span!(parent: None, "restart", k8s.pod.uid = %uid, k8s.pod.name = name, k8s.namespace.name = namespace)
    } else {
        info_span!(parent: None, "pod stop", k8s.pod.uid = %uid, k8s.pod.name = name, k8s.namespace.name = namespace)
    };
    telemetry::link_to(&start_of(life), &span);
    telemetry::link_to(&cause.context, &span);
    span
}
