//! A span as a stretch of a line, half a column exact.

use crate::core::window::Window;

/// What a bar is made of: the left half, both halves and the right half of a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ink {
    left: char,
    full: char,
    right: char,
}

/// A span without parts: the deed itself.
pub(super) const HEAVY: Ink = Ink { left: '╸', full: '━', right: '╺' };
/// A span with parts, which have bars of their own.
pub(super) const LIGHT: Ink = Ink { left: '╴', full: '─', right: '╶' };
/// Waiting.
pub(super) const DOTTED: Ink = Ink { left: '╴', full: '┄', right: '╶' };

/// A stretch of a line in half columns, from and up to; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    from: usize,
    to: usize,
}

impl Stretch {
    /// Where `begin` to `end` lies on a line of `cells` columns that shows `window`.
    pub(super) fn of(begin: u64, end: u64, window: Window, cells: usize) -> Self {
        let halves = cells * 2;
        let place = |moment| (window.part(moment) * halves as f64).round() as usize;
        let from = place(begin).min(halves.saturating_sub(1));
        Self { from, to: place(end).clamp(from + 1, halves.max(from + 1)) }
    }

    /// The columns before the stretch.
    pub(super) fn before(self) -> usize {
        self.from / 2
    }

    /// The columns it touches.
    pub(super) fn columns(self) -> usize {
        self.to.div_ceil(2) - self.before()
    }

    /// The stretch drawn, without what stands before it.
    pub(super) fn draw(self, ink: Ink) -> String {
        let cell = |column: usize| match (self.from <= column * 2, self.to >= column * 2 + 2) {
            (true, true) => ink.full,
            (true, false) => ink.left,
            (false, _) => ink.right,
        };
        (self.before()..self.before() + self.columns()).map(cell).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_half_a_column_exact_and_never_nothing() {
        let window = Window { begin: 0, end: 10_000 };
        let cases = [
            ("the whole", 0, 10_000, "━━━━━"),
            ("nothing at the beginning", 0, 0, "╸"),
            ("nothing at the end", 10_000, 10_000, "    ╺"),
            ("a half column to the right", 1_000, 4_000, "╺━"),
            ("a half column to the left", 2_000, 5_000, " ━╸"),
            ("before the window", 0, 1_000, "╸"),
        ];
        for (name, begin, end, want) in cases {
            let bar = Stretch::of(begin, end, window, 5);
            assert_eq!(format!("{}{}", " ".repeat(bar.before()), bar.draw(HEAVY)), want, "{name}");
        }
    }
}
