//! Which traces go to the operator's collector: `tracing.samplingRatePerMillion`.
//!
//! The local ring keeps all of them. Whole traces are chosen by their id, as OpenTelemetry's
//! `TraceIdRatioBased` does, so that no process's part is missing.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

/// Of a million traces, how many are handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate(u32);

const ALL: u32 = 1_000_000;

impl Rate {
    /// The configured rate; all where none is.
    pub(crate) fn new(per_million: Option<u32>) -> Self {
        Self(per_million.unwrap_or(ALL).min(ALL))
    }

    /// What of an export is chosen; nothing when that is empty.
    pub(crate) fn of(self, export: &ExportTraceServiceRequest) -> Option<ExportTraceServiceRequest> {
        let mut chosen = export.clone();
        if self.0 < ALL {
            for batch in &mut chosen.resource_spans {
                for scope in &mut batch.scope_spans {
                    scope.spans.retain(|span| self.chooses(&span.trace_id));
                }
                batch.scope_spans.retain(|scope| !scope.spans.is_empty());
            }
            chosen.resource_spans.retain(|batch| !batch.scope_spans.is_empty());
        }
        (!chosen.resource_spans.is_empty()).then_some(chosen)
    }

    /// By the last seven bytes of the id, which are the random ones.
    fn chooses(self, trace: &[u8]) -> bool {
        let tail = trace.iter().rev().take(7).rev().fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
        tail * u128::from(ALL) < u128::from(self.0) << 56
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, Deed};

    #[test]
    fn whole_traces_are_chosen_by_their_id() {
        let export = samples::export(&[
            Deed::new(0x10, 1, None, "low"),
            Deed::new(0xf0, 1, None, "high"),
            Deed::new(0x10, 2, Some(1), "low too"),
        ]);
        let cases: &[(&str, Option<u32>, &[&str])] = &[
            ("all by default", None, &["low", "high", "low too"]),
            ("all", Some(1_000_000), &["low", "high", "low too"]),
            ("half", Some(500_000), &["low", "low too"]),
            ("none", Some(0), &[]),
        ];
        for (name, rate, want) in cases {
            let chosen = Rate::new(*rate).of(&export);
            let spans =
                chosen.iter().flat_map(|chosen| &chosen.resource_spans).flat_map(|at| &at.scope_spans);
            let names: Vec<_> = spans.flat_map(|at| &at.spans).map(|span| span.name.as_str()).collect();
            assert_eq!(names, *want, "{name}");
        }
    }
}
