//! `bulkhead doctor`: what this machine lacks, each with the command that mends it. Changes nothing.
//!
//! [`facts`] looks at the machine, [`judge`] knows what a node needs.

mod facts;
mod judge;

use crate::{cli::Doctor, settings};
use facts::Facts;
use judge::{Finding, Verdict};
use std::process::ExitCode;

/// Prints every finding; fails when a node cannot work here.
///
/// # Errors
/// Never; what cannot be looked at counts as lacking.
pub(crate) fn doctor(asked: &Doctor) -> anyhow::Result<ExitCode> {
    let root_dir = settings::root_dir(Some(&asked.node.root_dir));
    let findings = judge::findings(&Facts::of_this_machine(&asked.container_runtime_endpoint, &root_dir));
    for finding in &findings {
        print(finding);
    }
    let lacking = findings.iter().filter(|finding| finding.verdict == Verdict::Lacking).count();
    match lacking {
        0 => println!("\na node can run here"),
        one_or_more => println!("\na node cannot run here: {one_or_more} of the above lack"),
    }
    Ok(if lacking == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(finding: &Finding) {
    let mark = match finding.verdict {
        Verdict::Fine => "ok    ",
        Verdict::Doubtful => "hint  ",
        Verdict::Lacking => "LACKS ",
    };
    println!("{mark} {}", finding.what);
    if !finding.mend.is_empty() {
        println!("         {}", finding.mend);
    }
}
