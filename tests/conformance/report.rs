//! ginkgo's report, read: what became of each test that was selected.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// What became of the selected tests, by their full names.
pub(crate) type Report = BTreeMap<String, Outcome>;

/// What became of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Passed or not.
    pub(crate) verdict: Verdict,
    /// How long it ran.
    pub(crate) took: Duration,
    /// Why it did not pass; empty where it did.
    pub(crate) reason: String,
}

/// Whether a test passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Fail,
    /// The test itself found that it can't be run here.
    Skip,
}

/// Of ginkgo's `types.Report` what is used here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Suite {
    spec_reports: Vec<Spec>,
}

/// Of ginkgo's `types.SpecReport` what is used here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    container_hierarchy_texts: Option<Vec<String>>,
    leaf_node_type: String,
    leaf_node_text: String,
    state: String,
    /// Nanoseconds.
    run_time: u64,
    #[serde(default)]
    failure: Failure,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    message: String,
}

/// Reads a report. An error when the suite failed outside its tests: then what it says of the tests is worth nothing.
pub(crate) fn read(text: &[u8]) -> Result<Report> {
    let suites: Vec<Suite> = serde_json::from_slice(text).context("reading ginkgo's report")?;
    let specs: Vec<Spec> = suites.into_iter().flat_map(|suite| suite.spec_reports).collect();
    if let Some(broken) = specs.iter().find(|spec| spec.leaf_node_type != "It" && !spec.is_well()) {
        bail!("the suite's {} {}: {}", broken.leaf_node_type, broken.state, broken.failure.message);
    }
    Ok(specs.into_iter().filter_map(Spec::outcome).collect())
}

impl Spec {
    fn is_well(&self) -> bool {
        ["passed", "skipped"].contains(&self.state.as_str())
    }

    /// Nothing of a test that was not selected: it is "skipped", and nobody said why.
    fn outcome(self) -> Option<(String, Outcome)> {
        let verdict = match self.state.as_str() {
            "passed" => Verdict::Pass,
            "skipped" | "pending" if self.failure.message.is_empty() => return None,
            "skipped" => Verdict::Skip,
            _ => Verdict::Fail,
        };
        if self.leaf_node_type != "It" {
            return None;
        }
        let mut name = self.container_hierarchy_texts.unwrap_or_default();
        name.push(self.leaf_node_text);
        let took = Duration::from_nanos(self.run_time);
        Some((name.join(" "), Outcome { verdict, took, reason: self.failure.message }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(state: &str, message: Option<&str>) -> Value {
        let mut spec = json!({
            "ContainerHierarchyTexts": ["[sig-node] Pods"], "LeafNodeType": "It", "LeafNodeText": "should run",
            "State": state, "RunTime": 2_000_000_000_u64,
        });
        if let Some(message) = message {
            spec["Failure"] = json!({ "Message": message });
        }
        spec
    }

    fn report(specs: &[Value]) -> Result<Report> {
        read(json!([{ "SpecReports": specs }]).to_string().as_bytes())
    }

    #[test]
    fn a_tests_state_becomes_a_verdict() {
        let cases = [
            ("a test that passes", spec("passed", None), Some(Verdict::Pass)),
            ("one that fails", spec("failed", Some("no pod")), Some(Verdict::Fail)),
            ("one that panics", spec("panicked", Some("nil")), Some(Verdict::Fail)),
            ("one that is interrupted", spec("interrupted", None), Some(Verdict::Fail)),
            ("one that can't be run here", spec("skipped", Some("no SSH")), Some(Verdict::Skip)),
            ("one that was not selected", spec("skipped", None), None),
            ("one that nobody runs", spec("pending", None), None),
        ];
        for (sentence, spec, want) in cases {
            let outcomes = report(&[spec]).unwrap();
            assert_eq!(
                outcomes.get("[sig-node] Pods should run").map(|found| found.verdict),
                want,
                "{sentence}"
            );
        }
    }

    #[test]
    fn a_suite_that_does_not_start_is_an_error() {
        let mut before = spec("failed", Some("no node is ready"));
        before["LeafNodeType"] = json!("SynchronizedBeforeSuite");
        let told = report(&[before, spec("skipped", None)]).unwrap_err().to_string();
        assert_eq!(told, "the suite's SynchronizedBeforeSuite failed: no node is ready");
    }
}
