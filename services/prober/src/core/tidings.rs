//! How the outcome of a probe is told: the kubelet's event reasons and sentences.

use super::outcome::Outcome;
use messages::prober::ProbeKind;

/// The longest message that verdicts and events carry, in bytes.
pub const LONGEST: usize = 1024;

/// A warning about a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tidings {
    /// `Unhealthy` or `ProbeWarning`.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

/// What there is to tell of an outcome, if anything.
pub fn of(kind: ProbeKind, outcome: &Outcome) -> Option<Tidings> {
    let (reason, what, why) = match outcome {
        Outcome::Success | Outcome::NotTried(_) => return None,
        Outcome::Warning(why) => ("ProbeWarning", "warning", why),
        Outcome::Failure(why) => ("Unhealthy", "failed", why),
        Outcome::Errored(why) => ("Unhealthy", "errored and resulted in unknown state", why),
    };
    let message = short(format!("{} probe {what}: {why}", title(kind)));
    Some(Tidings { reason, message })
}

const fn title(kind: ProbeKind) -> &'static str {
    match kind {
        ProbeKind::Startup => "Startup",
        ProbeKind::Liveness => "Liveness",
        ProbeKind::Readiness => "Readiness",
    }
}

/// At most [`LONGEST`] bytes of a text, cut between characters.
pub fn short(mut text: String) -> String {
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentences_are_the_kubelets() {
        let cases = [
            (ProbeKind::Readiness, Outcome::Success, None),
            (ProbeKind::Readiness, Outcome::NotTried("cri-bridge is away".into()), None),
            (
                ProbeKind::Readiness,
                Outcome::Failure("HTTP probe failed with statuscode: 500".into()),
                Some(("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 500")),
            ),
            (
                ProbeKind::Liveness,
                Outcome::Warning("Probe terminated redirects, Response body: ".into()),
                Some(("ProbeWarning", "Liveness probe warning: Probe terminated redirects, Response body: ")),
            ),
            (
                ProbeKind::Startup,
                Outcome::Errored("no such container".into()),
                Some(("Unhealthy", "Startup probe errored and resulted in unknown state: no such container")),
            ),
        ];
        for (kind, outcome, want) in cases {
            let want = want.map(|(reason, message)| Tidings { reason, message: message.into() });
            assert_eq!(of(kind, &outcome), want, "{kind} {outcome:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = format!("a{}", "ü".repeat(LONGEST));
        let cut = short(text);
        assert_eq!(cut.len(), LONGEST - 1);
        assert!(cut.ends_with('ü'));
    }
}
