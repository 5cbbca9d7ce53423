//! Below the table: where the time went.

use super::{
    clean, pad,
    paint::{Paint, Style},
};
use crate::core::{account::Account, scale};
use std::time::Duration;

/// Columns of a name.
const NAME: usize = 34;
/// Columns of a whole.
const BAR: u32 = 40;
/// Shares below this are summed up in one line.
const SMALL: f64 = 0.005;

pub(super) fn render(account: &Account, paint: Paint) -> String {
    let mut text =
        format!("{}\n", paint.dim("where the time went (each moment is given to the deed that ended last)"));
    let part = |time: Duration| time.as_secs_f64() / account.total.as_secs_f64().max(1e-9);
    let (large, small): (Vec<_>, Vec<_>) = account.shares.iter().partition(|share| part(share.time) >= SMALL);
    for share in large {
        let name =
            if share.leaves > 1 { format!("{} ×{}", share.name, share.leaves) } else { share.name.clone() };
        let style = Style::of_process(&share.process);
        text.push_str(&line(&clean(&name), share.time, part(share.time), (style, paint)));
    }
    let rest: Duration = small.iter().map(|share| share.time).sum();
    if !small.is_empty() {
        text.push_str(&line(&format!("{} more", small.len()), rest, part(rest), (Style::Dim, paint)));
    }
    text.push_str(&line("outside leaf spans", account.outside, part(account.outside), (Style::Dim, paint)));
    for hop in account.hops.iter().filter(|hop| part(hop.time) >= SMALL) {
        let name = format!("  on the way to {}", clean(&hop.process));
        text.push_str(&line(&name, hop.time, part(hop.time), (Style::of_process(&hop.process), paint)));
    }
    text
}

fn line(name: &str, time: Duration, part: f64, (style, paint): (Style, Paint)) -> String {
    let bar = "█".repeat((part * f64::from(BAR)).round() as usize);
    let figures = format!("{:>8} {:>4.0} %", scale::duration(time), part * 100.0);
    format!("  {} {figures}  {}\n", pad(name, NAME), paint.as_style(style, &bar)).trim_end().to_owned() + "\n"
}
