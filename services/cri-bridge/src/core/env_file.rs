//! Files of variables in a volume (`fileKeyRef`, KEP-3721): `NAME='value'`, one per line.
//!
//! A strict part of what a POSIX shell reads: values in single quotes only, taken literally, over
//! several lines if need be; comments and blank lines between.

/// Why a file could not be read as variables. Never shows a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEnvFile {
    /// No `=` on the line.
    #[error("line {0}: missing '='")]
    NoEquals(usize),
    /// Nothing or blanks before the `=`.
    #[error("line {0}: no variable name before '='")]
    NoName(usize),
    /// The value does not begin with a quote.
    #[error("line {0}: the value must be in single quotes")]
    NotQuoted(usize),
    /// The file ends within a value.
    #[error("line {0}: the quote is not closed")]
    Unclosed(usize),
    /// More than a comment after the value.
    #[error("line {0}: only a comment may follow the value")]
    AfterValue(usize),
}

/// The value of a variable in a file; `None` when it is not there or empty.
///
/// # Errors
/// When the file breaks the rules before the variable was found.
pub fn value(file: &str, wanted: &str) -> Result<Option<String>, BadEnvFile> {
    let mut lines = file.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let number = index + 1;
        let line = line.trim_start_matches([' ', '\t']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, given) = line.split_once('=').ok_or(BadEnvFile::NoEquals(number))?;
        if name.is_empty() || name.ends_with([' ', '\t']) {
            return Err(BadEnvFile::NoName(number));
        }
        let value = if given.starts_with([' ', '\t']) {
            // To a shell this is an empty assignment.
            String::new()
        } else {
            let quoted = given.strip_prefix('\'').ok_or(BadEnvFile::NotQuoted(number))?;
            quoted_value(quoted, number, &mut lines)?
        };
        if name == wanted {
            return Ok(Some(value).filter(|value| !value.is_empty()));
        }
    }
    Ok(None)
}

/// Reads on to the closing quote, from `first` over as many lines as it takes.
fn quoted_value<'f>(
    first: &'f str,
    number: usize,
    lines: &mut impl Iterator<Item = (usize, &'f str)>,
) -> Result<String, BadEnvFile> {
    let mut value = String::new();
    let (mut rest, mut at) = (first, number);
    loop {
        if let Some((inside, after)) = rest.split_once('\'') {
            value.push_str(inside);
            let after = after.trim_start_matches([' ', '\t']);
            let clean = after.is_empty() || after.starts_with('#');
            return if clean { Ok(value) } else { Err(BadEnvFile::AfterValue(at)) };
        }
        value.push_str(rest);
        value.push('\n');
        let (index, line) = lines.next().ok_or(BadEnvFile::Unclosed(number))?;
        (rest, at) = (line, index + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_literally() {
        let file = "# first\n\n  A='a b # c'  # comment\nB='two\nlines'\nC= 'x'\nD=''\nE='$A\\n'\n";
        let cases = [
            ("blanks and a hash within quotes", "A", Some("a b # c")),
            ("several lines", "B", Some("two\nlines")),
            ("a blank after the equals sign assigns nothing", "C", None),
            ("empty is as good as absent", "D", None),
            ("nothing is expanded or escaped", "E", Some("$A\\n")),
            ("absent", "F", None),
        ];
        for (sentence, wanted, want) in cases {
            assert_eq!(value(file, wanted).unwrap().as_deref(), want, "{sentence}");
        }
    }

    #[test]
    fn what_breaks_the_rules_is_refused_by_line() {
        let cases = [
            ("no equals sign", "A='a'\nnonsense\n", BadEnvFile::NoEquals(2)),
            ("a blank before the equals sign", "A ='a'", BadEnvFile::NoName(1)),
            ("no name", "='a'", BadEnvFile::NoName(1)),
            ("double quotes", "A=\"a\"", BadEnvFile::NotQuoted(1)),
            ("never closed", "B='b'\nA='a\nb", BadEnvFile::Unclosed(2)),
            ("more after the value", "A='a'b'", BadEnvFile::AfterValue(1)),
        ];
        for (sentence, file, want) in cases {
            assert_eq!(value(file, "wanted"), Err(want), "{sentence}");
        }
    }
}
