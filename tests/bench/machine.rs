//! What the figures depend on: the date, the machine, the programs and the command line.

use std::fs;

use anyhow::{Context, Result};
use jiff::Zoned;
use nix::sys::utsname::uname;

use crate::Plan;

/// Two lines for the head of the table.
pub(crate) fn describe(plan: &Plan) -> Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let models: Vec<&str> = processors.lines().filter_map(|line| value(line, "model name")).collect();
    let model = models.first().unwrap_or(&"unknown processor");
    let command: Vec<String> = std::env::args().skip(1).collect();
    let (date, cores, memory) = (Zoned::now().strftime("%Y-%m-%d"), models.len(), memory()?);
    let kernel = uname()?.release().display().to_string();
    let containerd = plan.containerd;
    Ok(format!(
        "{date} · {cores} × {model} · {memory:.0} GiB · Linux {kernel} · containerd {containerd}\nbench {}",
        command.join(" ")
    ))
}

/// The machine's memory in GiB.
fn memory() -> Result<f64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let total = text.lines().find_map(|line| value(line, "MemTotal")?.strip_suffix(" kB"));
    Ok(total.context("/proc/meminfo has no MemTotal")?.parse::<f64>()? / 1024.0 / 1024.0)
}

fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (key, value) = line.split_once(':')?;
    (key.trim() == name).then_some(value.trim())
}
