//! Prometheus' text format.

use std::fmt::Write as _;

/// What is measured.
pub(super) struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
}

impl Family {
    /// Something that only grows.
    pub(super) const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: "counter", help }
    }

    /// Something that comes and goes.
    pub(super) const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: "gauge", help }
    }
}

/// The text so far.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, Family { name, kind, help }: &Family) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample of the family that was begun last.
    pub(super) fn sample(&mut self, family: &Family, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<_> =
            labels.iter().map(|(name, text)| format!("{name}=\"{}\"", escape(text))).collect();
        let _ = writeln!(self.0, "{}{{{}}} {value}", family.name, labels.join(","));
    }

    /// A family of one sample.
    pub(super) fn single(&mut self, family: &Family, value: f64) {
        self.family(family);
        let _ = writeln!(self.0, "{} {value}", family.name);
    }

    /// The whole.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
