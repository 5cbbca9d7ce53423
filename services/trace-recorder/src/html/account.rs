//! The page's account: one bar for the whole time, and a list of what it is made of.

use super::escape;
use crate::{
    core::{
        account::{Account, Share},
        scale,
    },
    waterfall::place,
};
use std::{fmt::Write as _, time::Duration};

/// Shares below this part of the whole are drawn, and listed, as one.
const SMALL: f64 = 0.005;

pub(super) fn render(account: &Account) -> String {
    let part = |time: Duration| time.as_secs_f64() / account.total.as_secs_f64().max(1e-9);
    let (large, small): (Vec<&Share>, Vec<&Share>) =
        account.shares.iter().partition(|share| part(share.time) >= SMALL);
    let (mut stack, mut list) = (String::new(), String::new());
    let mut seen = [0; 10];
    for share in large {
        let place = place(&share.process);
        // Deeds of one process differ in shade.
        let class = format!("p{place} s{}", seen[place] % 4);
        seen[place] += 1;
        let times = if share.leaves > 1 { format!(" <em>×{}</em>", share.leaves) } else { String::new() };
        add((&mut stack, &mut list), &class, &(escape(&share.name) + &times), (share.time, part(share.time)));
    }
    let rest: Duration = small.iter().map(|share| share.time).sum();
    if !rest.is_zero() {
        let name = format!("{} smaller deeds", small.len());
        add((&mut stack, &mut list), "rest", &name, (rest, part(rest)));
    }
    let outside = (account.outside, part(account.outside));
    add((&mut stack, &mut list), "outside", "outside leaf spans", outside);
    format!(
        "<section class=\"account\">\n<h2>Where the time went</h2>\n<div class=\"stack\">{stack}</div>\n\
         <ol>{list}</ol>\n</section>\n"
    )
}

/// A piece of the bar and a line of the list; `name` is HTML already.
fn add((stack, list): (&mut String, &mut String), class: &str, name: &str, (time, part): (Duration, f64)) {
    let (took, percent) = (scale::duration(time), part * 100.0);
    let _ = write!(stack, "<i class=\"{class}\" style=\"flex-grow:{part:.5}\" title=\"{took}\"></i>");
    let _ = write!(
        list,
        "<li class=\"{class}\"><i></i><span>{name}</span><b>{took}</b><small>{percent:.0} %</small></li>"
    );
}
