//! The rows of pods that wait to come in: `admit`, and within it what each waits for.

use crate::core::roster::{Hindrance, Roster};
use chassis::{call_span, telemetry};
use messages::PodUid;
use std::collections::BTreeMap;
use tracing::{Span, info_span};

/// The rows that are open.
#[derive(Debug, Default)]
pub(super) struct Admissions(BTreeMap<PodUid, Admission>);

#[derive(Debug)]
struct Admission {
    /// What it waits for, which is over before the admission is.
    waiting: Option<(Hindrance, Span)>,
    row: Span,
}

impl Admissions {
    /// A pod is new that has had so many lives here before.
    pub(super) fn open(&mut self, uid: &PodUid, life: u32) {
        let context = telemetry::start_context(uid, life);
        let row = telemetry::child_of(&context, info_span!("admit", k8s.pod.uid = %uid));
        self.0.insert(uid.clone(), Admission { waiting: None, row });
    }

    /// The roster has looked at everyone who waits.
    pub(super) fn follow(&mut self, roster: &Roster) {
        self.0.retain(|uid, admission| {
            let hindrance = roster.hindrance(uid);
            if hindrance != admission.waiting.as_ref().map(|(hindrance, _)| *hindrance) {
                // The earlier one is over before the next begins.
                admission.waiting = None;
                admission.waiting =
                    hindrance.map(|hindrance| (hindrance, admission.row.in_scope(|| span(hindrance))));
            }
            hindrance.is_some()
        });
    }
}

fn span(hindrance: Hindrance) -> Span {
    match hindrance {
        Hindrance::Node => call_span!(ApiServer, "wait for node object"),
        Hindrance::Runtime => call_span!(Runtime, "wait for list of runtime"),
        Hindrance::Namesake => call_span!(Container, "wait for end of namesake"),
        Hindrance::Room => call_span!(Container, "wait for room"),
        Hindrance::Doubt => call_span!(ApiServer, "wait for newer node object"),
    }
}
