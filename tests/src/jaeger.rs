//! A real Jaeger in a node's namespace: takes traces by OTLP, and tells of them by its query API.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::ground::Ground;
use crate::netns::Netns;
use crate::parts;
use crate::process::{Process, output};

/// Where it takes spans, as a KubeletConfiguration's `tracing.endpoint` has it.
pub const ENDPOINT: &str = "127.0.0.1:4317";

/// Where it answers.
const API: &str = "http://127.0.0.1:16686/api";
/// How long it may take to answer.
const STARTING: Duration = Duration::from_secs(60);

/// Jaeger, up while this lives.
pub struct Jaeger {
    netns: Netns,
    _process: Process,
}

impl Jaeger {
    /// Starts one that keeps traces in memory.
    pub fn start(ground: &Ground, netns: &Netns) -> Result<Self> {
        let folder = ground.folder("jaeger")?;
        let mut command = netns.command(parts::built("jaeger")?);
        command.args(["--collector.otlp.enabled", "--collector.otlp.grpc.host-port", ENDPOINT]);
        let mut process = Process::spawn("jaeger", &folder, command)?;
        process.wait_ready(STARTING, || ask(netns, "services", &[]).map(drop))?;
        Ok(Self { netns: netns.clone(), _process: process })
    }

    /// The traces in which a span has this tag.
    pub fn tagged(&self, service: &str, tag: &str, value: &str) -> Result<Vec<Value>> {
        let tags = json!({ tag: value }).to_string();
        let query = [("service", service), ("tags", &tags), ("lookback", "1h"), ("limit", "100")];
        let mut answer = ask(&self.netns, "traces", &query)?;
        serde_json::from_value(answer["data"].take()).context("Jaeger's traces are no list")
    }
}

fn ask(netns: &Netns, what: &str, query: &[(&str, &str)]) -> Result<Value> {
    let mut curl = netns.command("curl");
    curl.args(["-sSfG"]);
    for (key, value) in query {
        curl.arg("--data-urlencode").arg(format!("{key}={value}"));
    }
    let answer: Value = serde_json::from_str(&output(curl.arg(format!("{API}/{what}")))?)?;
    ensure!(answer["errors"].is_null(), "Jaeger says {}", answer["errors"]);
    Ok(answer)
}

/// The ids of a trace's spans.
pub fn span_ids(trace: &Value) -> BTreeSet<String> {
    let spans = trace["spans"].as_array().into_iter().flatten();
    spans.filter_map(|span| span["spanID"].as_str().map(str::to_owned)).collect()
}
