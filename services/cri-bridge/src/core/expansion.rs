//! `$(NAME)` in values, commands, arguments and sub-paths.
//!
//! Called by `env`, `container` and `mounts`. Semantics of upstream's
//! `third_party/forked/golang/expansion`.

/// The text with each `$(NAME)` replaced by what `value_of` says. A name that it does not know
/// stays as it is written, `$$` is a `$` that begins no reference, and so is any other `$`.
pub fn expand<'v>(text: &'v str, mut value_of: impl FnMut(&str) -> Option<&'v str>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, from) = rest.split_at(dollar);
        expanded.push_str(before);
        let (piece, used) = piece(from, &mut value_of);
        expanded.push_str(piece);
        rest = &from[used..];
    }
    expanded.push_str(rest);
    expanded
}

/// What stands for the beginning of a text that begins with `$`, and how much of it that is.
fn piece<'t>(from: &'t str, value_of: &mut impl FnMut(&str) -> Option<&'t str>) -> (&'t str, usize) {
    if from.starts_with("$$") {
        return ("$", 2);
    }
    match from.strip_prefix("$(").and_then(|inner| inner.split_once(')')) {
        Some((name, _)) => {
            let written = &from[..name.len() + 3];
            (value_of(name).unwrap_or(written), written.len())
        }
        None => ("$", 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of(name: &str) -> Option<&'static str> {
        match name {
            "A" => Some("a"),
            "EMPTY" => Some(""),
            "NESTED" => Some("$(A)"),
            _ => None,
        }
    }

    #[test]
    fn references_are_replaced_once_and_the_rest_is_left_alone() {
        let cases = [
            ("a reference in the middle", "x$(A)y", "xay"),
            ("two in a row", "$(A)$(A)", "aa"),
            ("an empty value is a value", "[$(EMPTY)]", "[]"),
            ("what a value holds is not expanded again", "$(NESTED)", "$(A)"),
            ("an unknown name stays as written", "$(B)", "$(B)"),
            ("a doubled dollar escapes a reference", "$$(A)", "$(A)"),
            ("three dollars are an escaped one and a reference", "$$$(A)", "$a"),
            ("an unclosed reference is text", "$(A", "$(A"),
            ("a dollar before anything else is text", "$A and 5$", "$A and 5$"),
            ("no dollar, no change", "plain é", "plain é"),
            ("an empty name is unknown", "$()", "$()"),
            ("letters beyond ASCII after a dollar", "$é$(A)", "$éa"),
        ];
        for (sentence, text, want) in cases {
            assert_eq!(expand(text, value_of), want, "{sentence}");
        }
    }
}
