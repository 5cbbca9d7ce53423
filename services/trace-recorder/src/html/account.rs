//! The page's account: one bar for the whole time, and a list of what it is made of.

use super::escape;
use crate::{
    core::{
        account::{Account, Hop, Share},
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
    for hop in account.hops.iter().filter(|hop| part(hop.time) >= SMALL) {
        let (class, name) = (format!("hop p{}", place(&hop.process)), hop_name(hop));
        add((&mut stack, &mut list), &class, &name, (hop.time, part(hop.time)));
    }
    let explained: Duration = account.hops.iter().map(|hop| hop.time).sum();
    let rest = account.outside.saturating_sub(explained);
    let name = if explained.is_zero() { "outside leaf spans" } else { "else outside leaf spans" };
    add((&mut stack, &mut list), "outside", name, (rest, part(rest)));
    format!(
        "<section class=\"account\">\n<h2>Where the time went</h2>\n<div class=\"stack\">{stack}</div>\n\
         <ol>{list}</ol>\n</section>\n"
    )
}

/// A message on its way: on the bus, or in a queue of the process.
fn hop_name(hop: &Hop) -> String {
    let times = if hop.messages > 1 { format!(" <em>×{}</em>", hop.messages) } else { String::new() };
    format!("on the way to {}{times}", escape(&hop.process))
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
