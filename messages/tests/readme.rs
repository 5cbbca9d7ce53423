//! The tables in this crate's README are the catalog's. `BLESS=1 cargo test -p messages` rewrites them.

use messages::catalog::{API_RULES, ROWS};
use std::{fmt::Write, path::Path};

fn catalog_table() -> String {
    let mut table = String::from("| subject after `node.{node}.` | called or read by |\n|---|---|\n");
    for row in ROWS {
        let owner = if row.is_said_by_each() { "{owner}" } else { row.owner.name() };
        let keys: String = row.key.iter().map(|key| format!(".{{{key}}}")).collect();
        let others: Vec<_> = row.others.iter().map(|other| other.name()).collect();
        let subject = format!("{owner}.{}.{}{keys}", row.kind.token(), row.name);
        writeln!(table, "| `{subject}` | {} |", others.join(", ")).expect("a String takes everything");
    }
    table
}

fn api_table() -> String {
    let mut table = String::from("| process | resource | verbs |\n|---|---|---|\n");
    for rule in API_RULES {
        let group = if rule.group.is_empty() { String::new() } else { format!("{}/", rule.group) };
        let verbs = rule.verbs.join(", ");
        writeln!(table, "| {} | `{group}{}` | {verbs} |", rule.owner, rule.resource)
            .expect("a String takes everything");
    }
    table
}

fn with_section(text: &str, name: &str, body: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = text.split_once(&begin).expect("the section's begin mark stands in the README");
    let (_, after) = rest.split_once(&end).expect("the section's end mark stands in the README");
    format!("{before}{begin}{body}{end}{after}")
}

#[test]
fn the_tables_are_those_of_the_catalog() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let wanted = with_section(&with_section(&text, "catalog", &catalog_table()), "api", &api_table());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    } else {
        assert_eq!(text, wanted, "run `BLESS=1 cargo test -p messages` and read the difference");
    }
}
