//! Which tests are run: the list that the node has to pass, or what somebody looks for.

use std::fmt;

/// The tests that the node passes as the stock kubelet does.
const CHOSEN: &str = include_str!("chosen.txt");

/// Characters that mean something in a regular expression of Go.
const SPECIAL: &str = r"\.+*?()|[]{}^$";

/// What is run, in the terms of upstream's suite.
pub(crate) struct Selection {
    names: Vec<String>,
    focus: Vec<String>,
    skip: Option<String>,
}

impl Selection {
    /// The tests of `chosen.txt`.
    pub(crate) fn chosen() -> Self {
        let lines = CHOSEN.lines().map(str::trim);
        let names: Vec<_> = lines.filter(|line| line.starts_with('[')).map(str::to_owned).collect();
        Self { focus: names.iter().map(|name| exactly(name)).collect(), names, skip: None }
    }

    /// The tests that any of these regular expressions matches, without those that `skip` matches.
    pub(crate) fn matching(focus: &[String], skip: &str) -> Self {
        Self { names: Vec::new(), focus: focus.to_vec(), skip: Some(skip.to_owned()) }
    }

    /// The tests that have to be found in the report, by their full names; none when nobody said which.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The selection as flags of ginkgo.
    pub(crate) fn flags(&self) -> Vec<String> {
        let focus = self.focus.iter().map(|each| format!("--focus={each}"));
        focus.chain(self.skip.iter().map(|skip| format!("--skip={skip}"))).collect()
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names.len() {
            0 => write!(f, "what matches {}", self.focus.join(" or ")),
            number => write!(f, "the {number} chosen tests"),
        }
    }
}

/// A regular expression that matches this name and no longer one.
fn exactly(name: &str) -> String {
    let mut expression = String::with_capacity(name.len() + 16);
    for character in name.chars() {
        if SPECIAL.contains(character) {
            expression.push('\\');
        }
        expression.push(character);
    }
    expression + "$"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_matched_literally_and_to_its_end() {
        let name = "[sig-node] Probing should *not* (0644,tmpfs) be 1.5";
        assert_eq!(exactly(name), r"\[sig-node\] Probing should \*not\* \(0644,tmpfs\) be 1\.5$");
    }

    #[test]
    fn each_chosen_test_is_listed_once() {
        let chosen = Selection::chosen();
        let mut names = chosen.names().to_vec();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), chosen.names().len());
        assert!(names.len() > 50, "only {} were read", names.len());
    }

    #[test]
    fn what_somebody_looks_for_becomes_flags() {
        let flags = Selection::matching(&["DNS".to_owned(), "HostPort".to_owned()], "Slow").flags();
        assert_eq!(flags, ["--focus=DNS", "--focus=HostPort", "--skip=Slow"]);
    }
}
