//! Manifests that were refused: said on the bus until they are mended, and told once each as an event
//! and in the log.

use crate::core::{event::FAILED_VALIDATION, gather::Gathered};
use chassis::{Bus, Events, clock};
use messages::{
    Key, Token,
    pod_lifecycle::{PodSource, Refused},
    status_reporter::{About, RecordEvent, Severity},
};
use std::collections::BTreeMap;
use tracing::{info, warn};

/// What each source's last news refused.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    known: BTreeMap<PodSource, BTreeMap<Token, Refused>>,
    unknown_fields: BTreeMap<String, Vec<String>>,
}

/// What is to be said and taken back.
#[derive(Debug, Default)]
pub(super) struct Change {
    fresh: Vec<Refused>,
    mended: Vec<Token>,
}

impl Refusals {
    /// Takes a source's news.
    pub(super) fn take(&mut self, source: PodSource, gathered: &Gathered, events: &Events) -> Change {
        self.warn_of_fields(gathered);
        let new = gathered.refused.clone();
        let old = self.known.insert(source, new.clone()).unwrap_or_default();
        let fresh: Vec<_> = new.values().filter(|it| old.get(&it.id) != Some(it)).cloned().collect();
        let mended: Vec<_> = old.into_keys().filter(|id| !new.contains_key(id)).collect();
        for refused in &fresh {
            let Refused { from, field, why, .. } = refused;
            warn!(from, field, why, "a manifest is refused");
            events.record(event(refused));
        }
        Change { fresh, mended }
    }

    /// Fields that nobody knows are told of when they are first seen.
    fn warn_of_fields(&mut self, gathered: &Gathered) {
        let now: BTreeMap<_, _> = gathered.unknown_fields.iter().cloned().collect();
        for (from, fields) in &now {
            if self.unknown_fields.get(from) != Some(fields) {
                let fields = fields.join(", ");
                warn!(
                    from,
                    fields, "a manifest has fields that Kubernetes does not know; they have no effect"
                );
            }
        }
        self.unknown_fields = now;
    }
}

impl Change {
    /// Says what was refused, and takes back what was mended.
    pub(super) async fn say(self, bus: Bus) {
        for refused in &self.fresh {
            bus.say(refused).await;
        }
        for id in self.mended {
            info!(id = id.as_str(), "a manifest that was refused is mended or gone");
            bus.retract::<Refused>(&Key::from([id])).await;
        }
    }
}

fn event(refused: &Refused) -> RecordEvent {
    let Refused { from, field, why, .. } = refused;
    let at = if field.is_empty() { String::new() } else { format!("{field}: ") };
    RecordEvent {
        about: About::Node,
        severity: Severity::Warning,
        reason: FAILED_VALIDATION.into(),
        message: format!("static pod manifest {from} is refused: {at}{why}"),
        at: clock::now_unix(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{gather, manifest::Refusal};

    fn gathered(refused: &[(&str, &str)]) -> Gathered {
        let refused = refused.iter().map(|(from, why)| gather::refused(from, Refusal::whole(*why)));
        Gathered { refused: refused.map(|it| (it.id.clone(), it)).collect(), ..Gathered::default() }
    }

    #[test]
    fn each_refusal_is_told_once_and_taken_back_when_mended() {
        let (mut refusals, events) = (Refusals::default(), Events::default());
        let mut news = |list: &[(&str, &str)]| {
            let change = refusals.take(PodSource::File, &gathered(list), &events);
            (change.fresh.len(), change.mended.len())
        };
        assert_eq!(news(&[("/a", "empty"), ("/b", "empty")]), (2, 0));
        assert_eq!(news(&[("/a", "empty"), ("/b", "empty")]), (0, 0), "nothing new");
        assert_eq!(news(&[("/a", "too long")]), (1, 1), "another fault, and one is mended");
        assert_eq!(news(&[]), (0, 1));
    }
}
